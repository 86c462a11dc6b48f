"""The table that ends a bench: a row for each strategy and N that was asked for."""

import io

import pytest
from rich.console import Console

from tests.analysis.records import record, run
from ttc_client.analysis.curves import read_curves
from ttc_client.report.summary import print_table, short_table
from ttc_client.report.tables import Table

WON, LOST = (True, True, True), (False, False, False)
HALF = [(0, 0.9), (1, 0.5)] * 4


def _points(*, with_greedy: bool = True):
    records = []
    for i in range(8):
        name, right = f"p{i}", WON if i < 4 else LOST
        records += [
            record("best-of-n", 8, HALF, name=name, correct=WON),
            record("dvts", 4, HALF[:4], name=name, correct=right),
            record("dvts", 8, HALF, name=name, correct=WON if i < 6 else LOST),
        ]
        if with_greedy:
            records.append(record("greedy", 1, [(0, None)], name=name, correct=right))
    return read_curves([run(*records)])


def test_a_row_for_each_strategy_and_n_asked_for():
    table = short_table(_points(), [4, 8])
    assert [row[:2] for row in table.rows] == [
        ("greedy", 1),
        *(("best-of-n", 4), ("best-of-n", 8), ("majority", 4), ("majority", 8)),
        *(("dvts", 4), ("dvts", 8)),
    ]
    assert [row[:2] for row in short_table(_points(), [8]).rows] == [
        *(("greedy", 1), ("best-of-n", 8), ("majority", 8), ("dvts", 8)),
    ]


def test_accuracy_has_its_interval_and_its_difference_from_greedy():
    rows = {row[:2]: row[2:] for row in short_table(_points(), [4, 8]).rows}
    accuracy, gain, tokens = rows["greedy", 1]
    assert accuracy.startswith("50.0 ± ")
    assert float(accuracy.rpartition(" ")[2]) > 10
    assert (gain, tokens) == ("–", "800")
    assert rows["best-of-n", 8][0] == "100.0 ± 0.0"
    assert rows["best-of-n", 8][1].startswith("+50.0 (+")
    assert rows["dvts", 4][1] == "+0.0 (+0.0 to +0.0)"
    assert rows["dvts", 8][1].startswith("+25.0 (+0.0 to +")


def test_it_fits_on_a_screen_with_a_line_a_row():
    console = Console(file=io.StringIO(), width=80)
    table = short_table(_points(), [4, 8])
    print_table(table, console)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 1 + len(table.rows)
    assert max(map(len, lines)) <= 80
    assert "…" not in "".join(lines)
    assert lines[0].split() == [
        "strategy",
        "N",
        "accuracy",
        "%",
        "against",
        "greedy",
        "(95",
        "%)",
        "tokens",
    ]


def test_without_greedy_there_is_no_difference_to_show():
    console = Console(file=io.StringIO(), width=80)
    print_table(short_table(_points(with_greedy=False), [8]), console)
    assert "greedy" not in console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_a_line_cannot_hold_goes_below_with_the_rows_names(width):
    header = ("verifier", "subset", *(f"number {i}" for i in range(12)))
    rows = tuple((f"{n}b-prm", "gsm8k", *(n + i / 10 for i in range(12))) for n in (7, 13))
    console = Console(file=io.StringIO(), width=width)
    print_table(Table("wide", header, rows), console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) % 3 == 0
    assert len(lines) > 3
    for first in range(0, len(lines), 3):
        assert [line.split()[:2] for line in lines[first : first + 3]] == [
            ["verifier", "subset"], ["7b-prm", "gsm8k"], ["13b-prm", "gsm8k"],
        ]  # fmt: skip
    for n, row in ((1, rows[0]), (2, rows[1])):
        shown = " ".join(" ".join(line.split()[2:]) for line in lines[n::3])
        assert shown.split() == [f"{value:,.1f}".removesuffix(".0") for value in row[2:]]
