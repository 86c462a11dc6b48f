"""Make curves of runs: accuracy and cost of each strategy and vote at each budget.

Pure, given the runs; knows nothing of figures or pages.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from statistics import fmean
from typing import Any, Literal, NamedTuple, Self
from zlib import crc32

import msgspec
import numpy as np

from ttc_client.analysis.statistics import Values
from ttc_client.analysis.subsets import Samples, pass_rates, vote_rates
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Cost, Record, key_of
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import STRATEGIES, find_strategy, unscored_twin
from ttc_client.search.strategy import Kind
from ttc_client.types import Vote

Measure = Literal[
    "prm", "weighted", "majority", "tournament", "pass", "table", "oracle bins", "model bins"
]
"""How an answer is chosen; `pass` is the oracle's choice: whether any candidate is right.

The last three are of compute-optimal scaling alone: as a search did it by its table, and as it is
put together, in cross-validation, from searches by other strategies.
"""

VOTES: tuple[Vote, ...] = ("prm", "weighted", "majority")

SELECTION = {
    *("dataset", "left_out", "levels", "limit", "shard", "problems"),
    *("strategy", "n", "seed"),
}
"""The settings of a run that say what it searches, and not how."""


class Curve(NamedTuple):
    """A line of a figure: a strategy, a vote, and a label where runs have other settings."""

    strategy: str
    measure: Measure
    label: str = ""

    @property
    def name(self) -> str:
        """The curve in words."""
        plain = self.measure == "majority" and self.is_main and not self.is_scored
        vote = "" if plain else f" ({self.measure})"
        return f"{self.strategy}{vote}{self.label and f' · {self.label}'}"

    @property
    def is_main(self) -> bool:
        """Whether this is the vote that the strategy decides by."""
        by_default = find_strategy(self.strategy).vote(SearchParams())
        return self.measure in ("table", "tournament", by_default)

    @property
    def is_scored(self) -> bool:
        """Whether the strategy uses a verifier."""
        return find_strategy(self.strategy).needs != "nothing"

    @property
    def is_baseline(self) -> bool:
        """Whether the strategy is the same at every N and seed, as greedy decoding is."""
        strategy = find_strategy(self.strategy)
        return strategy.samples(SearchParams(), strategy.settings()) == "fixed"

    @property
    def order(self) -> tuple[int, str, str]:
        """Where the curve stands among others: by the table of strategies."""
        places = {name: place for place, name in enumerate(STRATEGIES)}
        return places.get(self.strategy, len(places)), self.measure, self.label


@dataclass(frozen=True, slots=True)
class Spent:
    """What a search takes on average. Tokens that came from a cache count in none of these.

    `wall_s` is None where the searches were part of larger ones.
    """

    completion_tokens: float
    prompt_tokens: float
    prm_tokens: float
    requests: float
    wall_s: float | None

    @classmethod
    def of(cls, cost: Cost, share: float, *, uses_prm: bool) -> Self:
        """Return what a part of a recorded search takes, without the PRM where it needs none."""
        usage, prm_share = cost.usage, share * uses_prm
        return cls(
            completion_tokens=share * usage.completion_tokens,
            prompt_tokens=share * (usage.prompt_tokens - usage.cached_tokens),
            prm_tokens=prm_share * (usage.prm_tokens - usage.prm_cached_tokens),
            requests=share * usage.policy_requests + prm_share * usage.prm_requests,
            wall_s=cost.wall_s if share == 1 else None,
        )

    @classmethod
    def mean(cls, spent: Sequence[Self]) -> Self:
        """Return the mean of one or more."""
        times = [s.wall_s for s in spent if s.wall_s is not None]
        return cls(
            completion_tokens=fmean(s.completion_tokens for s in spent),
            prompt_tokens=fmean(s.prompt_tokens for s in spent),
            prm_tokens=fmean(s.prm_tokens for s in spent),
            requests=fmean(s.requests for s in spent),
            wall_s=fmean(times) if len(times) == len(spent) else None,
        )

    def weighed(self, ratio: float) -> float:
        """Return the tokens that were written and scored, with those of the PRM times a ratio."""
        return self.completion_tokens + ratio * self.prm_tokens

    def flops(self, policy_params: float, prm_params: float) -> float:
        """Return the operations of models of these sizes: two per parameter and token."""
        policy_tokens = self.prompt_tokens + self.completion_tokens
        return 2 * (policy_params * policy_tokens + prm_params * self.prm_tokens)


@dataclass(slots=True)
class Point:
    """A curve at one budget N, by problem: how often it was right, for each seed, and its costs."""

    right: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    costs: dict[str, dict[int, Spent]] = field(default_factory=dict[str, dict[int, Spent]])

    def among(self, ids: Collection[str]) -> Values:
        """Return what concerns some of the problems."""
        return {name: seeds for name, seeds in self.right.items() if name in ids}

    @property
    def spent(self) -> Spent | None:
        """The mean cost of a search, or None where it is not known."""
        costs = [spent for seeds in self.costs.values() for spent in seeds.values()]
        return Spent.mean(costs) if costs else None


Points = dict[Curve, dict[int, Point]]
"""The curves; each has its points by N, from small to large."""


def read_curves(runs: Sequence[Run]) -> Points:
    """Return all curves that the finished searches of some runs make.

    Runs that differ only in their problems and grids are merged: shards, say, or more seeds. What
    can be read off several searches is read off the largest. Raises ConfigError for a strategy
    that is not known.
    """
    points: Points = {}
    for label, run in labelled(runs):
        for key, record in sorted(run.records.items(), key=lambda item: item[0].n):
            kind = kind_of(run.settings, record)
            for curve, n, right in _readings(record, kind, run.settings.get("n", ()), label):
                point = points.setdefault(curve, {}).setdefault(n, Point())
                point.right.setdefault(record.id, {})[record.seed] = right
                if cost := run.costs.get(key):
                    spent = Spent.of(cost, n / record.n, uses_prm=curve.is_scored)
                    point.costs.setdefault(record.id, {})[record.seed] = spent
    ordered = sorted(points, key=lambda curve: curve.order)
    return {curve: dict(sorted(points[curve].items())) for curve in ordered}


def kind_of(settings: Mapping[str, Any], record: Record) -> Kind:
    """Return how the samples of a run's search depend on each other; raises ConfigError."""
    strategy = find_strategy(record.strategy)
    named = {f.name for f in fields(SearchParams)} - {"strategy", "n", "seed", "vote", "settings"}
    shared = {name: settings[name] for name in named if name in settings}
    try:
        own = msgspec.convert(settings.get("own", {}).get(record.strategy, {}), strategy.settings)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"the run's settings of {record.strategy} are damaged: {error}"
        ) from error
    params = SearchParams(**shared, strategy=record.strategy, n=record.n, seed=record.seed)
    return strategy.samples(params, own)


def independent_samples(runs: Iterable[Run]) -> Iterator[Record]:
    """Return the finished searches that scored independent samples, as best-of-n does."""
    for run in runs:
        for record in run.records.values():
            is_scored = find_strategy(record.strategy).needs != "nothing"
            if record.samples and is_scored and kind_of(run.settings, record) == "independent":
                yield record


def samples_of(record: Record) -> Samples:
    """Return the candidates of a search as samples, each as often as it was sampled."""
    drawn = [
        (-1 if sample.answer is None else sample.answer, sample.reward or 0.0)
        for sample in record.samples
        for _ in range(int(sample.votes))
    ]
    return Samples(
        answers=np.array([answer for answer, _ in drawn], dtype=np.int64),
        rewards=np.array([reward for _, reward in drawn]),
        right=np.array([graded.grade for graded in record.answers], dtype=np.float64),
    )


def labelled(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Label runs by their directories if their settings differ; those with equal ones alike.

    What belongs to a strategy alone is compared where two runs have that strategy.
    """
    alike: dict[str, list[Run]] = {}
    labels: list[str] = []
    for run in runs:
        label = next((name for name, group in alike.items() if _are_alike(run, group)), "")
        if not label:
            label = str(run.path) if run.path.name in alike else run.path.name
        alike.setdefault(label, []).append(run)
        labels.append(label)
    for label, run in zip(labels, runs, strict=True):
        yield label if len(alike) > 1 else "", run


def _are_alike(run: Run, others: Sequence[Run]) -> bool:
    ignored = SELECTION | {"own"}
    shared = [{k: v for k, v in r.settings.items() if k not in ignored} for r in (run, *others)]
    if shared[0] != shared[1]:
        return False
    return not any(True for _ in own_differences((run, *others)))


def own_differences(runs: Sequence[Run]) -> Iterator[tuple[str, Run, Any, Run, Any]]:
    """Return which settings of one strategy alone differ, and in which runs they have which value.

    A run says nothing of a strategy that it does not have.
    """
    first: dict[tuple[str, str], tuple[Run, Any]] = {}
    for run in runs:
        for strategy, own in run.settings.get("own", {}).items():
            for name, value in own.items():
                known, before = first.setdefault((strategy, name), (run, value))
                if before != value:
                    yield name, known, before, run, value


def _readings(
    record: Record, kind: Kind, budgets: Sequence[int], label: str
) -> Iterator[tuple[Curve, int, float]]:
    """Return what a search says: curves, budgets, and how right the answer is there."""
    if record.error:
        return
    if kind == "independent":
        yield from _subset_readings(record, budgets, label)
    elif record.allocation:
        yield Curve(record.strategy, "table", label), record.n, record.grade
    else:
        for vote, grade in record.grades.items():
            yield Curve(record.strategy, vote, label), record.n, grade
    if kind in ("tree", "chains"):
        yield Curve(record.strategy, "pass", label), record.n, record.best_grade


def _subset_readings(
    record: Record, budgets: Sequence[int], label: str
) -> Iterator[tuple[Curve, int, float]]:
    """Read the budgets, and the powers of two, off the samples of one search."""
    samples, strategy = samples_of(record), find_strategy(record.strategy)
    powers = {1 << exponent for exponent in range(record.n.bit_length())}
    ks = sorted(k for k in {*budgets, *powers, record.n} if k <= record.n)
    seed = crc32(repr(key_of(record)).encode())
    for vote, grade in record.grades.items():
        if vote == "tournament":  # of which no smaller one can be read off
            yield Curve(record.strategy, vote, label), record.n, grade
            continue
        by = unscored_twin(strategy) if vote == "majority" else strategy
        rates = vote_rates(samples, vote, ks, seed)
        rates[-1] = grade
        for k, rate in zip(ks, rates, strict=True):
            yield Curve(by.name, vote, label), k, rate
    for k, rate in zip(ks, pass_rates(samples, ks), strict=True):
        yield Curve(record.strategy, "pass", label), k, rate
