"""A causal PRM in a vLLM server that generates, which has two ways of asking the same question.

For each step the PRM is asked whether it is good, at the end of the text in which all steps
before it were; the score is the probability of "+" among "+" and "-". Knows nothing of which
scores are worth asking for.
"""

import math
from dataclasses import dataclass

import msgspec

from ttc_client.clients.formats import PRMFormat, find_format, questions
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.scores import checked_scores
from ttc_client.clients.usage import TokenUsage
from ttc_client.clients.vllm import served_model, tokenize
from ttc_client.errors import ContextLengthError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.together import together


@dataclass(frozen=True, slots=True)
class CausalPRM:
    """What a server calls the PRM, how many tokens it reads, the ids of "+" and "-", its format."""

    server: Server
    name: str
    context_length: int | None
    labels: tuple[int, int]
    form: PRMFormat

    @classmethod
    async def connect(cls, server: Server, wanted_format: str) -> "CausalPRM":
        """Ask the server for all of it; the format only where "auto" is wanted."""
        name, context_length = await served_model(server, None)
        good, bad = [
            (await tokenize(server, verdict, add_special_tokens=False))[-1]
            for verdict in RLHFLOW_VERDICTS
        ]
        form = find_format(wanted_format, name, (good, bad))
        return cls(server, name, context_length, (good, bad), form)

    async def questions(self, request: ScoreRequest) -> tuple[str, list[str]]:
        """Return what the texts of all steps begin with, and how each goes on.

        Raises ContextLengthError if the server would cut one. A token is at least one byte long,
        so only long texts need the server's count.
        """
        shared, rests = questions(self.form, request)
        if (limit := self.context_length) is not None:
            room = limit - 1 - len(shared.encode())
            long = [shared + rest for rest in rests if len(rest.encode()) >= room]
            if long:
                await together(self._check_length(text, limit) for text in long)
        return shared, rests

    async def _check_length(self, text: str, limit: int) -> None:
        length = len(await tokenize(self.server, text, add_special_tokens=True))
        if length >= limit:
            raise ContextLengthError(
                f"a solution of {length} tokens is too long for the PRM {self.name} at "
                f"{self.server.url}, which reads {limit - 1}: lower --max-completion-tokens, or "
                "serve the PRM with a longer context",
                url=self.server.url,
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

    model: CausalPRM

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model.name} ({self.model.form.name}, generative scoring)"

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request."""
        shared, rests = await self.model.questions(request)
        payload = {
            "model": self.model.name,
            "query": shared,
            "items": rests,
            "label_token_ids": self.model.labels,
            "apply_softmax": True,
            "add_special_tokens": True,  # to the query alone: one BOS
        }

        def read(reply: _GenerativeScores) -> Scores:
            flat = [item.score for item in in_order(reply.data, len(rests))]
            return Scores(checked_scores(request, flat), reply.usage.by_prm())

        path = "/generative_scoring"
        return await self.model.server.ask(path, payload, _GenerativeScores, read, request.session)


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

    model: CausalPRM

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model.name} ({self.model.form.name}, completions)"

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request."""
        shared, rests = await self.model.questions(request)
        payload = {
            "model": self.model.name,
            "prompt": [shared + rest for rest in rests],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": len(self.model.labels),
            "logprob_token_ids": self.model.labels,
            "return_tokens_as_token_ids": True,
        }

        def read(reply: _ScoredCompletion) -> Scores:
            flat = [self._probability(choice) for choice in in_order(reply.choices, len(rests))]
            return Scores(checked_scores(request, flat), reply.usage.by_prm())

        path = "/v1/completions"
        return await self.model.server.ask(path, payload, _ScoredCompletion, read, request.session)

    def _probability(self, choice: _ScoredChoice) -> float:
        logprobs = choice.logprobs.top_logprobs[0] if choice.logprobs.top_logprobs else {}
        try:
            good, bad = [logprobs[f"token_id:{label}"] for label in self.model.labels]
        except KeyError as error:
            raise Unexpected(f"no logprob of the label {error.args[0]}") from error
        return first_of_two(good, bad)


def first_of_two(good_logp: float, bad_logp: float) -> float:
    """Return the softmax over the logprobs of the two labels, its first component."""
    return 1 / (1 + math.exp(min(bad_logp - good_logp, 700.0)))
