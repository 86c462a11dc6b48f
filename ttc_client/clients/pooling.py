"""A PRM in a vLLM pooling server, which scores all steps of a solution in one pass.

Pooling does not use the prefix cache, so it suits whole solutions (best-of-n), not searches.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from ttc_client.clients.causal import CausalPRM
from ttc_client.clients.http import Server
from ttc_client.clients.models import served_model
from ttc_client.clients.prompts import (
    LLAMA3_ASSISTANT,
    LLAMA3_USER,
    QWEN_PRM_MARKER,
    RLHFLOW_APPROVAL,
    qwen_prm_solution,
)
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.scores import PRMFacts, checked_scores
from ttc_client.clients.tokenization import tokenize
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.together import together

_PATH = "/pooling"


class _Pooled(msgspec.Struct):
    """One row per token or marker: P(good), or P(bad) and P(good)."""

    index: int
    data: list[list[float]]


class _Pooling(msgspec.Struct):
    data: list[_Pooled]
    usage: TokenUsage | None = None


@dataclass(frozen=True, slots=True)
class _Solution:
    """What the server reads, how many rows it returns for that, and which of them are wanted."""

    text: str | tuple[int, ...]
    num_rows: int
    wanted: list[int]


async def _pool(
    server: Server, model: str, request: ScoreRequest, solutions: Sequence[_Solution]
) -> Scores:
    payload = {"model": model, "input": [solution.text for solution in solutions]}

    with await server.ask(_PATH, payload, _Pooling, request.session) as reply:
        flat: list[float] = []
        for solution, pooled in zip(solutions, in_order(reply.data, len(solutions)), strict=True):
            if len(pooled.data) != solution.num_rows:
                raise Unexpected(f"{len(pooled.data)} values instead of {solution.num_rows}")
            flat += [_good(pooled.data[index]) for index in solution.wanted]
        return Scores(checked_scores(request, flat), counted(reply.usage).by_prm())


def _good(row: Sequence[float]) -> float:
    if len(row) not in (1, 2):
        raise Unexpected(f"{len(row)} classes instead of 1 or 2")
    return row[-1]


@dataclass(frozen=True, slots=True)
class TokenClassification:
    """A causal PRM that the server has converted to score every token; a step's last one counts.

    `approval` are the ids that go on after a verdict where each turn can be tokenized by itself,
    so that what is sent grows with a solution's length; else each of its prefixes is.
    """

    prm: CausalPRM
    approval: tuple[int, ...] | None = None

    @classmethod
    async def connect(cls, server: Server, wanted_format: str) -> "TokenClassification":
        """Ask the server for its model, and how its tokenizer goes on after a verdict."""
        prm = await CausalPRM.connect(server, wanted_format)
        if prm.form.turns is None:
            return cls(prm)
        parts = LLAMA3_ASSISTANT, RLHFLOW_APPROVAL, LLAMA3_USER
        end, approval, start, whole = await together(
            tokenize(server, text, add_special_tokens=False) for text in (*parts, "".join(parts))
        )
        return cls(prm, approval if end + approval + start == whole else None)

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.prm.name} ({self.prm.form.name}, token classification)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM; its labels are a setting of the server."""
        return PRMFacts(self.prm.name, self.prm.context_length)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ContextLengthError, ServerError."""
        if self.prm.form.turns is None or self.approval is None:
            solutions = await self._by_prefixes(request)
        else:
            solutions = await self._by_turns(request, self.prm.form.turns, self.approval)
        return await _pool(self.prm.server, self.prm.name, request, solutions)

    async def _by_turns(
        self,
        request: ScoreRequest,
        turns_of: Callable[[str, Sequence[str]], list[str]],
        approval: tuple[int, ...],
    ) -> list[_Solution]:
        items = [item for item in request.items if item]
        solutions = [turns_of(request.question, (*request.prefix, *item)) for item in items]
        keys = [*dict.fromkeys((turn, not at) for one in solutions for at, turn in enumerate(one))]
        found = await together(
            tokenize(self.prm.server, turn, add_special_tokens=is_first) for turn, is_first in keys
        )
        ids = dict(zip(keys, found, strict=True))
        return [
            self._joined([ids[turn, not at] for at, turn in enumerate(one)], approval, len(item))
            for one, item in zip(solutions, items, strict=True)
        ]

    def _joined(
        self, turns: Sequence[tuple[int, ...]], approval: tuple[int, ...], num_new: int
    ) -> _Solution:
        """Return a solution with the places of its last `num_new` verdicts."""
        whole, ends = turns[0], [len(turns[0])]
        for turn in turns[1:]:
            whole += approval + turn
            ends.append(len(whole))
        self.prm.check_length(len(whole))
        return _Solution(whole, len(whole), [end - 1 for end in ends[-num_new:]])

    async def _by_prefixes(self, request: ScoreRequest) -> list[_Solution]:
        """Find where each step ends from the tokens of the solution up to it."""
        shared, rests = await self.prm.questions(request)
        texts = iter(rests)
        counted = [
            await together(
                tokenize(self.prm.server, shared + text, add_special_tokens=True)
                for text in (next(texts) for _ in item)
            )
            for item in request.items
        ]
        return [self._solution(prefixes) for prefixes in counted if prefixes]

    def _solution(self, prefixes: Sequence[tuple[int, ...]]) -> _Solution:
        whole = prefixes[-1]
        if any(whole[: len(prefix)] != prefix for prefix in prefixes):
            raise self.prm.server.failures.unexpected(
                "/tokenize", "the tokens of a solution do not begin with those of its steps"
            )
        return _Solution(whole, len(whole), [len(prefix) - 1 for prefix in prefixes])


@dataclass(frozen=True, slots=True)
class StepPooling:
    """Qwen2.5-Math-PRM, which scores at the marker after each step; open one with `connect`."""

    server: Server
    model: str
    context_length: int | None = None

    @classmethod
    async def connect(cls, server: Server) -> "StepPooling":
        """Ask the server for its model."""
        return cls(server, *await served_model(server, None))

    @property
    def name(self) -> str:
        """The model, and how it is asked."""
        return f"{self.model} (step pooling)"

    @property
    def facts(self) -> PRMFacts:
        """What the server says of the PRM."""
        return PRMFacts(self.model, self.context_length)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ContextLengthError, ServerError."""
        items = [item for item in request.items if item]
        return await _pool(
            self.server, self.model, request, [_marked(request, item) for item in items]
        )


def _marked(request: ScoreRequest, item: Sequence[str]) -> _Solution:
    """Return the text of a solution; its problem and steps may themselves contain the marker."""
    steps = (*request.prefix, *item)
    ends = range(len(request.prefix) + 1, len(steps) + 1)
    counts = [
        qwen_prm_solution(request.question, steps[:end]).count(QWEN_PRM_MARKER) for end in ends
    ]
    text = qwen_prm_solution(request.question, steps)
    return _Solution(text, counts[-1], [count - 1 for count in counts])
