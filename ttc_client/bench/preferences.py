"""Pair a right and a wrong completion of a problem, whole, or at the step where they part."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Candidate


@dataclass(frozen=True, slots=True)
class Preference:
    """What both completions begin with, "" for nothing, how each goes on, and their rewards."""

    shared: str
    chosen: str
    rejected: str
    rewards: tuple[float | None, float | None]


def preferences(
    right: Sequence[Candidate],
    wrong: Sequence[Candidate],
    *,
    at_step: bool,
    left_out: Counter[str],
) -> Iterator[Preference]:
    """Pair the best right completions with the worst wrong ones, each once.

    The right one must have the higher reward, where there are rewards. With `at_step`, a pair is
    the two steps at which the completions part, after what they share. What is left out is counted
    by the reason.
    """
    worst_first = sorted(wrong, key=lambda c: c.reward or 0.0)
    best_first = sorted(right, key=lambda c: -(c.reward or 0.0))
    seen: set[tuple[str, str, str]] = set()
    for good, bad in zip(best_first, worst_first, strict=False):
        if good.reward is not None and good.reward <= (bad.reward or 0.0):
            left_out["pairs whose right solution has no higher reward"] += 1
            continue
        found = _parting(good, bad) if at_step else ("", good.text, bad.text)
        if found is None or _plain(found[1]) == _plain(found[2]):
            left_out["pairs that read the same"] += 1
        elif found not in seen:
            seen.add(found)
            yield Preference(*found, (good.reward, bad.reward))


def _parting(good: Candidate, bad: Candidate) -> tuple[str, str, str] | None:
    """Return the text before the first steps that differ, and these; None where one just ends."""
    ours, theirs = (candidate.text.split(STEP_DELIMITER) for candidate in (good, bad))
    alike = takewhile(
        lambda pair: _plain(pair[0]) == _plain(pair[1]), zip(ours, theirs, strict=False)
    )
    count = sum(1 for _ in alike)
    if count == min(len(ours), len(theirs)):
        return None
    shared = "".join(step + STEP_DELIMITER for step in ours[:count])
    return shared, _step(ours, count), _step(theirs, count)


def _step(steps: Sequence[str], index: int) -> str:
    """Return a step with its delimiter, which the last one has not."""
    return steps[index] + (STEP_DELIMITER if index < len(steps) - 1 else "")


def _plain(text: str) -> str:
    return " ".join(text.split())
