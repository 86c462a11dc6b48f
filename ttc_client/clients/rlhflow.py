"""An RLHFlow PRM in a vLLM server, which has two ways of asking it the same question.

For each step the PRM is asked whether it is good, at the end of the conversation in which all
steps before it were; the score is the probability of "+" among "+" and "-". Knows nothing of
which scores are worth asking for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.scores import checked_scores
from ttc_client.clients.usage import TokenUsage
from ttc_client.clients.vllm import served_model, tokenize
from ttc_client.errors import ContextLengthError
from ttc_client.ports import ScoreRequest, Scores
from ttc_client.prompts import (
    RLHFLOW_SYSTEM,
    RLHFLOW_VERDICTS,
    rlhflow_approval,
    rlhflow_question,
)


@dataclass(frozen=True, slots=True)
class RLHFlowModel:
    """What a server calls the PRM, how many tokens it reads, and the ids of "+" and "-"."""

    server: Server
    name: str
    context_length: int | None
    labels: tuple[int, int]

    @classmethod
    async def connect(cls, server: Server) -> "RLHFlowModel":
        """Ask the server for all three."""
        name, context_length = await served_model(server, None)
        good, bad = [
            (await tokenize(server, verdict, add_special_tokens=False))[-1]
            for verdict in RLHFLOW_VERDICTS
        ]
        return cls(server, name, context_length, (good, bad))

    async def check_length(self, conversation: str) -> None:
        """Raise ContextLengthError for a conversation that the server would silently cut.

        A token is at least one byte long, so only long conversations need the server's count.
        """
        limit = self.context_length
        if limit is None or len(conversation.encode()) < limit - 1:
            return
        length = len(await tokenize(self.server, conversation, add_special_tokens=True))
        if length >= limit:
            raise ContextLengthError(
                f"a solution of {length} tokens is too long for the PRM {self.name} at "
                f"{self.server.url}, which reads {limit - 1}: lower --max-completion-tokens, or "
                "serve the PRM with a longer context",
                url=self.server.url,
            )


def conversations(request: ScoreRequest) -> tuple[str, list[str]]:
    """Return what all questions of a request share, and each one's own text, in order."""
    shared = RLHFLOW_SYSTEM + _judged(request.problem, 0, request.prefix)
    start = len(request.prefix)
    questions = [
        _judged(request.problem, start, item[:j])
        + rlhflow_question(request.problem, start + j, step)
        for item in request.items
        for j, step in enumerate(item)
    ]
    return shared, questions


def _judged(problem: str, start: int, steps: Sequence[str]) -> str:
    return "".join(
        rlhflow_question(problem, start + i, step) + rlhflow_approval()
        for i, step in enumerate(steps)
    )


class _Item(msgspec.Struct):
    index: int
    score: float


class _GenerativeScores(msgspec.Struct):
    data: list[_Item]
    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class GenerativeScoring:
    """Ask through `POST /generative_scoring`: one query and an item per step."""

    model: RLHFlowModel

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model.name} (generative scoring)"

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request."""
        shared, questions = conversations(request)
        await self.model.check_length(shared + max(questions, key=len))
        payload = {
            "model": self.model.name,
            "query": shared,
            "items": questions,
            "label_token_ids": self.model.labels,
            "apply_softmax": True,
            "add_special_tokens": True,  # to the query alone: one BOS
        }
        path = "/generative_scoring"
        reply = await self.model.server.post(path, payload, _GenerativeScores)
        flat = [item.score for item in sorted(reply.data, key=lambda item: item.index)]
        scores = checked_scores(self.model.server, path, request, flat)
        return Scores(scores, reply.usage.by_prm())


class _Logprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float]]


class _ScoredChoice(msgspec.Struct):
    index: int
    logprobs: _Logprobs


class _ScoredCompletion(msgspec.Struct):
    choices: list[_ScoredChoice]
    usage: TokenUsage


@dataclass(frozen=True, slots=True)
class CompletionScoring:
    """Ask through `POST /v1/completions`: a prompt per step, the two labels' logprobs back."""

    model: RLHFlowModel

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model.name} (completions)"

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request."""
        shared, questions = conversations(request)
        await self.model.check_length(shared + max(questions, key=len))
        payload = {
            "model": self.model.name,
            "prompt": [shared + question for question in questions],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": len(self.model.labels),
            "logprob_token_ids": self.model.labels,
            "return_tokens_as_token_ids": True,
        }
        path = "/v1/completions"
        reply = await self.model.server.post(path, payload, _ScoredCompletion)
        choices = sorted(reply.choices, key=lambda choice: choice.index)
        flat = [self._probability(choice) for choice in choices]
        scores = checked_scores(self.model.server, path, request, flat)
        return Scores(scores, reply.usage.by_prm())

    def _probability(self, choice: _ScoredChoice) -> float:
        """Return the softmax over the two labels, its first component."""
        logprobs = choice.logprobs.top_logprobs[0] if choice.logprobs.top_logprobs else {}
        try:
            good, bad = [logprobs[f"token_id:{label}"] for label in self.model.labels]
        except KeyError as error:
            raise self.model.server.protocol_error(
                "/v1/completions", f"no logprob of the label {error.args[0]}"
            ) from error
        return 1 / (1 + math.exp(min(bad - good, 700.0)))
