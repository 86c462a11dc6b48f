"""Write the report of some runs as one self-contained HTML page.

Findings on top, then figures, tables and a browser of problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ttc_client.bench.runs import Run
from ttc_client.report.browsed import browse
from ttc_client.report.document import asset, document, filled, paragraphs, shown
from ttc_client.report.inline import inline
from ttc_client.report.rich import Formula, Typesetter
from ttc_client.report.shown import ShownProblem
from ttc_client.report.sources import DEMO, is_demo, sources, summary
from ttc_client.report.tables import Table

_SCRIPTS = ("tree.js", "browse.js")
_CAPTIONS = {
    "accuracy": "Accuracy by the vote that each strategy decides by, with 95 % intervals.",
    "votes": "What each vote makes of the same candidates; pass: whether any of them is right.",
    "compute-optimal": "Each problem by the strategy that suits its difficulty, beside each alone.",
    "cost": "The same accuracy against the tokens that a search costs on average, the PRM's by "
    "its size.",
    "level": "Accuracy by the data set's levels, each strategy at its largest N.",
    "oracle-bin": "Problems in fifths, easy (1) to hard (5) by how many samples are right.",
    "model-bin": "Problems in fifths, easy (1) to hard (5) by the mean reward of samples.",
    "calibration": "How often samples are right by their reward; a dot's size is their number.",
}


_NOT_TYPESET = (
    "Formulas are shown as they were written: install the extra 'report' and write the "
    "report again to see them typeset."
)


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as matplotlib's SVG, for a wide and for a narrow screen."""

    name: str
    wide: str
    narrow: str


@dataclass(frozen=True, slots=True)
class ShownReport:
    """What the page's script is given."""

    problems: list[ShownProblem]
    formulas: list[Formula]


def page(
    findings: Sequence[str],
    figures: Sequence[Drawing],
    tables: Sequence[Table],
    runs: Sequence[Run],
) -> str:
    """Return the page."""
    typeset = Typesetter()
    problems = browse(runs, typeset)
    names = ", ".join(run.path.name for run in runs)
    demo = [DEMO] if any(is_demo(run.settings) for run in runs) else []
    said = "".join(f"<li>{shown(line)}</li>\n" for line in findings)
    parts = {
        "HEADING": f"Report of {shown(names)}",
        "SOURCES": paragraphs(sources(runs), "models") + paragraphs(demo, "demo"),
        "RUNS": paragraphs(summary(runs), "runs"),
        "FINDINGS": said,
        "FIGURES": "".join(figure_html(d, _CAPTIONS.get(d.name, d.name)) for d in figures),
        "TABLES": "".join(map(table_html, tables)),
        "BROWSED": shown(_browsed(problems, runs, typeset)),
    }
    body = filled(asset("report.html"), parts)
    data = ShownReport(problems, typeset.formulas)
    return document(f"ttc report: {names}", body, "problems", data, _SCRIPTS)


def _browsed(problems: Sequence[ShownProblem], runs: Sequence[Run], typeset: Typesetter) -> str:
    total = len({name for run in runs for name in run.problems})
    with_trees = sum(any(s.tree for s in problem.searches) for problem in problems)
    listed = f"{len(problems)} of {total}" if len(problems) < total else f"All {total}"
    plain = "" if typeset.can_convert else f" {_NOT_TYPESET}"
    return (
        f"{listed} problems, one search of each strategy; {with_trees} of them with the trees of "
        "their searches. Steps are coloured by the score that the PRM gave them, from red (0) to "
        "green (1); faded ones were not kept. A closed branch shows the answers that it leads to, "
        f"right (✓) or wrong (✗).{plain}"
    )


def figure_html(drawing: Drawing, caption: str) -> str:
    """Return a figure with its caption; a reader's screen shows the drawing that fits."""
    wide = inline(drawing.wide, f"{drawing.name}-wide", caption)
    narrow = inline(drawing.narrow, f"{drawing.name}-narrow", caption)
    return f"<figure>{wide}{narrow}<figcaption>{shown(caption)}</figcaption></figure>\n"


def table_html(table: Table, *, is_open: bool = False) -> str:
    """Return a table under its name, which opens and closes it."""
    filled_table = table.filled()
    numeric = filled_table.numeric()
    head = "".join(
        f'<th scope="col"{_kind(is_number)}>{shown(name)}</th>'
        for name, is_number in zip(filled_table.header, numeric, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td{_kind(is_number)} data-label="{shown(name)}">{shown(cell)}</td>'
            for name, cell, is_number in zip(filled_table.header, row, numeric, strict=True)
        )
        + "</tr>\n"
        for row in filled_table.texts()
    )
    content = f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table>"
    return (
        f'<details class="table"{" open" * is_open}><summary>{shown(table.name)}</summary>'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{shown(table.name)}">'
        f"{content}</div></details>\n"
    )


def _kind(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
