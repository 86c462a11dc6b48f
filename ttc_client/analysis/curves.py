"""Make curves of runs: accuracy and cost of each strategy and vote at each budget.

Pure, given the runs; knows nothing of figures or pages.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Literal, NamedTuple
from zlib import crc32

import numpy as np

from ttc_client.analysis.statistics import Values
from ttc_client.analysis.subsets import Samples, pass_rates, vote_rates
from ttc_client.bench.records import Cost, Record, key_of
from ttc_client.bench.runs import Run
from ttc_client.params import TREE_STRATEGIES, UNSCORED_STRATEGIES
from ttc_client.types import Strategy, Vote

Measure = Literal["prm", "weighted", "majority", "pass"]
"""How an answer is chosen; `pass` is the oracle's choice: whether any candidate is right."""

VOTES: tuple[Vote, ...] = ("prm", "weighted", "majority")

_SELECTION = {"dataset", "levels", "limit", "shard", "problems", "strategy", "n", "seed"}


class Curve(NamedTuple):
    """A line of a figure: a strategy, a vote, and a label where runs have other settings."""

    strategy: Strategy
    measure: Measure
    label: str = ""

    @property
    def name(self) -> str:
        """The curve in words."""
        plain = self.measure == "majority" and self.strategy in UNSCORED_STRATEGIES
        vote = "" if plain else f" ({self.measure})"
        return f"{self.strategy}{vote}{self.label and f' · {self.label}'}"


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

    def flops(self, policy_params: float, prm_params: float) -> float:
        """Return the operations of models of so many parameters: two per parameter and token."""
        policy_tokens = self.prompt_tokens + self.completion_tokens
        return 2 * (policy_params * policy_tokens + prm_params * self.prm_tokens)


@dataclass(slots=True)
class Point:
    """A curve at one budget N: how often the answer was right, by problem and seed, and costs."""

    right: dict[str, dict[int, float]] = field(default_factory=dict[str, dict[int, float]])
    costs: list[Cost] = field(default_factory=list[Cost])
    share: float = 1.0
    """The part of the recorded searches that this budget stands for."""

    def among(self, ids: Collection[str]) -> Values:
        """Return what concerns some of the problems."""
        return {name: seeds for name, seeds in self.right.items() if name in ids}

    def spent(self, *, uses_prm: bool) -> Spent | None:
        """Return the mean cost of a search, or None where it is not known."""
        if not self.costs:
            return None
        usages = [cost.usage for cost in self.costs]
        prm_part = self.share * uses_prm

        def mean(part: float, counts: list[int]) -> float:
            return part * fmean(counts)

        return Spent(
            completion_tokens=mean(self.share, [u.completion_tokens for u in usages]),
            prompt_tokens=mean(self.share, [u.prompt_tokens - u.cached_tokens for u in usages]),
            prm_tokens=mean(prm_part, [u.prm_tokens - u.prm_cached_tokens for u in usages]),
            requests=mean(self.share, [u.policy_requests for u in usages])
            + mean(prm_part, [u.prm_requests for u in usages]),
            wall_s=fmean(cost.wall_s for cost in self.costs) if self.share == 1 else None,
        )


Points = dict[Curve, dict[int, Point]]
"""The curves; each has its points by N, from small to large."""


def read_curves(runs: Sequence[Run]) -> Points:
    """Return all curves that the finished searches of some runs make.

    Runs that differ in their problems and grids alone are one: shards, say, or more seeds.
    """
    points: Points = {}
    for label, run in _labelled(runs):
        for key, record in run.records.items():
            for curve, n, right in _readings(record, run.settings.get("n", ()), label):
                point = points.setdefault(curve, {}).setdefault(n, Point(share=n / record.n))
                point.right.setdefault(record.id, {})[record.seed] = right
                if cost := run.costs.get(key):
                    point.costs.append(cost)
    return {curve: dict(sorted(points[curve].items())) for curve in sorted(points)}


def samples_of(record: Record) -> Samples:
    """Return the candidates of a search as samples, each as often as it was sampled."""
    drawn = [
        (-1 if sample.answer is None else sample.answer, sample.reward or 0.0)
        for sample in record.samples
        for _ in range(sample.multiplicity)
    ]
    return Samples(
        answers=np.array([answer for answer, _ in drawn], dtype=np.int64),
        rewards=np.array([reward for _, reward in drawn]),
        right=np.array([graded.correct for graded in record.answers], dtype=np.bool_),
    )


def _labelled(runs: Sequence[Run]) -> Iterator[tuple[str, Run]]:
    """Label runs by their directories if their settings differ; those with equal ones alike."""
    labels: dict[str, str] = {}
    for run in runs:
        kept = {name: value for name, value in run.settings.items() if name not in _SELECTION}
        labels.setdefault(repr(kept), run.path.name)
    for run in runs:
        kept = {name: value for name, value in run.settings.items() if name not in _SELECTION}
        yield labels[repr(kept)] if len(labels) > 1 else "", run


def _readings(
    record: Record, budgets: Sequence[int], label: str
) -> Iterator[tuple[Curve, int, float]]:
    """Return what a search says: curves, budgets, and how often the answer is right there."""
    if record.error:
        return
    strategy, n = record.strategy, record.n
    if strategy == "greedy":
        yield Curve("greedy", "majority", label), 1, record.correct["majority"]
    elif strategy in TREE_STRATEGIES:
        for vote in VOTES:
            yield Curve(strategy, vote, label), n, record.correct[vote]
        found = any(graded.correct for graded in record.answers)
        yield Curve(strategy, "pass", label), n, found
    else:
        yield from _subset_readings(record, budgets, label)


def _subset_readings(
    record: Record, budgets: Sequence[int], label: str
) -> Iterator[tuple[Curve, int, float]]:
    """Read the budgets, and the powers of two, off the samples of one search."""
    samples, strategy = samples_of(record), record.strategy
    powers = {1 << exponent for exponent in range(record.n.bit_length())}
    ks = sorted(k for k in {*budgets, *powers, record.n} if k <= record.n)
    seed = crc32(repr(key_of(record)).encode())
    for vote in VOTES if strategy == "best-of-n" else VOTES[-1:]:
        curve = Curve("majority" if vote == "majority" else strategy, vote, label)
        rates = vote_rates(samples, vote, ks, seed)
        rates[-1] = float(record.correct[vote])
        for k, rate in zip(ks, rates, strict=True):
            yield curve, k, rate
    for k, rate in zip(ks, pass_rates(samples, ks), strict=True):
        yield Curve(strategy, "pass", label), k, rate
