"""Tables of compute-optimal scaling: what it chooses, and what that gains."""

from collections.abc import Sequence

from ttc_client.analysis.optimal import Arm, Validation
from ttc_client.analysis.statistics import Comparison, Estimate
from ttc_client.report.tables import EMPTY, Cell, Table
from ttc_client.search.table import Choice
from ttc_client.search.table import Table as Choices


def choices_table(table: Choices) -> Table:
    """Return the choice for each N and bin, with its accuracy where it was fitted."""
    bins = [f"bin {index + 1}" for index in range(len(table.edges) + 1)]
    rows = [(b.n, b.probe, *map(_cell, b.choices)) for b in table.budgets]
    return Table("choices", ("N", "probe", *bins), tuple(rows))


def validation_table(found: Sequence[Validation]) -> Table:
    """Return the cross-validated accuracies, and what they gain over the best single strategy."""
    header = (
        *("N", "strategy", "accuracy", "low", "high"),
        *("gain", "gain low", "gain high", "p", "better", "worse", "problems"),
    )
    rows: list[tuple[Cell, ...]] = []
    for v in found:
        if not rows or rows[-1][0] != v.n:
            rows.append(_row(v.n, f"{v.single.name}, the best single one", v.single_accuracy))
        rows.append(_row(v.n, f"compute-optimal ({v.judge} bins)", v.accuracy, v.gain))
    return Table("compute-optimal", header, tuple(rows))


def _row(n: int, name: str, found: Estimate, gain: Comparison | None = None) -> tuple[Cell, ...]:
    gained: tuple[Cell, ...] = (None,) * 6
    if gain:
        counts = (gain.num_better, gain.num_worse)
        gained = (gain.difference, gain.low, gain.high, gain.p, *counts)
    return (n, name, found.mean, found.low, found.high, *gained, found.num_problems)


def _cell(choice: Choice) -> str:
    name = Arm(choice.strategy, choice.m).name
    return f"{name} ({EMPTY if choice.accuracy is None else f'{100 * choice.accuracy:.1f}'})"
