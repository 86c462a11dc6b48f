"""Print what a bench run found to a terminal, or as plain text where there is none."""

from collections.abc import Collection, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ttc_client.analysis.curves import Curve, Point, Points
from ttc_client.analysis.statistics import compare, estimate
from ttc_client.report.tables import EMPTY, Table
from ttc_client.report.terminal import clean

_GAP = 2
"""Spaces between two columns."""


def short_table(points: Points, budgets: Collection[int]) -> Table:
    """Return a row for each strategy and N asked for by the vote that decides, and the baseline.

    Cells are texts: accuracy in per cent ± half of its 95 % interval, and the difference from
    greedy decoding on the same problems, with its interval.
    """
    main = {curve: by_n for curve, by_n in points.items() if curve.is_main}
    baselines = (point for c, by_n in main.items() if c.is_baseline for point in by_n.values())
    base = next(baselines, None)
    rows = [
        (_name(curve), n, *_accuracy(point, None if curve.is_baseline else base), _tokens(point))
        for curve, by_n in main.items()
        for n, point in by_n.items()
        if n in budgets or curve.is_baseline
    ]
    header = ("strategy", "N", "accuracy %", "against greedy (95 %)", "tokens")
    return Table("accuracy", header, tuple(rows))


def _name(curve: Curve) -> str:
    vote = " (tournament)" if curve.measure == "tournament" else ""
    return f"{curve.strategy}{vote}{curve.label and f' · {curve.label}'}"


def _accuracy(point: Point, base: Point | None) -> tuple[str, str]:
    found = estimate(point.right)
    accuracy = f"{100 * found.mean:.1f} ± {50 * (found.high - found.low):.1f}"
    if base is None or not point.right.keys() & base.right.keys():
        return accuracy, EMPTY
    gain = compare(point.right, base.right)
    interval = f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return accuracy, f"{100 * gain.difference:+.1f} {interval}"


def _tokens(point: Point) -> str:
    spent = point.spent
    return EMPTY if spent is None else f"{spent.completion_tokens:,.0f}"


def print_table(table: Table, console: Console) -> None:
    """Print a table, its numbers aligned to the right; a column that holds nothing is left out.

    What a line cannot hold goes into a further table below, with the same first columns.
    """
    rows = table.texts()
    filled = [i for i in range(len(table.header)) if any(row[i] != EMPTY for row in rows)]
    columns = [[clean(texts[i]) for texts in (table.header, *rows)] for i in filled]
    for part in _parts(columns, console.width):
        grid = Grid(box=None, header_style="bold", pad_edge=False)
        for i, column in enumerate(part):
            grid.add_column(column[0], justify="right" if i else "left")
        for row in list(zip(*part, strict=True))[1:]:
            grid.add_row(*map(Text, row))
        console.print(grid)


def _parts(columns: Sequence[Sequence[str]], width: int) -> list[list[Sequence[str]]]:
    """Part columns so that each part fits the width; those that name the rows begin each part."""
    widths = [_GAP + max(map(cell_len, column)) for column in columns]
    numeric = (i for i, column in enumerate(columns) if i and _is_numeric(column))
    num_names = next(numeric, len(columns))
    left, start = width + _GAP - sum(widths[:num_names]), num_names
    parts: list[list[Sequence[str]]] = []
    room = left
    for i in range(num_names, len(columns)):
        if widths[i] > room and i > start:
            parts.append([*columns[:num_names], *columns[start:i]])
            start, room = i, left
        room -= widths[i]
    return [*parts, [*columns[:num_names], *columns[start:]]]


def _is_numeric(column: Sequence[str]) -> bool:
    """Whether a column, its name first, holds a number."""
    return any(text[:1].isdigit() or text[:1] in "+-" for text in column[1:] if text)
