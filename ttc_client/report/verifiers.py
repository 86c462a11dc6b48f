"""Show what verifiers are worth: tables for the terminal, JSON for programs, and a page."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from ttc_client.analysis.assessment import Assessed, Assessment
from ttc_client.analysis.calibration import Calibration
from ttc_client.analysis.first_errors import ALL, MEAN, Interval, Part
from ttc_client.analysis.published import SUBSETS
from ttc_client.errors import ExtraError
from ttc_client.report import figures
from ttc_client.report.axes import NARROW, WIDE, svg_of
from ttc_client.report.document import asset, document, filled, paragraphs, shown
from ttc_client.report.page import Drawing, figure_html, table_html
from ttc_client.report.tables import EMPTY, Table
from ttc_client.runtime.lines import write_whole

PAGE, REPORT = "index.html", "report.json"


def f1_table(assessment: Assessment) -> Table:
    """Return a row for each verifier and subset, the nulls last, on all solutions alone."""
    header = (
        *("verifier", "subset", "wrong", "right", "first error %", "none %", "F1 %", "F1 95 %"),
        *("step AUC", "published F1 %"),
    )
    rows = [
        _f1_row(each, part)
        for each in (*assessment.verifiers, *assessment.nulls)
        for part in each.evaluation.parts
        if part.subset == ALL or each in assessment.verifiers
    ]
    return Table("first errors", header, tuple(rows))


def _f1_row(each: Assessed, part: Part) -> tuple[Any, ...]:
    counts = (part.num_wrong, part.num_right)
    shares = (_percent(part.on_wrong), _percent(part.on_right), _percent(part.f1))
    low, high = 100 * part.f1.low, 100 * part.f1.high
    interval = EMPTY if low != low else f"{low:.1f}–{high:.1f}"
    auc = EMPTY if part.auc.value != part.auc.value else f"{part.auc.value:.3f}"
    return (each.name, part.subset, *counts, *shares, interval, auc, _published(each, part.subset))


def _published(each: Assessed, subset: str) -> str:
    if each.published is None:
        return EMPTY
    values = dict(zip(SUBSETS, each.published.f1, strict=True)) | {MEAN: each.published.mean}
    return f"{values[subset]:.1f}" if subset in values else EMPTY


def _percent(share: Interval) -> str:
    return EMPTY if share.value != share.value else f"{100 * share.value:.1f}"


def pair_table(assessment: Assessment) -> Table:
    """Return the differences of F1 between verifiers, pair by pair on the same solutions."""
    rows = [
        (pair.one, pair.other, *pair.paired.difference, pair.paired.p, pair.paired.num_solutions)
        for pair in assessment.pairs
    ]
    header = ("verifier", "against", "difference", "low", "high", "p", "solutions")
    return Table("pairs", header, tuple(rows))


def timing_table(assessment: Assessment) -> Table:
    """Return when each verifier sees the error, in per cent of the wrong solutions."""
    rows: list[tuple[Any, ...]] = []
    for each in (*assessment.verifiers, *assessment.nulls):
        if t := each.evaluation.timing:
            shares = [f"{100 * share:.1f}" for share in (t.early, t.exact, t.late, t.never)]
            late = EMPTY if t.steps_late != t.steps_late else f"{t.steps_late:.1f}"
            rows.append((each.name, each.evaluation.threshold, *shares, late))
    header = ("verifier", "threshold", "early %", "exact %", "late %", "never %", "steps late")
    return Table("when the error is seen", header, tuple(rows))


def cost_table(assessment: Assessment) -> Table:
    """Return calibration, and the mean cost of a solution."""
    rows: list[tuple[Any, ...]] = []
    for each in assessment.verifiers:
        if cost := each.cost:
            found = each.evaluation.calibration
            error = f"{found.error:.3f}" if found else EMPTY
            costs = (cost.prm_tokens, cost.prm_cached_tokens, cost.requests, f"{cost.wall_s:.2f}")
            rows.append((each.name, error, *costs, cost.num_failed))
    header = (
        *("verifier", "calibration error", "tokens", "of these cached", "requests", "seconds"),
        "failed",
    )
    return Table("calibration and cost", header, tuple(rows))


def gain_table(assessment: Assessment) -> Table:
    """Return the accuracy of votes with each verifier's rewards, and the gain over majority."""
    rows: list[tuple[Any, ...]] = []
    for each in assessment.verifiers:
        for g in each.gains:
            shares = [f"{100 * share:.1f}" for share in (g.right.mean, g.majority, g.best)]
            gain = (g.gain.difference, g.gain.low, g.gain.high, g.gain.num_problems)
            rows.append((each.name, g.vote, g.n, *shares, *gain))
    header = (
        *("verifier", "vote", "N", "right %", "majority %", "pass %"),
        *("gain", "gain low", "gain high", "problems"),
    )
    return Table("gain on the run", header, tuple(rows))


def published_table(assessment: Assessment) -> Table:
    """Return the published F1s, each with its source."""
    rows = [
        (p.model, *(f"{f1:.1f}" for f1 in (*p.f1, p.mean)), p.source) for p in assessment.published
    ]
    return Table("published F1s", ("model", *SUBSETS, MEAN, "source"), tuple(rows))


def doubts(assessment: Assessment) -> list[str]:
    """Say which verifiers are far below what was published of their model."""
    found: list[str] = []
    for each in assessment.verifiers:
        parts = {part.subset: part for part in each.evaluation.parts}
        if each.published and MEAN in parts and 100 * parts[MEAN].f1.high < each.published.mean:
            found.append(
                f"{each.name} has a mean F1 of {100 * parts[MEAN].f1.value:.1f}, but "
                f"{each.published.mean:.1f} was published ({each.published.source}): is its "
                "server asked in the format that the model was trained with?"
            )
    return found


def tables(assessment: Assessment) -> list[Table]:
    """Return all tables that say something, the most important first."""
    every = (f1_table, pair_table, timing_table, cost_table, gain_table, published_table)
    return [table for make in every if (table := make(assessment)).rows]


def write_assessment(assessment: Assessment, directory: Path) -> Path:
    """Write the JSON and the page, and return the page's path; raises OSError."""
    content = msgspec.json.format(msgspec.json.encode(assessment)) + b"\n"
    write_whole(directory / REPORT, [content])
    index = directory / PAGE
    index.write_text(_page(assessment), encoding="utf-8")
    return index


def _page(assessment: Assessment) -> str:
    drawn, lacking = _figures(assessment)
    notes = [*assessment.notes, *lacking]
    parts = {
        "HEADING": f"Verifiers on {shown(assessment.dataset)}",
        "NOTES": paragraphs(notes, "runs") + paragraphs(doubts(assessment), "demo"),
        "TABLES": "".join(table_html(table, is_open=True) for table in tables(assessment)),
        "FIGURES": "".join(drawn),
    }
    body = filled(asset("verifiers.html"), parts)
    return document(f"ttc prm eval: {assessment.dataset}", body, "data", asdict(assessment), ())


def _figures(assessment: Assessment) -> tuple[list[str], list[str]]:
    """Return the figures as HTML, and what to say where they cannot be drawn."""
    drawn: list[str] = []
    for number, each in enumerate(assessment.verifiers):
        if found := each.evaluation.calibration:
            try:
                drawing = _drawing(f"calibration-{number}", found)
            except ExtraError as error:
                return [], [str(error)]
            drawn.append(figure_html(drawing, f"{each.name}: how often steps are right by score."))
    return drawn, []


def _drawing(name: str, found: Calibration) -> Drawing:
    wide, narrow = (
        svg_of(figures.calibration_figure(found, shape), f"{name}, {shape.width}")
        for shape in (WIDE, NARROW)
    )
    return Drawing(name, wide, narrow)
