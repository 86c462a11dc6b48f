"""A causal PRM in a vLLM server that generates, asked in one of two ways.

The PRM reads the solution up to a step and says "+" or "-" next, as if all steps before had been
judged "+". The score is the probability of "+" among the two. Knows nothing of which scores are
worth asking for.
"""

import math
from dataclasses import dataclass

import msgspec

from ttc_client.clients.formats import PRMFormat, find_format, questions
from ttc_client.clients.http import Server
from ttc_client.clients.models import served_model
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.scores import PRMFacts, checked_scores
from ttc_client.clients.tokenization import tokenize
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.errors import ContextLengthError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.together import together

_LEAST_LOGP = -100.0
"""Of the likelier label; servers write no probability at all as -9999 and the like."""


@dataclass(frozen=True, slots=True)
class CausalPRM:
    """A PRM that answers with one of two tokens, whose ids are `labels`; open one with `connect`.

    It reads solutions in the format `form`, up to `context_length` tokens with the answer.
    """

    server: Server
    name: str
    context_length: int | None
    labels: tuple[int, int]
    form: PRMFormat

    @classmethod
    async def connect(cls, server: Server, wanted_format: str) -> "CausalPRM":
        """Ask the server for its model and the ids of "+" and "-".

        `wanted_format` is a key of FORMATS, or "auto" to go by the model's name and the ids.
        """
        name, context_length = await served_model(server, None)
        good, bad = [
            (await tokenize(server, verdict, add_special_tokens=False))[-1]
            for verdict in RLHFLOW_VERDICTS
        ]
        form = find_format(wanted_format, name, (good, bad))
        return cls(server, name, context_length, (good, bad), form)

    async def questions(self, request: ScoreRequest) -> tuple[str, list[str]]:
        """Return what the texts of all steps begin with, and how each goes on.

        Raises ContextLengthError if a text is too long, because the server would cut it and score
        the rest. A token has at least one byte, so only long texts are counted by the server.
        """
        shared, rests = questions(self.form, request)
        if (limit := self.context_length) is not None:
            room = limit - 1 - len(shared.encode())
            long = [shared + rest for rest in rests if len(rest.encode()) >= room]
            if long:
                await together(self._check_length(text) for text in long)
        return shared, rests

    async def _check_length(self, text: str) -> None:
        self.check_length(len(await tokenize(self.server, text, add_special_tokens=True)))

    def check_length(self, length: int) -> None:
        """Raise ContextLengthError if a text of so many tokens is too long with the answer."""
        limit = self.context_length
        if limit is not None and length >= limit:
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
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class GenerativeScoring:
    """A PRM behind `POST /generative_scoring`: one query, and an item per step."""

    prm: CausalPRM

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.prm.name} ({self.prm.form.name}, generative scoring)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM."""
        return PRMFacts(self.prm.name, self.prm.context_length, self.prm.labels)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ContextLengthError, ServerError."""
        shared, rests = await self.prm.questions(request)
        payload = {
            "model": self.prm.name,
            "query": shared,
            "items": rests,
            "label_token_ids": self.prm.labels,
            "apply_softmax": True,
            "add_special_tokens": True,  # only to the query: one BOS
        }

        server, path = self.prm.server, "/generative_scoring"
        with await server.ask(path, payload, _GenerativeScores, request.session) as reply:
            flat = [item.score for item in in_order(reply.data, len(rests))]
            return Scores(checked_scores(request, flat), counted(reply.usage).by_prm())


class _Logprobs(msgspec.Struct):
    top_logprobs: list[dict[str, float] | None]


class _ScoredChoice(msgspec.Struct):
    index: int
    logprobs: _Logprobs


class _ScoredCompletion(msgspec.Struct):
    choices: list[_ScoredChoice]
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class CompletionScoring:
    """A PRM behind `POST /v1/completions`: a prompt per step, and the two labels' logprobs."""

    prm: CausalPRM

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.prm.name} ({self.prm.form.name}, completions)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM."""
        return PRMFacts(self.prm.name, self.prm.context_length, self.prm.labels)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ContextLengthError, ServerError."""
        shared, rests = await self.prm.questions(request)
        payload = {
            "model": self.prm.name,
            "prompt": [shared + rest for rest in rests],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": len(self.prm.labels),
            "logprob_token_ids": self.prm.labels,
            "return_tokens_as_token_ids": True,
        }

        server, path = self.prm.server, "/v1/completions"
        with await server.ask(path, payload, _ScoredCompletion, request.session) as reply:
            flat = [self._probability(choice) for choice in in_order(reply.choices, len(rests))]
            return Scores(checked_scores(request, flat), counted(reply.usage).by_prm())

    def _probability(self, choice: _ScoredChoice) -> float:
        logprobs = (choice.logprobs.top_logprobs or [None])[0] or {}
        try:
            good, bad = [logprobs[f"token_id:{label}"] for label in self.prm.labels]
        except KeyError as error:
            raise Unexpected(f"no logprob of the label {error.args[0]}") from error
        return first_of_two(good, bad)


def first_of_two(good_logp: float, bad_logp: float) -> float:
    """Return the first component of the softmax over two logprobs.

    Raises Unexpected where neither has any probability, which says nothing of either.
    """
    if max(good_logp, bad_logp) < _LEAST_LOGP:
        said = f"their logprobs are {good_logp:g} and {bad_logp:g}"
        raise Unexpected(f"neither + nor - is likely after a step: {said}")
    return 1 / (1 + math.exp(min(bad_logp - good_logp, 700.0)))
