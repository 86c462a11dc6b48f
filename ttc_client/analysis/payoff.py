"""Set each search against best-of-n that may spend as many tokens.

Best-of-n is read off its samples at every power of two; between two of them its cost and its
accuracy on each problem are interpolated, along the logarithm of the cost. Pure.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from statistics import fmean

from ttc_client.analysis.curves import Curve, Point, Points
from ttc_client.analysis.statistics import Comparison, Estimate, compare, estimate

BASELINE = "best-of-n"

_ROUNDING = 1e-9
Rates = dict[str, dict[int, float]]
"""How often best-of-n is right, by problem; the 0 stands for all of its seeds."""


@dataclass(frozen=True, slots=True)
class Payoff:
    """A search, and how it does beside best-of-n at the same cost.

    `tokens` are the policy's and the verifier's, weighed, of a mean search. `like_n` is the N at
    which best-of-n costs as much, at most its largest, and `is_beyond` says that the search costs
    more than that. `gain` is None for best-of-n itself and where the two share no problem. `leads`
    says that nothing as cheap, or cheaper, is more accurate.
    """

    curve: Curve
    n: int
    tokens: float
    accuracy: Estimate
    like_n: float | None
    is_beyond: bool
    gain: Comparison | None
    leads: bool

    @property
    def pays(self) -> bool:
        """Whether it is better than best-of-n at its cost, by the interval of the difference."""
        return self.gain is not None and self.gain.low > 0


def payoffs(points: Points, ratio: float) -> list[Payoff]:
    """Return the searches by the vote that each strategy decides by, the cheapest first.

    `ratio` is how many parameters the verifier has for each of the policy's. A search and
    best-of-n are compared on the problems that both have done, costs included.
    """
    main = [
        (curve, n, point, point.among(point.costs), cost(point, point.right.keys(), ratio))
        for curve, by_n in points.items()
        if curve.is_main
        for n, point in by_n.items()
        if point.right.keys() & point.costs.keys()
    ]
    found: list[Payoff] = []
    best = 0.0
    for curve, n, point, values, tokens in sorted(main, key=lambda m: (m[-1], m[0].order, m[1])):
        compared = None
        if curve.strategy != BASELINE:
            baseline = points.get(Curve(BASELINE, "weighted", curve.label), {})
            compared = _beside(point, baseline, ratio)
        like_n, is_beyond, gain = compared or (None, False, None)
        accuracy = estimate(values)
        leads, best = accuracy.mean > best, max(best, accuracy.mean)
        found.append(Payoff(curve, n, tokens, accuracy, like_n, is_beyond, gain, leads))
    return found


def cost(point: Point, problems: Collection[str], ratio: float) -> float:
    """Return the mean tokens of a search, the verifier's weighed by its size."""
    spent = [s for name in problems for s in point.costs.get(name, {}).values()]
    return fmean(s.weighed(ratio) for s in spent)


def _beside(
    point: Point, baseline: Mapping[int, Point], ratio: float
) -> tuple[float, bool, Comparison] | None:
    """Return the N at which best-of-n costs as much, whether none does, and the difference."""
    problems = point.right.keys() & point.costs.keys()
    for other in baseline.values():
        problems &= other.right.keys() & other.costs.keys()
    if not baseline or not problems:
        return None
    known = [
        (cost(other, problems, ratio), n, _rates(other, problems))
        for n, other in sorted(baseline.items())
    ]
    tokens = cost(point, problems, ratio)
    like_n, rates = _interpolated(known, tokens)
    is_beyond = tokens > known[-1][0] * (1 + _ROUNDING)
    return like_n, is_beyond, compare(point.among(problems), rates)


def _rates(point: Point, problems: Collection[str]) -> Rates:
    return {name: {0: fmean(point.right[name].values())} for name in problems}


def _interpolated(known: Sequence[tuple[float, int, Rates]], tokens: float) -> tuple[float, Rates]:
    """Return N and the rates at a cost; the nearest ones outside of what is known."""
    for (low, n, before), (high, next_n, after) in pairwise(known):
        if low <= tokens <= high and low < high:
            share = log(tokens / low) / log(high / low)
            rates = {
                name: {0: (1 - share) * before[name][0] + share * after[name][0]} for name in before
            }
            return n * (next_n / n) ** share, rates
    _, n, rates = known[0] if tokens < known[0][0] else known[-1]
    return float(n), rates
