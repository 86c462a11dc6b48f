"""Say what runs found, in sentences that the intervals decide.

A difference counts where the 95 % interval of the paired difference leaves out 0; where it holds
0, the two are level. Pure, given the curves; knows nothing of pages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from math import isfinite

from ttc_client.analysis.curves import Curve, Point, Points
from ttc_client.analysis.optimal import Validation
from ttc_client.analysis.statistics import Comparison, Estimate, compare, estimate

FEWEST_PROBLEMS = 6
"""With fewer, not even all of them in one direction would be a difference at the 5 % level."""

_RATIOS = (
    *((1 / 10, "a tenth of the tokens"), (1 / 8, "an eighth of the tokens")),
    *((1 / 6, "a sixth of the tokens"), (1 / 5, "a fifth of the tokens")),
    *((1 / 4, "a quarter of the tokens"), (1 / 3, "a third of the tokens")),
    *((1 / 2, "half the tokens"), (1.0, "as many tokens"), (2.0, "twice the tokens")),
    *((3.0, "three times the tokens"), (4.0, "four times the tokens")),
)
_NEAR = 0.08
_MOST_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """A strategy, by the vote that decides, at a budget; and how it did."""

    curve: Curve
    n: int
    point: Point
    found: Estimate

    @property
    def name(self) -> str:
        """The setting in words, such as `dvts at 16`."""
        return name_of(self.curve) if self.is_baseline else f"{name_of(self.curve)} at {self.n}"

    @property
    def is_baseline(self) -> bool:
        """Whether this is greedy decoding, which has no budget."""
        return self.curve.is_baseline

    @property
    def accuracy(self) -> float:
        """The share of problems that are right."""
        return self.found.mean

    @property
    def tokens(self) -> float | None:
        """Tokens generated per search, None where they are not known."""
        return self.point.spent.completion_tokens if self.point.spent else None


def findings(
    points: Points, baselines: Mapping[str, float], validated: Sequence[Validation] = ()
) -> list[str]:
    """Return sentences on each strategy at its largest N, the best first, and on what is cheapest.

    `baselines` are shares of 1 by name; `validated` says what compute-optimal scaling gains.
    """
    settings = _settings(points)
    if not settings:
        return []
    largest = {setting.curve: setting for setting in settings}
    told = sorted(largest.values(), key=lambda s: (-s.accuracy, s.tokens or 0.0))
    found = [_on(setting, settings, told) for setting in told]
    found += _cheapest(told[0], settings)
    found += _over_baselines(told, settings, baselines)
    return [*found, *_on_optimal(validated), *_resolution(told)]


def name_of(curve: Curve) -> str:
    """Return a curve's name, with its vote only where the strategy does not decide by it."""
    vote = " (tournament)" if curve.measure == "tournament" else ""
    return curve.strategy + vote + (f" · {curve.label}" if curve.label else "")


def ratio(one: float | None, other: float | None) -> str:
    """Say how one number of tokens relates to another: "a quarter of the tokens"."""
    if not one or not other:
        return ""
    share = one / other
    for exact, words in _RATIOS:
        if abs(share / exact - 1) <= _NEAR:
            return words
    return f"{share:.2g} times the tokens" if share < 100 else f"{share:,.0f} times the tokens"


def interval(found: Comparison | Estimate) -> str:
    """Return an interval in points: whole ones where both ends are far from 0.

    An end that is not 0 is not rounded to it.
    """
    low, high = 100 * found.low, 100 * found.high
    digits = 0 if min(abs(low), abs(high)) >= 10 else 1
    while digits < _MOST_DIGITS and any(end and not round(end, digits) for end in (low, high)):
        digits += 1
    low, high = (round(end, digits) + 0.0 for end in (low, high))  # 0.0 for -0.0
    return f"({low:.{digits}f} to {high:.{digits}f})"


def relation(found: Comparison, other: str) -> str:
    """Say how a difference stands to nothing: "+31.3 on greedy (28 to 35)", or level."""
    if found.low <= 0 <= found.high:
        return f"level with {other} {interval(found)}"
    return f"{100 * found.difference:+.1f} on {other} {interval(found)}"


def _settings(points: Points) -> list[Setting]:
    return [
        Setting(curve, n, point, estimate(point.right))
        for curve, by_n in points.items()
        if curve.is_main
        for n, point in sorted(by_n.items())
    ]


def _compared(one: Setting, other: Setting) -> Comparison | None:
    shared = one.point.right.keys() & other.point.right.keys()
    if len(shared) < FEWEST_PROBLEMS:
        return None
    return compare(one.point.right, other.point.right)


def _on(setting: Setting, settings: list[Setting], told: list[Setting]) -> str:
    """Say how right a setting is, against greedy decoding and against the best of the others."""
    parts = [f"{100 * setting.accuracy:.1f} %"]
    if not setting.is_baseline:
        greedy = _greedy_for(setting, told)
        if greedy and (found := _compared(setting, greedy)):
            parts.append(relation(found, "greedy"))
        others = [s for s in settings if s.curve != setting.curve and not s.is_baseline]
        best = max(others, key=lambda s: (s.accuracy, -(s.tokens or 0.0)), default=None)
        if best and (found := _compared(setting, best)):
            cost = ratio(setting.tokens, best.tokens)
            parts.append(relation(found, best.name) + (f" at {cost}" if cost else ""))
    return f"{setting.name}: {', '.join(parts)}."


def _greedy_for(setting: Setting, told: list[Setting]) -> Setting | None:
    """Return greedy decoding of the same run, or the only one there is."""
    greedy = [s for s in told if s.is_baseline]
    same = [s for s in greedy if s.curve.label == setting.curve.label]
    return (same or (greedy if len(greedy) == 1 else [None]))[0]


def _cheapest(best: Setting, settings: list[Setting]) -> Iterator[str]:
    """Name the setting that takes the fewest tokens of those that are level with the best."""
    cheaper = sorted(
        (s for s in settings if s.tokens and best.tokens and s.tokens < best.tokens),
        key=lambda s: s.tokens or 0.0,
    )
    compared = False
    for setting in cheaper:
        if found := _compared(setting, best):
            compared = True
            if found.low <= 0 <= found.high:
                cost = ratio(setting.tokens, best.tokens)
                level = f"{setting.name} {interval(found)}, {cost}"
                yield f"Cheapest that is level with the best: {level}."
                return
    if compared:
        yield f"Nothing cheaper is level with {best.name}."


def _over_baselines(
    told: list[Setting], settings: list[Setting], baselines: Mapping[str, float]
) -> Iterator[str]:
    """Say from which N on each strategy is above each baseline, by its interval."""
    for name, accuracy in baselines.items():
        of_curves = [[s for s in settings if s.curve == best.curve] for best in told]
        above = [found for by_n in of_curves if (found := _from_on(by_n, accuracy))]
        yield f"Above {name} ({100 * accuracy:.1f} %): {', '.join(above) or 'nothing'}."


def _from_on(by_n: list[Setting], accuracy: float) -> str:
    """Name the budget from which on a strategy is above an accuracy; nothing where it is not."""

    def is_above(setting: Setting) -> bool:
        return setting.found.low > accuracy and len(setting.point.right) >= FEWEST_PROBLEMS

    above = list(takewhile(is_above, reversed(by_n)))
    if not above:
        return ""
    first = above[-1]
    return first.name if first.is_baseline else f"{name_of(first.curve)} from N={first.n}"


def _on_optimal(validated: Sequence[Validation]) -> list[str]:
    """Say what compute-optimal scaling gains at its largest N, for each way of judging."""
    largest = max((found.n for found in validated), default=0)
    return [
        f"Compute-optimal at {found.n} ({found.judge} bins), cross-validated: "
        f"{100 * found.accuracy.mean:.1f} %, "
        f"{relation(found.gain, f'{found.single.name}, the best single strategy')}."
        for found in validated
        if found.n == largest and found.gain.num_problems >= FEWEST_PROBLEMS
    ]


def _resolution(told: list[Setting]) -> Iterator[str]:
    """Say what differences so few problems can show, so that `level` is not read as `equal`."""
    best, *others = told
    compared = [found for other in others if (found := _compared(best, other))]
    widths = [(found.high - found.low) / 2 for found in compared]
    known = sorted(width for width in widths if isfinite(width) and width > 0)
    if known:
        problems = max(found.num_problems for found in compared)
        yield (
            f"Level: the interval of the difference holds 0. {problems} problems show differences "
            f"of about {100 * known[len(known) // 2]:.0f} points and more."
        )
    elif others:
        num = max(len(setting.point.right) for setting in told)
        yield f"{num} problem{'s' if num > 1 else ''} cannot show a difference between strategies."
