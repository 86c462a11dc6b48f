"""Fit the table of compute-optimal scaling, and say what it gains (Snell et al. 2024, §3.2).

A gain is cross-validated: the strategy for a problem is chosen by the results of others alone.
What it costs to find a problem's bin counts in none of these numbers, as in the paper. Pure, given
the runs.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, NamedTuple
from zlib import crc32

from ttc_client.analysis.curves import (
    SELECTION,
    Curve,
    Measure,
    Point,
    Points,
    independent_samples,
    kind_of,
    labelled,
    own_differences,
)
from ttc_client.analysis.difficulty import NUM_BINS, Judge, ease, edges
from ttc_client.analysis.statistics import Comparison, Estimate, compare, estimate
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Record
from ttc_client.search.strategies import STRATEGIES, find_strategy
from ttc_client.search.table import Budget, Choice, Origin, Table, bin_of

JUDGES: tuple[Judge, ...] = ("oracle", "model")
NUM_FOLDS = 5

_MEASURES: dict[Judge, Measure] = {"oracle": "oracle bins", "model": "model bins"}
_MAY_DIFFER = {"m", "own"}
_FEWEST_PROBLEMS = 2 * NUM_BINS
_PROBE_SHARE, _LARGEST_PROBE = 4, 8


class Arm(NamedTuple):
    """A way to spend a budget; `m` is None for strategies without a beam width."""

    strategy: str
    m: int | None

    @property
    def name(self) -> str:
        """The arm in words."""
        return f"{self.strategy} M={self.m}" if self.m else self.strategy


@dataclass(frozen=True, slots=True)
class Evidence:
    """What runs say of the problems that every arm has done: results at each N, and difficulty."""

    arms: Mapping[int, Mapping[Arm, Point]]
    ease: Mapping[Judge, Mapping[str, float]]
    problems: frozenset[str]
    origin: Origin


@dataclass(frozen=True, slots=True)
class Validation:
    """Compute-optimal scaling at N on problems that its tables were not fitted on.

    `single` is the best single strategy, chosen in hindsight; `gain` compares with it.
    """

    n: int
    judge: Judge
    accuracy: Estimate
    single: Arm
    single_accuracy: Estimate
    gain: Comparison


def read_evidence(runs: Sequence[Run], points: Points) -> Evidence:
    """Collect what runs say; `points` are their curves. They may differ in M and in problems.

    Raises ConfigError for runs that no table can be fitted on.
    """
    settings = _shared_settings(runs)
    _check_known(runs)
    easiness: dict[Judge, dict[str, float]] = {judge: ease(runs, judge) for judge in JUDGES}
    _check_strategies(runs)
    arms = _arms(runs, points)
    problems = frozenset(easiness["model"]).intersection(
        *(point.right for by_arm in arms.values() for point in by_arm.values())
    )
    if len(problems) < _FEWEST_PROBLEMS:
        raise ConfigError(
            f"{len(problems)} problems have been put through every strategy at every N: a table "
            f"needs at least {_FEWEST_PROBLEMS} of them"
        )
    named = {name: settings.pop(name, None) for name in ("policy", "prm", "dataset", "reduction")}
    origin = Origin(**named, num_problems=len(problems), settings=settings)
    return Evidence(arms, easiness, problems, origin)


def fit(evidence: Evidence, judge: Judge, problems: Collection[str]) -> Table:
    """Choose the best arm for each N and bin on these problems alone, from which come the edges."""
    easiness = evidence.ease[judge]
    parting = edges({name: easiness[name] for name in problems})
    bins: list[list[str]] = [[] for _ in range(NUM_BINS)]
    for name in sorted(problems):
        bins[bin_of(easiness[name], parting) - 1].append(name)
    budgets = tuple(
        Budget(
            n,
            probe=max(1, min(n // _PROBE_SHARE, _LARGEST_PROBE)),
            choices=tuple(_choose(arms, members, problems) for members in bins),
        )
        for n, arms in evidence.arms.items()
    )
    return Table(parting, budgets, replace(evidence.origin, num_problems=len(problems)))


def cross_validate(evidence: Evidence, judge: Judge) -> dict[int, dict[str, Arm]]:
    """Return, by N, the arm for each problem by a table that was fitted without its fold."""
    chosen: dict[int, dict[str, Arm]] = {n: {} for n in evidence.arms}
    for fold in folds(evidence.problems):
        table = fit(evidence, judge, evidence.problems - fold)
        for n, by_problem in chosen.items():
            for name in fold:
                choice = table.choice(n, evidence.ease[judge][name])
                by_problem[name] = Arm(choice.strategy, choice.m)
    return chosen


def folds(problems: Collection[str]) -> Iterator[frozenset[str]]:
    """Part problems into folds, by their ids alone."""
    shuffled = sorted(problems, key=lambda name: (crc32(name.encode()), name))
    for index in range(NUM_FOLDS):
        yield frozenset(shuffled[index::NUM_FOLDS])


def optimal_curves(evidence: Evidence) -> Points:
    """Return the cross-validated curve for each way of judging difficulty."""
    return {
        Curve("compute-optimal", _MEASURES[judge]): {
            n: _point(evidence.arms[n], by_problem)
            for n, by_problem in cross_validate(evidence, judge).items()
        }
        for judge in JUDGES
    }


def validate(evidence: Evidence) -> list[Validation]:
    """Compare compute-optimal scaling with the best single strategy, at each N."""
    found: list[Validation] = []
    curves = optimal_curves(evidence)
    for n, arms in evidence.arms.items():
        single = _best(arms, evidence.problems)
        alone = arms[single].among(evidence.problems)
        for judge in JUDGES:
            right = curves[Curve("compute-optimal", _MEASURES[judge])][n].right
            gain = compare(right, alone)
            found.append(Validation(n, judge, estimate(right), single, estimate(alone), gain))
    return found


def _shared_settings(runs: Sequence[Run]) -> dict[str, Any]:
    """Return how the runs searched; raises ConfigError where they did so differently."""
    ignored = (SELECTION - {"dataset"}) | _MAY_DIFFER
    names = [name for run in runs for name in run.settings if name not in ignored]
    first = runs[0]
    for name in dict.fromkeys(names):
        for run in runs:
            if run.settings.get(name) != first.settings.get(name):
                raise _differs(name, first, first.settings.get(name), run, run.settings.get(name))
    for name, *where in own_differences(runs):
        if name != "table":
            raise _differs(name, *where)
    return {name: first.settings[name] for name in first.settings if name not in ignored}


def _differs(name: str, one: Run, before: Any, other: Run, value: Any) -> ConfigError:
    return ConfigError(
        f"{name} is {before!r} in {one.path} and {value!r} in {other.path}: fit a table on runs "
        "that differ in M and in problems alone"
    )


def _check_known(runs: Sequence[Run]) -> None:
    for run in runs:
        if "m" not in run.settings:
            raise ConfigError(
                f"{run.path} was imported, so its M is not known: fit a table on runs of ttc bench"
            )


def _check_strategies(runs: Sequence[Run]) -> None:
    if not any(True for _ in independent_samples(runs)):
        raise ConfigError(
            "there are no best-of-n samples, off which the bins of difficulty are read: run ttc "
            "bench with -s best-of-n too"
        )
    if not any(_is_choice(run, record) for run in runs for record in run.records.values()):
        raise ConfigError(
            "best-of-n is the only strategy to choose: run ttc bench with -s beam,dvts too"
        )


def _is_choice(run: Run, record: Record) -> bool:
    """Whether a search does something else than to sample independent completions."""
    return not record.allocation and kind_of(run.settings, record) in ("tree", "chains")


def _arms(runs: Sequence[Run], points: Points) -> dict[int, dict[Arm, Point]]:
    """Return the arms by N, for the Ns of the runs' grids; of equal arms the first run's counts."""
    grid = sorted({n for run in runs for n in run.settings.get("n", ())})
    widths = {label: run.settings.get("m") for label, run in labelled(runs)}
    guided = {r.strategy for run in runs for r in run.records.values() if _is_choice(run, r)}
    wide = {name for name in guided if find_strategy(name).takes_m}
    found: dict[Arm, dict[int, Point]] = {}
    for curve, by_n in points.items():
        if curve.is_main and not curve.is_baseline and curve.measure != "table":
            m = widths[curve.label] if curve.strategy in wide else None
            known = found.setdefault(Arm(curve.strategy, m), {})
            for n, point in by_n.items():
                known[n] = _joined(known[n], point) if n in known else point
    order = {name: place for place, name in enumerate(STRATEGIES)}  # among equally good ones
    ranked = sorted(found, key=lambda arm: (order.get(arm.strategy, len(order)), arm.m or 0))
    by_budget = {n: {arm: found[arm][n] for arm in ranked if n in found[arm]} for n in grid}
    return {n: arms for n, arms in by_budget.items() if len(arms) > 1}


def _joined(one: Point, other: Point) -> Point:
    return Point({**other.right, **one.right}, {**other.costs, **one.costs})


def _choose(arms: Mapping[Arm, Point], members: Sequence[str], problems: Collection[str]) -> Choice:
    arm = _best(arms, members or problems)
    accuracy = _accuracy(arms[arm], members) if members else None
    return Choice(arm.strategy, arm.m, accuracy, len(members))


def _best(arms: Mapping[Arm, Point], problems: Collection[str]) -> Arm:
    return max(arms, key=lambda arm: _accuracy(arms[arm], problems))


def _accuracy(point: Point, problems: Collection[str]) -> float:
    return fmean(fmean(point.right[name].values()) for name in problems)


def _point(arms: Mapping[Arm, Point], by_problem: Mapping[str, Arm]) -> Point:
    """Put a curve's point together from the arms that were chosen for the problems."""
    return Point(
        {name: arms[arm].right[name] for name, arm in by_problem.items()},
        {name: arms[arm].costs.get(name, {}) for name, arm in by_problem.items()},
    )
