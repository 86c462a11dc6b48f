"""Several verifiers as one: each is asked at the same time, and their scores become one."""

from collections.abc import Callable, Sequence
from math import prod

from ttc_client.search.ports import ScoreRequest, Scores, Verifier
from ttc_client.together import together
from ttc_client.types import Usage

Weighted = Sequence[tuple[float, float]]
"""Scores, and the weights of those who gave them."""


def _mean(scores: Weighted) -> float:
    return sum(score * weight for score, weight in scores) / sum(weight for _, weight in scores)


def _least(scores: Weighted) -> float:
    return min(score for score, _ in scores)


def _product(scores: Weighted) -> float:
    return prod(score**weight for score, weight in scores)


WAYS: dict[str, Callable[[Weighted], float]] = {
    "mean": _mean,
    "min": _least,
    "product": _product,
}


def combined(ports: Sequence[Verifier], weights: Sequence[float], way: str) -> Verifier:
    """Return the verifier whose score of a step is made of all of theirs, by a key of WAYS.

    One that gives no score of a step does not count there; a step without any has none.
    """
    combine = WAYS[way]

    def one(scores: Sequence[float | None]) -> float | None:
        known = [(s, w) for s, w in zip(scores, weights, strict=True) if s is not None]
        return combine(known) if known else None

    async def ask(port: Verifier, request: ScoreRequest) -> Scores:
        return await port(request)

    async def call(request: ScoreRequest) -> Scores:
        replies = await together(ask(port, request) for port in ports)
        items = zip(*(reply.scores for reply in replies), strict=True)
        return Scores(
            tuple(tuple(one(step) for step in zip(*item, strict=True)) for item in items),
            sum((reply.usage for reply in replies), Usage()),
        )

    return call
