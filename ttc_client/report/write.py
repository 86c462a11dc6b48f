"""Write the report of some runs to a directory: figures, tables and a page."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ttc_client.analysis.calibration import calibration
from ttc_client.analysis.curves import Points, read_curves
from ttc_client.analysis.difficulty import bins, ease
from ttc_client.analysis.optimal import Evidence, optimal_curves, read_evidence, validate
from ttc_client.analysis.payoff import payoffs
from ttc_client.analysis.stops import estimate_stops
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.report import figures
from ttc_client.report.axes import NARROW, svg_of, write_figure
from ttc_client.report.equal_tokens import payoff_table, payoffs_said
from ttc_client.report.findings import findings
from ttc_client.report.optimal import validation_table
from ttc_client.report.page import Drawing, page
from ttc_client.report.sources import DEMO_POLICY_PARAMS, DEMO_PRM_PARAMS, is_demo
from ttc_client.report.stops import stops_said, stops_table
from ttc_client.report.tables import (
    ModelSizes,
    Table,
    accuracy_table,
    comparison_table,
    failure_table,
    grader_table,
    group_table,
    side_by_side,
)

Groups = Mapping[str, Sequence[str]]
Draw = Callable[..., Any]
"""Draws a figure; `shape` says how large."""


def write_report(
    runs: Sequence[Run], directory: Path, baselines: Mapping[str, float], sizes: ModelSizes
) -> Path:
    """Write a report, and return the path of its page.

    `baselines` are accuracies, shares of 1, by name. `sizes` need not be given for the demo models.
    Raises ConfigError where nothing is finished.
    """
    if sizes == ModelSizes() and all(is_demo(run.settings) for run in runs):
        sizes = ModelSizes(DEMO_POLICY_PARAMS, DEMO_PRM_PARAMS)
    points = read_curves(runs)
    if not points:
        raise ConfigError("nothing is finished in these runs: there is nothing to report")
    groupings = _groupings(runs)
    grouped = [group_table(points, groups, what) for what, groups in groupings.items()]
    evidence, lacking = _evidence(runs, points)
    optimal = optimal_curves(evidence) if evidence else {}
    validated = validate(evidence) if evidence else []
    first = [accuracy_table({**points, **optimal}, sizes), comparison_table(points)]
    last = [*([validation_table(validated)] if evidence else [])]
    stops = estimate_stops(runs)
    paid = payoffs(points, sizes.ratio)
    first.append(payoff_table(paid))
    last += [stops_table(stops), grader_table(runs), failure_table(runs)]
    draws = _figures(runs, points, groupings, baselines, sizes)
    if optimal:
        draws["compute-optimal"] = partial(figures.optimal_figure, points, optimal)
    drawn = {name: draw() for name, draw in draws.items()}
    directory.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        write_figure(figure, directory, name)
    _write_tables(directory, [*first, *grouped, *last])
    shown = [table for table in (*first, *map(side_by_side, grouped), *last) if table.rows]
    markdown = "\n".join(f"## {table.name}\n\n{table.filled().markdown()}" for table in shown)
    (directory / "tables.md").write_text(markdown, encoding="utf-8")
    drawings = [_drawing(directory, name, draw) for name, draw in draws.items()]
    said = [
        *findings(points, baselines, validated),
        *payoffs_said(paid),
        *stops_said(stops),
        *lacking,
    ]
    index = directory / "index.html"
    index.write_text(page(said, drawings, shown, runs), encoding="utf-8")
    return index


def _write_tables(directory: Path, tables: Sequence[Table]) -> None:
    for table in tables:
        (directory / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")


def _drawing(directory: Path, name: str, draw: Draw) -> Drawing:
    """Return a figure that was written, with what a narrow screen shows in its place."""
    wide = (directory / f"{name}.svg").read_text(encoding="utf-8")
    return Drawing(name, wide, svg_of(draw(shape=NARROW), f"{name}, narrow"))


def _evidence(runs: Sequence[Run], points: Points) -> tuple[Evidence | None, list[str]]:
    """Return what compute-optimal scaling can be judged by, or what the runs lack for it."""
    try:
        return read_evidence(runs, points), []
    except ConfigError as error:
        return None, [f"No curve of compute-optimal scaling: {error}."]


def _groupings(runs: Sequence[Run]) -> dict[str, Groups]:
    """Return the ways in which problems are told apart: by level, and by difficulty."""
    levels: dict[str, list[str]] = {}
    for problem in {p.id: p for run in runs for p in run.problems.values()}.values():
        if problem.level:
            levels.setdefault(problem.level, []).append(problem.id)
    found: dict[str, Groups] = {"level": dict(sorted(levels.items()))} if levels else {}
    if oracle := ease(runs, "oracle"):
        found["oracle bin"] = bins(oracle)
        found["model bin"] = bins(ease(runs, "model"))
    return found


def _figures(
    runs: Sequence[Run],
    points: Points,
    groupings: Mapping[str, Groups],
    baselines: Mapping[str, float],
    sizes: ModelSizes,
) -> dict[str, Draw]:
    draws: dict[str, Draw] = {
        "accuracy": partial(figures.accuracy_figure, points, baselines),
        "votes": partial(figures.votes_figure, points),
        "cost": partial(figures.cost_figure, points, sizes),
    }
    for what, groups in groupings.items():
        draws[what.replace(" ", "-")] = partial(figures.groups_figure, points, groups, what)
    if found := calibration(runs):
        draws["calibration"] = partial(figures.calibration_figure, found)
    return draws
