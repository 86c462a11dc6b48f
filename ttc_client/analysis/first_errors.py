"""Say how well a verifier finds the first wrong step of a solution.

ProcessBench's measures (Zheng et al. 2024, arXiv 2412.06559, section 3): a verifier names the first
step whose score is below a threshold, or none. It is right on a wrong solution if that is the first
wrong step exactly, on a right one if it names none. F1 is the harmonic mean of these two
accuracies, not of precision and recall. Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ttc_client.analysis.calibration import Calibration, reliability
from ttc_client.analysis.metrics import auc
from ttc_client.analysis.thresholds import Threshold
from ttc_client.bench.solutions import Solution

ALL, MEAN = "all", "mean of subsets"
_NUM_RESAMPLES, _NUM_AUC_RESAMPLES, _CHUNK = 2_000, 500, 50
_TAILS = (2.5, 97.5)

Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """A value with its 95 % bootstrap interval over problems; NaN where it is undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A solution, a verifier's score of each of its steps, and the threshold it is held to."""

    solution: Solution
    scores: tuple[float, ...]
    threshold: float = 0.5

    @property
    def named(self) -> int | None:
        """The first step whose score is below the threshold."""
        return next((i for i, score in enumerate(self.scores) if score < self.threshold), None)

    @property
    def is_hit(self) -> bool:
        """Whether that is the first wrong step, or whether there is neither."""
        return self.named == self.solution.error


@dataclass(frozen=True, slots=True)
class Part:
    """What a verifier is worth on a subset: accuracies on wrong and on right solutions, F1, AUC.

    `auc` is over the steps that are known to be right or wrong.
    """

    subset: str
    num_wrong: int
    num_right: int
    on_wrong: Interval
    on_right: Interval
    f1: Interval
    auc: Interval


@dataclass(frozen=True, slots=True)
class Timing:
    """When a verifier sees the error of wrong solutions, as shares of them.

    `steps_late` is the mean number of steps by which it is late where it is.
    """

    early: float
    exact: float
    late: float
    never: float
    steps_late: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All of it, for one verifier; `threshold` says in words what its scores were held to."""

    threshold: str
    parts: tuple[Part, ...]
    timing: Timing | None
    calibration: Calibration | None


@dataclass(frozen=True, slots=True)
class Paired:
    """How much higher one verifier's F1 is than another's, on the solutions that both scored.

    `p` is that of a permutation test: the chance of such a difference if the two could be swapped
    on any problem.
    """

    difference: Interval
    p: float
    num_solutions: int


def evaluate(
    solutions: Sequence[Solution], scores: Mapping[str, tuple[float, ...]], threshold: Threshold
) -> tuple[Evaluation, list[Judged]]:
    """Return what a verifier is worth, and its verdicts; `scores` are by the solution's id.

    Raises ConfigError for a threshold that cannot be fitted.
    """
    known = [(s, scores[s.id]) for s in solutions if s.id in scores]
    held_to, said = threshold.of(known)
    judged = [Judged(s, given, t) for (s, given), t in zip(known, held_to, strict=True)]
    if not judged:
        return Evaluation(said, (), None, None), []
    return Evaluation(said, tuple(_parts(judged)), _timing(judged), _calibration(judged)), judged


def compare(one: Sequence[Judged], other: Sequence[Judged]) -> Paired | None:
    """Compare two verifiers on what both scored; None where that is nothing."""
    by_id = {judged.solution.id: judged for judged in other}
    pairs = [(judged, by_id[judged.solution.id]) for judged in one if judged.solution.id in by_id]
    if not pairs:
        return None
    place, count = _places(judged for judged, _ in pairs)
    first, second = (_sums([pair[side] for pair in pairs], place, count) for side in (0, 1))
    drawn = _draws(count)
    differences = _f1(drawn @ first) - _f1(drawn @ second)
    observed = float(_f1(first.sum(axis=0)) - _f1(second.sum(axis=0)))
    kept = np.random.default_rng(1).integers(2, size=(_NUM_RESAMPLES, count)).astype(float)
    swapped = _f1(kept @ first + (1 - kept) @ second) - _f1((1 - kept) @ first + kept @ second)
    extreme = int((abs(swapped) >= abs(observed) - 1e-9).sum())
    p = nan if observed != observed else (1 + extreme) / (1 + _NUM_RESAMPLES)
    return Paired(_interval(observed, differences), p, len(pairs))


def nulls(solutions: Sequence[Solution]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Return the scores of verifiers that read nothing, for every measure to be held against.

    `constant` finds every step right; `chance` gives each a score at random.
    """
    constant = {s.id: (1.0,) * len(s.steps) for s in solutions}
    chance = {
        s.id: tuple(np.random.default_rng(crc32(s.id.encode())).random(len(s.steps)).tolist())
        for s in solutions
    }
    return {"constant": constant, "chance": chance}


def _parts(judged: Sequence[Judged]) -> Iterable[Part]:
    """Return a part for each subset, for their mean as in ProcessBench, and for all solutions."""
    place, count = _places(judged)
    drawn = _draws(count)
    subsets = list(dict.fromkeys(each.solution.subset for each in judged))
    f1s: list[tuple[float, Floats]] = []
    if len(subsets) > 1:
        for subset in subsets:
            members = [each for each in judged if each.solution.subset == subset]
            sums = _sums(members, place, count)
            f1s.append((float(_f1(sums.sum(axis=0))), _f1(drawn @ sums)))
            yield _part(subset, members, place, drawn)
    whole = _part(ALL, judged, place, drawn)
    if len(subsets) > 1 and all(f1 == f1 for f1, _ in f1s):
        mean = float(np.mean([f1 for f1, _ in f1s]))
        interval = _interval(mean, np.mean([resampled for _, resampled in f1s], axis=0))
        nothing = Interval(nan, nan, nan)
        yield Part(MEAN, whole.num_wrong, whole.num_right, nothing, nothing, interval, nothing)
    yield whole


def _part(subset: str, judged: Sequence[Judged], place: Mapping[str, int], drawn: Floats) -> Part:
    sums = _sums(judged, place, drawn.shape[1])
    total, resampled = sums.sum(axis=0), drawn @ sums
    return Part(
        subset=subset,
        num_wrong=int(total[1]),
        num_right=int(total[3]),
        on_wrong=_interval(float(_shares(total)[0]), _shares(resampled)[0]),
        on_right=_interval(float(_shares(total)[1]), _shares(resampled)[1]),
        f1=_interval(float(_f1(total)), _f1(resampled)),
        auc=_auc(judged, place, drawn),
    )


def _places(judged: Iterable[Judged]) -> tuple[dict[str, int], int]:
    """Number the problems: they are what is resampled, with all their solutions."""
    keys = dict.fromkeys(each.solution.problem.key for each in judged)
    return {key: number for number, key in enumerate(keys)}, len(keys)


def _draws(count: int) -> Floats:
    """Return how often each of the problems is drawn, of shape (resamples, problems)."""
    rng = np.random.default_rng(0)
    return rng.multinomial(count, np.full(count, 1 / count), size=_NUM_RESAMPLES).astype(float)


def _sums(judged: Sequence[Judged], place: Mapping[str, int], count: int) -> Floats:
    """Return for each problem: hits on wrong solutions, their number, the same for right ones."""
    sums = np.zeros((count, 4))
    for each in judged:
        column = 2 * (each.solution.error is None)
        row = place[each.solution.problem.key]
        sums[row, column] += each.is_hit
        sums[row, column + 1] += 1
    return sums


def _shares(sums: Floats) -> tuple[Floats, Floats]:
    with np.errstate(invalid="ignore"):
        return sums[..., 0] / sums[..., 1], sums[..., 2] / sums[..., 3]


def _f1(sums: Floats) -> Floats:
    """Return the harmonic mean of the two accuracies: 0 if both are 0, NaN if one is undefined."""
    on_wrong, on_right = _shares(sums)
    total = on_wrong + on_right
    return 2 * on_wrong * on_right / np.where(total == 0, 1, total)


def _interval(value: float, resampled: Floats) -> Interval:
    defined = resampled[~np.isnan(resampled)]
    if value != value or not defined.size:
        return Interval(nan, nan, nan)
    low, high = np.percentile(defined, _TAILS)
    return Interval(value, float(low), float(high))


def _known_steps(judged: Iterable[Judged]) -> list[tuple[float, bool, str]]:
    """Return the score and the label of each step that has one, and its problem."""
    return [
        (score, label, each.solution.problem.key)
        for each in judged
        for score, label in zip(each.scores, each.solution.labels, strict=True)
        if label is not None
    ]


def _auc(judged: Iterable[Judged], place: Mapping[str, int], drawn: Floats) -> Interval:
    steps = _known_steps(judged)
    scores, right = np.array([s for s, _, _ in steps]), np.array([r for _, r, _ in steps], bool)
    rows = np.array([place[key] for _, _, key in steps], int)
    value = float(auc(scores, right)[0])
    chunks = [drawn[at : at + _CHUNK][:, rows] for at in range(0, _NUM_AUC_RESAMPLES, _CHUNK)]
    return _interval(value, np.concatenate([auc(scores, right, chunk) for chunk in chunks]))


def _calibration(judged: Iterable[Judged]) -> Calibration:
    steps = _known_steps(judged)
    return reliability(np.array([s for s, _, _ in steps]), np.array([r for _, r, _ in steps], bool))


def _timing(judged: Iterable[Judged]) -> Timing | None:
    wrong = [(e.named, error) for e in judged if (error := e.solution.error) is not None]
    if not wrong:
        return None
    late = [named - error for named, error in wrong if named is not None and named > error]
    never = sum(named is None for named, _ in wrong)
    exact = sum(named == error for named, error in wrong)
    early = len(wrong) - never - exact - len(late)
    counts = (early, exact, len(late), never)
    shares = [count / len(wrong) for count in counts]
    return Timing(*shares, steps_late=float(np.mean(late)) if late else nan)
