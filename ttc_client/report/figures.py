"""Draw the figures of a report with matplotlib, an extra."""

from collections.abc import Mapping, Sequence
from math import nan
from typing import Any

from ttc_client.analysis.calibration import Calibration
from ttc_client.analysis.curves import Curve, Points
from ttc_client.analysis.statistics import Estimate, Values, estimate
from ttc_client.report.axes import (
    WIDE,
    Shape,
    axes_of,
    budget_ticks,
    cost_ticks,
    group_ticks,
    legend,
)
from ttc_client.report.palette import FAINT, INK, colour, style, vote_colour
from ttc_client.report.tables import ModelSizes

_APART = 1.03
"""How far intervals at the same N are drawn apart, as a factor."""
_BUDGET = "N: generations per problem"


def accuracy_figure(points: Points, baselines: Mapping[str, float], shape: Shape = WIDE) -> Any:
    """Draw accuracy against N, with 95 % intervals, for the vote that each strategy decides by.

    Greedy decoding and the baselines, shares of 1 by name, are horizontal lines.
    """
    figure, axes = axes_of(shape, "accuracy against N", _BUDGET, log=2)
    _lines(axes, _alone(points))
    levels = {
        curve.name: estimate(by_n[1].right).mean
        for curve, by_n in points.items()
        if curve.is_baseline and 1 in by_n
    }
    for index, (name, accuracy) in enumerate({**levels, **baselines}.items()):
        label = f"{name} {100 * accuracy:.1f}"
        dashes = (0, (4, 2 + 2 * index))
        axes.axhline(100 * accuracy, color=FAINT, linewidth=1, linestyle=dashes, label=label)
    budget_ticks(shape, [axes], {n for by_n in points.values() for n in by_n})
    legend(shape, figure, axes)
    return figure


def optimal_figure(points: Points, optimal: Points, shape: Shape = WIDE) -> Any:
    """Draw the curves of compute-optimal scaling beside those of the single strategies."""
    figure, axes = axes_of(shape, "compute-optimal scaling", _BUDGET, log=2)
    alone = _alone(points)
    _lines(axes, {**alone, **optimal})
    budget_ticks(shape, [axes], {n for by_n in alone.values() for n in by_n})
    legend(shape, figure, axes)
    return figure


def votes_figure(points: Points, shape: Shape = WIDE) -> Any:
    """Draw accuracy against N for every vote, and the oracle's pass@N: a panel per strategy.

    Majority voting, which needs no verifier, is in each of them. Searches by a table of
    compute-optimal scaling, which decide by the vote that it chose, are in none.
    """
    by_table = {c.strategy for c in points if c.measure == "table"}
    drawn = [c for c in points if not c.is_baseline and c.strategy not in by_table]
    unscored = {c.strategy for c in drawn if not c.is_scored}
    panels = list(dict.fromkeys(c.strategy for c in drawn if c.is_scored)) or sorted(unscored)
    figure, *all_axes = axes_of(shape, "", "N", panels=len(panels), log=2)
    for strategy, axes in zip(panels, all_axes, strict=True):
        axes.set_title(strategy, fontsize=10)
        for curve in drawn:
            if curve.strategy == strategy or curve.strategy in unscored:
                means = [100 * estimate(point.right).mean for point in points[curve].values()]
                axes.plot(list(points[curve]), means, **_vote_style(curve))
    budget_ticks(shape, all_axes, {n for curve in drawn for n in points[curve]})
    legend(shape, figure, *all_axes)
    return figure


def groups_figure(
    points: Points, groups: Mapping[str, Sequence[str]], what: str, shape: Shape = WIDE
) -> Any:
    """Draw bars of accuracy by group of problems, each strategy at its largest N."""
    figure, axes = axes_of(shape, f"accuracy by {what}", what)
    curves = [curve for curve in points if curve.is_main]
    width = 0.8 / max(1, len(curves))
    for index, curve in enumerate(curves):
        n, point = max(points[curve].items(), key=lambda item: item[0])
        found = [_estimate(point.among(set(ids))) for ids in groups.values()]
        places = [place + (index - (len(curves) - 1) / 2) * width for place in range(len(groups))]
        axes.bar(
            places,
            [100 * f.mean for f in found],
            width,
            yerr=_errors(found),
            color=colour(curve.strategy),
            ecolor=INK,
            error_kw={"elinewidth": 0.8},
            label=f"{curve.name}, N={n}",
        )
    group_ticks(shape, axes, list(groups), [len(ids) for ids in groups.values()])
    axes.grid(visible=False, axis="x")
    legend(shape, figure, axes)
    return figure


def cost_figure(points: Points, sizes: ModelSizes, shape: Shape = WIDE) -> Any:
    """Draw accuracy against tokens per problem: the policy's, and the PRM's by their sizes."""
    what = f"tokens per problem: the policy's + {sizes.ratio:.3g} × the PRM's"
    figure, axes = axes_of(shape, "accuracy against cost", what, log=10)
    all_costs: list[float] = []
    for curve, by_n in points.items():
        if curve.is_main:
            spent = [point.spent for point in by_n.values()]
            costs = [nan if cost is None else cost.weighed(sizes.ratio) for cost in spent]
            _line(axes, curve, costs, [estimate(point.right) for point in by_n.values()])
            all_costs += costs
    cost_ticks(shape, axes, all_costs)
    legend(shape, figure, axes)
    return figure


def calibration_figure(found: Calibration, shape: Shape = WIDE) -> Any:
    """Draw the share of right samples against their reward; perfect PRMs lie on the diagonal."""
    title = f"PRM calibration (error {found.error:.3f}, AUC {found.auc:.3f})"
    figure, axes = axes_of(shape, title, "reward", "samples that are right (%)")
    axes.plot([0, 1], [0, 100], color=FAINT, linewidth=1, linestyle="--")
    most = max(found.counts)
    sizes = [20 + 180 * count / most for count in found.counts]
    shares = [100 * share for share in found.right]
    ink = vote_colour("weighted")
    axes.plot(found.rewards, shares, color=ink, linewidth=1)
    axes.scatter(found.rewards, shares, s=sizes, color=ink, alpha=0.7)
    return figure


def _alone(points: Points) -> Points:
    """Return the curves of the vote that each strategy decides by, without greedy's one point."""
    return {c: by_n for c, by_n in points.items() if c.is_main and not c.is_baseline}


def _lines(axes: Any, points: Points) -> None:
    """Draw curves against N, their intervals side by side."""
    for index, (curve, by_n) in enumerate(points.items()):
        shift = _APART ** (index - (len(points) - 1) / 2)
        found = {n * shift: estimate(point.right) for n, point in by_n.items()}
        _line(axes, curve, list(found), list(found.values()))


def _line(axes: Any, curve: Curve, xs: Sequence[float], found: Sequence[Estimate]) -> None:
    means, errors = [100 * f.mean for f in found], _errors(found)
    axes.errorbar(xs, means, errors, **style(curve), elinewidth=0.8, capsize=2, label=curve.name)


def _vote_style(curve: Curve) -> dict[str, object]:
    if not curve.is_scored:
        return {**style(curve), "label": f"{curve.strategy} strategy"}
    label = f"{curve.measure}{curve.label and f' · {curve.label}'}"
    drawn = style(curve)
    above = 0 if drawn["linestyle"] == "-" else 1  # dashes can be seen on a line, not below it
    return {**drawn, "color": vote_colour(curve.measure), "label": label, "zorder": 2 + above / 2}


def _estimate(values: Values) -> Estimate:
    return estimate(values) if values else Estimate(nan, nan, nan, nan, 0, 0)


def _errors(found: Sequence[Estimate]) -> list[list[float]]:
    return [[100 * (f.mean - f.low) for f in found], [100 * (f.high - f.mean) for f in found]]
