"""Scores for the children of an expansion; what the verifier refuses of one costs that one."""

from collections.abc import Sequence
from dataclasses import replace

from ttc_client.errors import GarbledError, ProtocolError, RequestError, ServerError
from ttc_client.search.ports import ScoreRequest, Verifier
from ttc_client.search.rewards import reward_of, values_of
from ttc_client.together import together
from ttc_client.types import Reduction, Step, Trajectory

_ABOUT_A_TEXT = (None, 400, 413, 422)
"""Statuses with which a text may be refused, as too long for example; None: before it was sent."""


async def scored(
    verifier: Verifier,
    request: ScoreRequest,
    parent: Trajectory,
    children: Sequence[Trajectory],
    reduction: Reduction,
) -> tuple[Trajectory, ...]:
    """Return the children with their scores; an item of the request holds the new steps of one.

    An item may be longer than the child, which is then ranked by the rolled-out text. Scores are
    missing for a child that the verifier refuses; raises ServerError if it refuses all.
    """
    if not any(request.items):
        return tuple(children)
    known = len(request.prefix)
    before = parent.scores[:known]
    found = await _scores(verifier, request)
    rewards = [reward_of(before + new, reduction) if new else parent.value for new in found]
    values = values_of(rewards, parent.value)
    return tuple(
        [
            child.scored(before + new[: len(child.readings) - known], value)
            for child, new, value in zip(children, found, values, strict=True)
        ]
    )


def is_asked_apart(request: object, error: ServerError) -> bool:
    """Return whether a request is sent again item by item, since one of them may be at fault."""
    if not isinstance(request, ScoreRequest) or sum(map(bool, request.items)) < 2:
        return False
    if isinstance(error, ProtocolError):
        return not isinstance(error, GarbledError)
    return isinstance(error, RequestError) and error.status in _ABOUT_A_TEXT


async def _scores(verifier: Verifier, request: ScoreRequest) -> Sequence[tuple[float | None, ...]]:
    """Return the scores of each item, item by item where the verifier refuses them together."""
    try:
        return (await verifier(request)).scores
    except ServerError as error:
        if not is_asked_apart(request, error):
            raise
        failure = error

    async def alone(item: tuple[str, ...], steps: tuple[Step, ...]) -> tuple[float | None, ...]:
        if not item:
            return ()
        try:
            one = replace(request, items=(item,), sampled=(steps,))
            return (await verifier(one)).scores[0]
        except ServerError:
            return (None,) * len(item)

    scores = await together(map(alone, request.items, request.sampled))
    if all(score is None for item in scores for score in item):
        raise failure
    return scores
