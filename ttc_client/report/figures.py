"""Draw the figures of a report with matplotlib, an extra. Draws on no screen."""

from collections.abc import Iterable, Mapping, Sequence
from math import nan
from pathlib import Path
from typing import Any

from ttc_client.analysis.calibration import Calibration
from ttc_client.analysis.curves import Curve, Points
from ttc_client.analysis.statistics import Estimate, estimate
from ttc_client.errors import ConfigError
from ttc_client.params import UNSCORED_STRATEGIES
from ttc_client.report.tables import ModelSizes

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
_MARKERS = "osD^v<>"
_SIZE = (7.0, 4.5)
_DPI = 150


def accuracy_figure(points: Points, baselines: Mapping[str, float]) -> Any:
    """Draw accuracy against N, with 95 % bands, for the vote that each strategy decides by.

    Greedy decoding and the baselines, shares of 1 by name, are horizontal lines.
    """
    figure, axes = _axes("accuracy against N", "N: generations per problem", log=True)
    for curve, by_n in points.items():
        if curve.is_main and curve.strategy != "greedy":
            _line(axes, curve, list(by_n), [estimate(point.right) for point in by_n.values()])
        elif curve.strategy == "greedy":
            _level(axes, curve.name, estimate(by_n[1].right).mean)
    for name, accuracy in baselines.items():
        _level(axes, name, accuracy)
    _ticks(axes, {n for by_n in points.values() for n in by_n})
    axes.legend(fontsize=8)
    return figure


def optimal_figure(points: Points, optimal: Points) -> Any:
    """Draw the curves of compute-optimal scaling, with 95 % bands, and the single strategies'."""
    figure, axes = _axes("compute-optimal scaling", "N: generations per problem", log=True)
    alone = {c: by_n for c, by_n in points.items() if c.is_main and c.strategy != "greedy"}
    for curve, by_n in {**alone, **optimal}.items():
        found = [estimate(point.right) for point in by_n.values()]
        _line(axes, curve, list(by_n), found, band=curve in optimal)
    _ticks(axes, {n for by_n in alone.values() for n in by_n})
    axes.legend(fontsize=8)
    return figure


def votes_figure(points: Points) -> Any:
    """Draw accuracy against N for every vote of every strategy, and the oracle's pass@N."""
    figure, axes = _axes("votes", "N: generations per problem", log=True)
    for curve, by_n in points.items():
        if curve.strategy != "greedy":
            means = [100 * estimate(point.right).mean for point in by_n.values()]
            axes.plot(list(by_n), means, **_style(curve), label=curve.name)
    _ticks(axes, {n for by_n in points.values() for n in by_n})
    axes.legend(fontsize=7, ncols=2)
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
    axes.set_xticks(range(len(groups)), [f"{name}\n({len(ids)})" for name, ids in groups.items()])
    axes.legend(fontsize=8)
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
    axes.legend(fontsize=8)
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


def _axes(title: str, xlabel: str, ylabel: str = "accuracy (%)", *, log: bool = False) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError("figures need an extra: pip install 'ttc-client[report]'") from None
    figure: Any = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title)
    axes.set_xlabel(xlabel)
    axes.set_ylabel(ylabel)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if log:
        axes.set_xscale("log", base=2 if xlabel.startswith("N") else 10)
    return figure, axes


def _line(
    axes: Any,
    curve: Curve,
    xs: Sequence[float],
    found: Sequence[Estimate],
    *,
    band: bool = True,
) -> None:
    style = _style(curve)
    axes.plot(xs, [100 * f.mean for f in found], **style, label=curve.name)
    if band:
        low, high = [100 * f.low for f in found], [100 * f.high for f in found]
        axes.fill_between(xs, low, high, color=style["color"], alpha=0.12, linewidth=0)


def _level(axes: Any, name: str, accuracy: float) -> None:
    axes.axhline(100 * accuracy, color="#777777", linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        f"{name} {100 * accuracy:.1f}",
        (1, 100 * accuracy),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=7,
        color="#555555",
    )


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
    axes.set_xticks(sorted(budgets), [str(n) for n in sorted(budgets)])
    axes.minorticks_off()


def _estimate(values: Any) -> Estimate:
    return estimate(values) if values else Estimate(nan, nan, nan, nan, 0, 0)


def _errors(found: Sequence[Estimate]) -> list[list[float]]:
    return [[100 * (f.mean - f.low) for f in found], [100 * (f.high - f.mean) for f in found]]
