"""Set up matplotlib's axes: panels, ticks that leave each other room, legends that fit.

Knows nothing of runs. Draws on no screen.
"""

import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_client.errors import ExtraError
from ttc_client.report.palette import FAINT, GRID, GROUND, INK
from ttc_client.report.terminal import clean


@dataclass(frozen=True, slots=True)
class Shape:
    """The size of a figure, in inches; panels stand side by side, or one above the other."""

    width: float
    height: float
    stacked: bool


WIDE = Shape(7.0, 4.0, stacked=False)
NARROW = Shape(4.0, 3.4, stacked=True)
"""For telephones, where a wide one would shrink until no one can read it."""

_DPI = 150
_SMALL = 8
_LETTER, _GAP = 0.075, 0.09
"""The width of a letter and the least space between two labels, in inches, at the small size."""
_MARGINS = 0.75
_LEGEND_LINE, _LEGEND_KEY = 0.18, 0.5
_PANEL_HEIGHT = 2.2
_NAME_LENGTH = 40
_TICK_LENGTH = 16


def axes_of(
    shape: Shape,
    title: str,
    xlabel: str,
    ylabel: str = "accuracy (%)",
    *,
    panels: int = 1,
    log: int = 0,
) -> Any:
    """Return a figure and its panels; `log` is the base of the horizontal scale, 0 if linear."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ExtraError("figures need", "report") from None
    rows, columns = (panels, 1) if shape.stacked else (1, panels)
    height = max(shape.height, rows * _PANEL_HEIGHT)
    figure: Any = Figure(figsize=(shape.width, height), layout="constrained", facecolor=GROUND)
    drawn = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in drawn:
        axes.set_title(title, fontsize=10, color=INK)
        axes.set_xlabel(xlabel, fontsize=9, color=INK)
        axes.set_facecolor(GROUND)
        axes.grid(visible=True, color=GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=_SMALL, color=FAINT, labelcolor=INK)
        axes.spines[:].set_color(FAINT)
        axes.spines[["top", "right"]].set_visible(False)
        if log:
            axes.set_xscale("log", base=log)
    for axes in drawn if shape.stacked else drawn[:1]:
        axes.set_ylabel(ylabel, fontsize=9, color=INK)
    return figure, *drawn


def budget_ticks(shape: Shape, panels: Sequence[Any], budgets: Iterable[int]) -> None:
    """Put a tick at each budget, and a number at as many as have room, from the largest down."""
    ordered = sorted(set(budgets))
    width = _panel_width(shape, len(panels))
    kept = spaced([(math.log2(n), str(n)) for n in ordered], width)
    texts = [str(n) if index in kept else "" for index, n in enumerate(ordered)]
    for axes in panels:
        axes.set_xticks(ordered, texts)
        axes.minorticks_off()


def cost_ticks(shape: Shape, axes: Any, costs: Iterable[float]) -> None:
    """Put ticks at 1, 2 and 5 times powers of ten, as many as have room."""
    known = [cost for cost in costs if cost > 0 and math.isfinite(cost)]
    low, high = (min(known) / 1.2, max(known) * 1.2) if known else (1.0, 10.0)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    marks = [m * 10.0**power for power in powers for m in (1, 2, 5) if low <= m * 10**power <= high]
    kept = spaced([(math.log10(mark), short(mark)) for mark in marks], _panel_width(shape, 1))
    shown = [mark for index, mark in enumerate(marks) if index in kept]
    axes.set_xlim(low, high)
    axes.set_xticks(shown, [short(mark) for mark in shown])
    axes.minorticks_off()


def group_ticks(shape: Shape, axes: Any, names: Sequence[str], counts: Sequence[int]) -> None:
    """Name groups below their bars, upright where the names have room, else slanted."""
    short_names = [_shortened(name, _TICK_LENGTH) for name in names]
    room = _panel_width(shape, 1) / max(1, len(names))
    longest = max((len(name) for name in (*short_names, "(000)")), default=0)
    if longest * _LETTER + _GAP < room:
        texts, turned = [f"{name}\n({n})" for name, n in zip(short_names, counts, strict=True)], {}
    else:
        texts = [f"{name} ({n})" for name, n in zip(short_names, counts, strict=True)]
        angle = 35 if room > 0.35 else 90
        anchor = "anchor" if angle == 35 else "default"
        turned = {"rotation": angle, "ha": "right" if angle == 35 else "center"}
        turned["rotation_mode"] = anchor
    axes.set_xticks(range(len(names)), [_plain(text) for text in texts], **turned)


def spaced(labels: Sequence[tuple[float, str]], width: float) -> set[int]:
    """Return which labels, by place from left to right, do not run into each other.

    The places, in any unit, fill `width` inches. The last one is always kept.
    """
    if not labels:
        return set()
    span = labels[-1][0] - labels[0][0] or 1.0
    kept = {len(labels) - 1}
    last_place, last_text = labels[-1]
    for index in reversed(range(len(labels) - 1)):
        place, text = labels[index]
        room = (last_place - place) / span * width
        if room >= _LETTER * (len(text) + len(last_text)) / 2 + _GAP:
            kept.add(index)
            last_place, last_text = place, text
    return kept


def short(number: float) -> str:
    """Return a round number in few letters: 500, 2k, 5M, 2e13."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if size <= number < 1e9:
            return f"{number / size:g}{unit}"
    return f"{number:g}".replace("e+", "e")


def legend(shape: Shape, figure: Any, *all_axes: Any) -> None:
    """Name the lines below the figure, where the names cover none; each name once."""
    named: dict[str, Any] = {}
    for axes in all_axes:
        handles, names = axes.get_legend_handles_labels()
        named = {**dict(zip(names, handles, strict=True)), **named}
    if not named:
        return
    texts = [_plain(_shortened(name, _NAME_LENGTH)) for name in named]
    column = max(map(len, texts)) * _LETTER + _LEGEND_KEY
    columns = max(1, min(len(texts), int(shape.width / column)))
    figure.legend(
        named.values(),
        texts,
        loc="outside lower center",
        ncols=columns,
        fontsize=_SMALL,
        frameon=False,
        labelcolor=INK,
    )
    width, height = figure.get_size_inches()
    lines = -(-len(texts) // columns)
    figure.set_size_inches(width, height + _LEGEND_LINE * lines)


def write_figure(figure: Any, directory: Path, name: str) -> None:
    """Write a figure as PNG and SVG, the same bytes for the same figure."""
    figure.savefig(directory / f"{name}.png", dpi=_DPI, pil_kwargs={"optimize": True})
    (directory / f"{name}.svg").write_text(svg_of(figure, name), encoding="utf-8")


def svg_of(figure: Any, name: str) -> str:
    """Return a figure as SVG; its ids differ from those of a figure with another name."""
    import matplotlib as mpl

    written = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):  # pyright: ignore
        figure.savefig(written, format="svg", metadata={"Date": None})
    return written.getvalue()


def _panel_width(shape: Shape, panels: int) -> float:
    across = 1 if shape.stacked else panels
    return 0.88 * (shape.width - _MARGINS) / across


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(text: str) -> str:
    """Return a name that matplotlib draws as it stands, not as mathematics."""
    return clean(text).replace("$", r"\$")
