"""Write the report of some runs to a directory: figures, tables and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ttc_client.analysis.calibration import calibration
from ttc_client.analysis.curves import Points, read_curves
from ttc_client.analysis.difficulty import bins, ease
from ttc_client.analysis.optimal import Evidence, optimal_curves, read_evidence, validate
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.report import figures
from ttc_client.report.optimal import validation_table
from ttc_client.report.page import page
from ttc_client.report.tables import (
    ModelSizes,
    accuracy_table,
    comparison_table,
    failure_table,
    group_table,
    side_by_side,
)
from ttc_client.report.terminal import retries
from ttc_client.types import Usage

Groups = Mapping[str, Sequence[str]]


def write_report(
    runs: Sequence[Run], directory: Path, baselines: Mapping[str, float], sizes: ModelSizes
) -> Path:
    """Write a report, and return the path of its page.

    `baselines` are accuracies, shares of 1, by name. Raises ConfigError where nothing is finished.
    """
    points = read_curves(runs)
    if not points:
        raise ConfigError("nothing is finished in these runs: there is nothing to report")
    groupings = _groupings(runs)
    grouped = [group_table(points, groups, what) for what, groups in groupings.items()]
    evidence, lacking = _evidence(runs, points)
    optimal = optimal_curves(evidence) if evidence else {}
    first = [accuracy_table({**points, **optimal}, sizes), comparison_table(points)]
    last = [*([validation_table(validate(evidence))] if evidence else []), failure_table(runs)]
    drawn = _figures(runs, points, groupings, baselines, sizes)
    if optimal:
        drawn["compute-optimal"] = figures.optimal_figure(points, optimal)
    directory.mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        figures.write_figure(figure, directory, name)
    for table in (*first, *grouped, *last):
        (directory / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")
    tables = [table for table in (*first, *map(side_by_side, grouped), *last) if table.rows]
    markdown = "\n".join(f"## {table.name}\n\n{table.markdown()}" for table in tables)
    (directory / "tables.md").write_text(markdown, encoding="utf-8")
    paths = [directory / f"{name}.svg" for name in drawn]
    index = directory / "index.html"
    index.write_text(page([*_summary(runs), *lacking], paths, tables, runs), encoding="utf-8")
    return index


def _evidence(runs: Sequence[Run], points: Points) -> tuple[Evidence | None, list[str]]:
    """Return what compute-optimal scaling can be judged by, or what the runs lack for it."""
    try:
        return read_evidence(runs, points), []
    except ConfigError as error:
        return None, [f"no curve of compute-optimal scaling: {error}"]


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
) -> dict[str, Any]:
    drawn = {
        "accuracy": figures.accuracy_figure(points, baselines),
        "votes": figures.votes_figure(points),
        "cost": figures.cost_figure(points, sizes),
    }
    for what, groups in groupings.items():
        drawn[what.replace(" ", "-")] = figures.groups_figure(points, groups, what)
    if found := calibration(runs):
        drawn["calibration"] = figures.calibration_figure(found)
    return drawn


def _summary(runs: Sequence[Run]) -> list[str]:
    """Say what each run is, and what its requests went through."""
    lines: list[str] = []
    for run in runs:
        settings = run.settings
        failed = f", {len(run.failed)} failed" if run.failed else ""
        lines.append(
            f"{run.path.name}: {len(run.problems)} problems of {settings.get('dataset')}; "
            f"{_origin(run)}; "
            f"{len(run.records)} searches finished{failed}{_retries(run)}"
        )
    return lines


def _retries(run: Run) -> str:
    said = retries(sum((cost.usage for cost in run.costs.values()), Usage()))
    return f"; {said}" if said else ""


def _origin(run: Run) -> str:
    """Say what searched, and by whose rules."""
    settings = run.settings
    compat = settings.get("compat")
    rules = f"; --compat {compat}" if compat else ""
    if settings.get("imported"):
        return f"imported{rules}"
    return (
        f"policy {settings.get('policy')}, PRM {settings.get('prm')}; "
        f"M={settings.get('m')}, T={settings.get('temperature')}{rules}"
    )
