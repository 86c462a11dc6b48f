"""Say what verifiers are worth, side by side, beside verifiers that read nothing and what others
measured. Pure, given the scores.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ttc_client.analysis.first_errors import (
    Evaluation,
    Judged,
    Paired,
    compare,
    evaluate,
    nulls,
)
from ttc_client.analysis.published import PUBLISHED, SUBSETS, Published, published_of
from ttc_client.analysis.rerank import Gain, Resampled
from ttc_client.analysis.thresholds import Threshold
from ttc_client.bench.judging import Judging, ScoredWork
from ttc_client.bench.solutions import Solution
from ttc_client.types import Usage


@dataclass(frozen=True, slots=True)
class Cost:
    """What a verifier takes: means over the solutions that it scored, and how many it failed."""

    prm_tokens: float
    prm_cached_tokens: float
    requests: float
    wall_s: float
    num_failed: int
    latest_error: str


@dataclass(frozen=True, slots=True)
class Assessed:
    """A verifier, or a null, which costs nothing."""

    name: str
    evaluation: Evaluation
    cost: Cost | None = None
    gains: tuple[Gain, ...] = ()
    published: Published | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two verifiers by name."""

    one: str
    other: str
    paired: Paired


@dataclass(frozen=True, slots=True)
class Assessment:
    """Several verifiers side by side on one data set, with what may be read beside them."""

    dataset: str
    notes: tuple[str, ...]
    verifiers: tuple[Assessed, ...]
    nulls: tuple[Assessed, ...]
    pairs: tuple[Pair, ...]
    published: tuple[Published, ...]


def assess(
    dataset: str,
    notes: Sequence[str],
    solutions: Sequence[Solution],
    judging: Judging,
    threshold: Threshold,
    run: Resampled | None = None,
) -> Assessment:
    """Return what each verifier is worth; raises ConfigError for a threshold that does not fit."""
    found: list[Assessed] = []
    judged: dict[str, list[Judged]] = {}
    subsets = {solution.subset for solution in solutions}
    is_process_bench = bool(subsets) and subsets <= set(SUBSETS)
    for name in judging.verifiers:
        scores = judging.scores(name)
        evaluation, judged[name] = evaluate(solutions, scores, threshold)
        gains = tuple(run.gains(scores)) if run else ()
        known = published_of(name) if is_process_bench else None
        found.append(Assessed(name, evaluation, _cost(judging.lines(name)), gains, known))
    beside = [
        Assessed(name, evaluate(solutions, scores, threshold)[0])
        for name, scores in nulls(solutions).items()
    ]
    pairs = [
        Pair(one, other, paired)
        for one, other in combinations(judged, 2)
        if (paired := compare(judged[one], judged[other]))
    ]
    return Assessment(
        dataset=dataset,
        notes=tuple(notes),
        verifiers=tuple(found),
        nulls=tuple(beside),
        pairs=tuple(pairs),
        published=PUBLISHED if is_process_bench else (),
    )


def _cost(lines: Sequence[ScoredWork]) -> Cost:
    usage = sum((line.usage for line in lines), Usage())
    failed = [line.error for line in lines if line.error]
    return Cost(
        prm_tokens=usage.prm_tokens / len(lines),
        prm_cached_tokens=usage.prm_cached_tokens / len(lines),
        requests=usage.prm_requests / len(lines),
        wall_s=sum(line.wall_s for line in lines) / len(lines),
        num_failed=len(failed),
        latest_error=failed[-1] if failed else "",
    )
