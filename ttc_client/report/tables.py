"""Tables of what runs found: numbers as they are for CSV, rounded for people."""

import csv
import html
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan

from ttc_client.analysis.curves import Curve, Point, Points
from ttc_client.analysis.statistics import compare, estimate
from ttc_client.bench.runs import Run
from ttc_client.report.terminal import clean

Cell = str | int | float | None

_SHARES = {"accuracy", "low", "high", "seed sd", "difference", "gain", "gain low", "gain high"}
_LEAST_P = 0.001
_RIGHT_ALIGNED = "---:"
_FORMULA = ("=", "+", "-", "@", "\t", "\n")
EMPTY = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A named table; shares are fractions of 1."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def texts(self) -> list[list[str]]:
        """Return the rows for people to read: shares in per cent, counts rounded."""
        return [
            [_text(name, cell) for name, cell in zip(self.header, row, strict=True)]
            for row in self.rows
        ]

    def filled(self) -> "Table":
        """Return the table without the columns that hold nothing."""
        texts = self.texts()
        kept = [
            i for i in range(len(self.header)) if any(row[i] not in ("", EMPTY) for row in texts)
        ]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return Table(self.name, tuple(self.header[i] for i in kept), rows)

    def numeric(self) -> list[bool]:
        """Say of each column whether it holds numbers alone."""
        return [
            all(row[i] is None or not isinstance(row[i], str) for row in self.rows)
            for i in range(len(self.header))
        ]

    def markdown(self) -> str:
        """Return a Markdown table; what could end a cell or is HTML is escaped."""
        lines = [self.header, [_RIGHT_ALIGNED] * len(self.header), *self.texts()]
        return "".join(f"| {' | '.join(map(_escaped, row))} |\n" for row in lines)

    def csv(self) -> str:
        """Return comma-separated values, unrounded."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([map(_inert, row) for row in (self.header, *self.rows)])
        return text.getvalue()


def _inert(cell: Cell) -> Cell:
    """Return a cell that no spreadsheet takes for a formula, as a problem's id might be."""
    if not isinstance(cell, str):
        return cell
    text = cell.replace("\r\n", "\n").replace("\r", "\n")  # Python's writer quotes no "\r"
    return f"'{text}" if text.startswith(_FORMULA) else text


def _escaped(cell: str) -> str:
    """Return what a Markdown reader shows as this text."""
    text = html.escape(clean(cell), quote=False)
    return re.sub(r"([\\|`*_\[\]])", r"\\\1", text).replace("\n", " ")


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The parameters of the two models, for costs; None where they are not known."""

    policy: float | None = None
    prm: float | None = None

    @property
    def ratio(self) -> float:
        """How much a token costs the PRM for each of the policy's; 1 where that is not known."""
        return self.prm / self.policy if self.prm and self.policy else 1.0


def accuracy_table(points: Points, sizes: ModelSizes) -> Table:
    """Return the accuracy and the mean cost of a search, for each curve and N."""
    header = (
        *("strategy", "N", "accuracy", "low", "high", "seed sd", "problems", "seeds"),
        *("tokens", "PRM tokens", "requests", "wall s", "FLOPs"),
    )
    rows = [
        _accuracy_row(curve, n, point, sizes)
        for curve, by_n in points.items()
        for n, point in by_n.items()
    ]
    return Table("accuracy", header, tuple(rows))


def group_table(points: Points, groups: Mapping[str, Sequence[str]], what: str) -> Table:
    """Return the accuracy of each deciding vote and N in groups of problems; `what` they are."""
    rows = [
        (curve.name, n, name, found.mean, found.low, found.high, found.num_problems)
        for curve, by_n in points.items()
        if curve.is_main
        for n, point in by_n.items()
        for name, ids in groups.items()
        if (values := point.among(set(ids)))
        for found in [estimate(values)]
    ]
    header = ("strategy", "N", what, "accuracy", "low", "high", "problems")
    return Table(f"accuracy-by-{what.replace(' ', '-')}", header, tuple(rows))


def side_by_side(table: Table) -> Table:
    """Return a table of groups for people: a row for each strategy and N, a column for each group.

    Cells are an accuracy and its interval.
    """
    what = table.header[2]
    groups = dict.fromkeys(row[2] for row in table.rows)
    found: dict[tuple[Cell, Cell], dict[Cell, str]] = {}
    for (strategy, n, group, *_), texts in zip(table.rows, table.texts(), strict=True):
        mean, low, high = texts[3:6]
        found.setdefault((strategy, n), {})[group] = f"{mean} ({low}–{high})"
    rows = tuple((*key, *(cells.get(group) for group in groups)) for key, cells in found.items())
    return Table(table.name, ("strategy", "N", *(f"{what} {group}" for group in groups)), rows)


def comparison_table(points: Points) -> Table:
    """Compare the strategies pair by pair, on the problems that both have done.

    Each by the vote that it decides by: at each N with the others, and with greedy decoding, which
    has no N, in the same run.
    """
    header = (
        *("strategy", "against", "N", "difference", "low", "high", "p", "better", "worse"),
        "problems",
    )
    main = {c: by_n for c, by_n in points.items() if c.is_main and not c.is_baseline}
    greedy = {c.label: (c, by_n[1]) for c, by_n in points.items() if c.is_baseline and 1 in by_n}
    rows: list[tuple[Cell, ...]] = []
    for curve, by_n in main.items():
        if curve.label in greedy or len(greedy) == 1:
            other, point = greedy.get(curve.label) or next(iter(greedy.values()))
            for n in sorted(by_n):
                rows += _comparison(curve, other, n, by_n[n], point)
    for one, other in combinations(main, 2):
        for n in sorted(main[one].keys() & main[other].keys()):
            rows += _comparison(one, other, n, main[one][n], main[other][n])
    return Table("comparisons", header, tuple(rows))


def failure_table(runs: Iterable[Run]) -> Table:
    """Return the searches that failed, and how many answers there was no time to grade."""
    rows: list[tuple[Cell, ...]] = []
    for run in runs:
        timeouts = sum(record.num_ungraded for record in run.records.values())
        rows += [(run.path.name, "", "", timeouts, "")] if timeouts else []
        rows += [(run.path.name, r.id, f"{r.strategy} N={r.n}", 0, r.error) for r in run.failed]
    return Table("failures", ("run", "problem", "search", "ungraded", "error"), tuple(rows))


def grader_table(runs: Iterable[Run]) -> Table:
    """Return the answers on which the run's grader and our own differ, and in how many searches."""
    counts: dict[tuple[str, str, str, str, float, float], int] = {}
    for run in runs:
        grader = str(run.settings.get("task", {}).get("grader_name"))
        for record in run.records.values():
            for graded in record.answers:
                if graded.own is not None and graded.own != graded.grade:
                    gold = run.problems[record.id].gold
                    row = (record.id, graded.answer, gold, grader, graded.grade, graded.own)
                    counts[row] = counts.get(row, 0) + 1
    header = ("problem", "answer", "gold", "grader", "its grade", "own grade", "searches")
    return Table("graders", header, tuple((*row, count) for row, count in counts.items()))


def _comparison(
    one: Curve, other: Curve, n: int, one_point: Point, other_point: Point
) -> list[tuple[Cell, ...]]:
    """Return the row of a pair, none where they share no problem."""
    if not one_point.right.keys() & other_point.right.keys():
        return []
    found = compare(one_point.right, other_point.right)
    counts = (found.num_better, found.num_worse, found.num_problems)
    return [(one.name, other.name, n, found.difference, found.low, found.high, found.p, *counts)]


def _accuracy_row(curve: Curve, n: int, point: Point, sizes: ModelSizes) -> tuple[Cell, ...]:
    found = estimate(point.right)
    costs: tuple[Cell, ...] = (None,) * 5
    if spent := point.spent:
        flops = None
        if sizes.policy and (sizes.prm or not spent.prm_tokens):
            flops = spent.flops(sizes.policy, sizes.prm or 0.0)
        tokens = (spent.completion_tokens, spent.prm_tokens, spent.requests)
        costs = (*tokens, spent.wall_s, flops)
    accuracy = (found.mean, found.low, found.high, found.seed_sd)
    return (curve.name, n, *accuracy, found.num_problems, found.num_seeds, *costs)


def _text(column: str, cell: Cell) -> str:
    if cell is None or (isinstance(cell, float) and isnan(cell)):
        return EMPTY
    if isinstance(cell, str):
        return cell
    if column in _SHARES:
        return f"{100 * cell:.1f}"
    if column == "FLOPs":
        return f"{cell:.2e}"
    if column == "p":
        return f"{cell:.3f}" if cell >= _LEAST_P else f"< {_LEAST_P}"
    return f"{cell:,.1f}".removesuffix(".0")
