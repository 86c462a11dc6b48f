"""Draw the figures of a report with matplotlib, an extra. Draws on no screen."""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from ttc_client.analysis.calibration import Calibration
from ttc_client.analysis.curves import Curve, Points
from ttc_client.analysis.statistics import Estimate, estimate
from ttc_client.errors import ConfigError
from ttc_client.report.tables import ModelSizes
from ttc_client.report.terminal import clean
from ttc_client.search.params import UNSCORED_STRATEGIES

_COLOURS = {
    "greedy": "#777777",
    "majority": "#E69F00",
    "best-of-n": "#0072B2",
    "beam": "#009E73",
    "dvts": "#CC79A7",
    "compute-optimal": "#000000",
}
"""Okabe and Ito's, which the colour-blind can tell apart."""
_DASHES = {
    "weighted": "-",
    "majority": "--",
    "prm": ":",
    "pass": "-.",
    "oracle bins": "--",
    "table": "-.",
}
_VOTE_COLOURS = {
    "weighted": "#0072B2",
    "majority": "#56B4E9",
    "prm": "#D55E00",
    "pass": "#777777",
}
_MARKERS = "osD^v<>"
_APART = 1.03
"""How far intervals at the same N are drawn apart, as a factor."""
_NAME_LENGTH = 40
_SIZE = (7.0, 4.5)
_DPI = 150


def accuracy_figure(points: Points, baselines: Mapping[str, float]) -> Any:
    """Draw accuracy against N, with 95 % intervals, for the vote that each strategy decides by.

    Greedy decoding and the baselines, shares of 1 by name, are horizontal lines.
    """
    figure, axes = _axes("accuracy against N", "N: generations per problem", log=True)
    _lines(axes, _alone(points))
    levels = {
        curve.name: estimate(by_n[1].right).mean
        for curve, by_n in points.items()
        if curve.strategy == "greedy"
    }
    for index, (name, accuracy) in enumerate({**levels, **baselines}.items()):
        label = f"{name} {100 * accuracy:.1f}"
        dashes = (0, (4, 2 + 2 * index))
        axes.axhline(100 * accuracy, color="#777777", linewidth=1, linestyle=dashes, label=label)
    _ticks(axes, {n for by_n in points.values() for n in by_n})
    _legend(figure, axes)
    return figure


def optimal_figure(points: Points, optimal: Points) -> Any:
    """Draw the curves of compute-optimal scaling beside those of the single strategies."""
    figure, axes = _axes("compute-optimal scaling", "N: generations per problem", log=True)
    alone = _alone(points)
    _lines(axes, {**alone, **optimal})
    _ticks(axes, {n for by_n in alone.values() for n in by_n})
    _legend(figure, axes)
    return figure


def votes_figure(points: Points) -> Any:
    """Draw accuracy against N for every vote, and the oracle's pass@N: a panel per strategy.

    The majority strategy, whose samples are independent, is in each of them. Searches by a table
    of compute-optimal scaling, which decide by the vote that it chose, are in none.
    """
    drawn = [c for c in points if c.strategy not in ("greedy", "compute-optimal")]
    strategies = [s for s in dict.fromkeys(c.strategy for c in drawn) if s != "majority"]
    panels = strategies or ["majority"]
    figure, *all_axes = _axes("", "N", panels=len(panels), log=True)
    for strategy, axes in zip(panels, all_axes, strict=True):
        axes.set_title(strategy)
        for curve in drawn:
            if curve.strategy in (strategy, "majority"):
                means = [100 * estimate(point.right).mean for point in points[curve].values()]
                axes.plot(list(points[curve]), means, **_vote_style(curve))
        _ticks(axes, {n for curve in drawn for n in points[curve]})
    _legend(figure, *all_axes)
    return figure


def groups_figure(points: Points, groups: Mapping[str, Sequence[str]], what: str) -> Any:
    """Draw bars of accuracy by group of problems, each strategy at its largest N."""
    figure, axes = _axes(f"accuracy by {what}", what)
    curves = [curve for curve in points if curve.is_main]
    width = 0.8 / max(1, len(curves))
    for index, curve in enumerate(curves):
        n, point = max(points[curve].items())
        found = [_estimate(point.among(set(ids))) for ids in groups.values()]
        places = [place + (index - (len(curves) - 1) / 2) * width for place in range(len(groups))]
        axes.bar(
            places,
            [100 * f.mean for f in found],
            width,
            yerr=_errors(found),
            color=_COLOURS[curve.strategy],
            error_kw={"elinewidth": 0.8},
            label=f"{curve.name}, N={n}",
        )
    axes.set_xticks(
        range(len(groups)), [f"{_plain(name)}\n({len(ids)})" for name, ids in groups.items()]
    )
    _legend(figure, axes)
    return figure


def cost_figure(points: Points, sizes: ModelSizes) -> Any:
    """Draw accuracy against FLOPs per problem, or generated tokens if sizes are not known."""
    in_flops = bool(sizes.policy and sizes.prm)
    what = "FLOPs per problem" if in_flops else "tokens generated per problem"
    figure, axes = _axes("accuracy against cost", what, log=True)
    for curve, by_n in points.items():
        if curve.is_main:
            costs: list[float] = []
            for point in by_n.values():
                spent = point.spent
                flops = (sizes.policy or 0.0, sizes.prm or 0.0)
                cost = spent and (spent.flops(*flops) if in_flops else spent.completion_tokens)
                costs.append(cost or nan)
            _line(axes, curve, costs, [estimate(point.right) for point in by_n.values()])
    _legend(figure, axes)
    return figure


def calibration_figure(found: Calibration) -> Any:
    """Draw the share of right samples against their reward; perfect PRMs lie on the diagonal."""
    title = f"PRM calibration (error {found.error:.3f}, AUC {found.auc:.3f})"
    figure, axes = _axes(title, "reward", "samples that are right (%)")
    axes.plot([0, 1], [0, 100], color="#999999", linewidth=1, linestyle="--")
    most = max(found.counts)
    sizes = [20 + 180 * count / most for count in found.counts]
    shares = [100 * share for share in found.right]
    axes.plot(found.rewards, shares, color=_COLOURS["best-of-n"], linewidth=1)
    axes.scatter(found.rewards, shares, s=sizes, color=_COLOURS["best-of-n"], alpha=0.7)
    return figure


def write_figure(figure: Any, directory: Path, name: str) -> None:
    """Write a figure as PNG and SVG, the same bytes for the same figure."""
    import matplotlib as mpl

    figure.savefig(directory / f"{name}.png", dpi=_DPI)
    with mpl.rc_context({"svg.hashsalt": name}):  # pyright: ignore
        figure.savefig(directory / f"{name}.svg", metadata={"Date": None})


def _axes(
    title: str, xlabel: str, ylabel: str = "accuracy (%)", *, panels: int = 1, log: bool = False
) -> Any:
    """Return a figure and its panels, side by side."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("figures need an extra: pip install 'ttc-client[report]'") from None
    figure: Any = Figure(figsize=_SIZE, layout="constrained")
    drawn = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    drawn[0].set_ylabel(ylabel)
    for axes in drawn:
        axes.set_title(title)
        axes.set_xlabel(xlabel)
        axes.grid(visible=True, color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if log:
            axes.set_xscale("log", base=2 if xlabel.startswith("N") else 10)
    return figure, *drawn


def _alone(points: Points) -> Points:
    """Return the curves of the vote that each strategy decides by, but for greedy's one point."""
    return {c: by_n for c, by_n in points.items() if c.is_main and c.strategy != "greedy"}


def _lines(axes: Any, points: Points) -> None:
    """Draw curves against N, their intervals side by side."""
    for index, (curve, by_n) in enumerate(points.items()):
        shift = _APART ** (index - (len(points) - 1) / 2)
        found = {n * shift: estimate(point.right) for n, point in by_n.items()}
        _line(axes, curve, list(found), list(found.values()))


def _line(axes: Any, curve: Curve, xs: Sequence[float], found: Sequence[Estimate]) -> None:
    means, errors = [100 * f.mean for f in found], _errors(found)
    axes.errorbar(xs, means, errors, **_style(curve), elinewidth=0.8, capsize=2, label=curve.name)


def _legend(figure: Any, *all_axes: Any) -> None:
    """Name the lines below the figure, where the names cover none; each name once."""
    named: dict[str, Any] = {}
    for axes in all_axes:
        handles, names = axes.get_legend_handles_labels()
        named = {**dict(zip(names, handles, strict=True)), **named}
    names = map(_plain, named)
    figure.legend(
        named.values(), names, loc="outside lower center", ncols=3, fontsize=8, frameon=False
    )


def _plain(text: str) -> str:
    """Return a name that matplotlib draws as it stands, not as mathematics, and has room for."""
    short = text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…"
    return clean(short).replace("$", r"\$")


def _vote_style(curve: Curve) -> dict[str, Any]:
    if curve.strategy == "majority":
        return {**_style(curve), "label": curve.name.replace("majority", "majority strategy", 1)}
    label = f"{curve.measure}{curve.label and f' · {curve.label}'}"
    return {**_style(curve), "color": _VOTE_COLOURS[curve.measure], "label": label}


def _style(curve: Curve) -> dict[str, Any]:
    marker = _MARKERS[sum(map(ord, curve.label)) % len(_MARKERS)]
    dashes = "-" if curve.strategy in UNSCORED_STRATEGIES else _DASHES.get(curve.measure, "-")
    if curve.measure == "pass":
        dashes = _DASHES["pass"]
    return {
        "color": _COLOURS[curve.strategy],
        "linestyle": dashes,
        "marker": marker,
        "markersize": 4,
        "linewidth": 1.5,
    }


def _ticks(axes: Any, budgets: Iterable[int]) -> None:
    axes.set_xticks(sorted(budgets), [str(n) for n in sorted(budgets)], fontsize=8)
    axes.minorticks_off()


def _estimate(values: Any) -> Estimate:
    return estimate(values) if values else Estimate(nan, nan, nan, nan, 0, 0)


def _errors(found: Sequence[Estimate]) -> list[list[float]]:
    return [[100 * (f.mean - f.low) for f in found], [100 * (f.high - f.mean) for f in found]]
