"""The project's own scoring protocol, and what all PRM clients share."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from ttc_client.clients import wire
from ttc_client.clients.http import Server
from ttc_client.clients.models import served_model
from ttc_client.clients.replies import Unexpected
from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Usage


@dataclass(frozen=True, slots=True)
class PRMFacts:
    """What a client knows of its PRM; None for what the server does not say.

    `model` is the server's name for it, and `context_length` how many tokens it reads. `labels`
    are the ids of "+" and "-", None where the client does not choose them. `reads` says what it
    can score: any beginning of a solution, or whole ones alone. `top_logprobs` is what it reads of
    the policy's log-probabilities, as in `SampleRequest`, and `reads_history` whether it sees the
    turns before the question.
    """

    model: str | None = None
    context_length: int | None = None
    labels: tuple[int, int] | None = None
    reads: Literal["prefixes", "solutions"] = "prefixes"
    top_logprobs: int | None = None
    reads_history: bool = False


def checked_scores(
    request: ScoreRequest, flat: Sequence[float | None]
) -> tuple[tuple[float | None, ...], ...]:
    """Return the scores of all steps by item.

    Raises Unexpected unless each step has one, in [0, 1], or None where it is missing.
    """
    if len(flat) != request.num_sequences:
        raise Unexpected(f"{len(flat)} scores for {request.num_sequences} steps")
    for score in flat:
        if score is not None:
            probability(score)
    scores = iter(flat)
    return tuple([tuple(islice(scores, len(item))) for item in request.items])


def solutions(request: ScoreRequest) -> list[str]:
    """Return the solution that ends with each item; items without a step have none."""
    return [STEP_DELIMITER.join((*request.prefix, *item)) for item in request.items if item]


def per_item(
    request: ScoreRequest, scores: Sequence[float | None]
) -> tuple[tuple[float | None, ...], ...]:
    """Give each step the score of its item; raises Unexpected for another number of scores."""
    items = [item for item in request.items if item]
    if len(scores) != len(items):
        raise Unexpected(f"{len(scores)} scores for {len(items)} solutions")
    flat = [score for score, item in zip(scores, items, strict=True) for _ in item]
    return checked_scores(request, flat)


def probability(score: float) -> float:
    """Return a score; raises Unexpected unless it is in [0, 1]."""
    if not 0 <= score <= 1:  # also true of NaN
        raise Unexpected(f"a score of {score}, which is not a probability")
    return score


@dataclass(frozen=True, slots=True)
class ScoreProtocol:
    """A PRM behind `POST /score` (see `ttc_client.clients.wire`); open one with `connect`."""

    server: Server
    facts: PRMFacts = PRMFacts()

    @classmethod
    async def connect(cls, server: Server) -> "ScoreProtocol":
        """Ask the server for its model; the protocol does not require an answer."""
        try:
            return cls(server, PRMFacts(*await served_model(server, None)))
        except (ServerError, ConfigError):
            return cls(server)

    @property
    def name(self) -> str:
        """The model, if the server names it, and how it is asked."""
        return f"{self.facts.model or 'a PRM'} (scoring protocol)"

    async def score(self, request: ScoreRequest) -> Scores:
        """Score all steps of all items in one request; raises ServerError."""
        call = wire.ScoreCall(
            problem=request.question,
            prefix=list(request.prefix),
            items=[list(item) for item in request.items],
        )
        with await self.server.ask("/score", call, wire.ScoreReply, request.session) as reply:
            return _scores(request, reply)


def _scores(request: ScoreRequest, reply: wire.ScoreReply) -> Scores:
    if reply.version != wire.VERSION:
        raise Unexpected(f"version {reply.version} of the protocol, not {wire.VERSION}")
    if [len(item) for item in reply.scores] != [len(item) for item in request.items]:
        raise Unexpected("not one score per step of each item")
    flat = [score for item in reply.scores for score in item]
    usage = Usage(
        prm_tokens=reply.usage.prompt_tokens,
        prm_cached_tokens=reply.usage.cached_tokens,
        prm_requests=1,
    )
    return Scores(checked_scores(request, flat), usage)
