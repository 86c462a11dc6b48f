"""Write a report as one self-contained HTML page: figures, tables and a browser of problems.

What models and data sets wrote is escaped, or given to the page as JSON that it shows as text.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

import msgspec

from ttc_client.bench.records import Key, Record, Trace, key_of
from ttc_client.bench.runs import Run, read_traces
from ttc_client.report.tables import Table
from ttc_client.types import TreeNode, Vote

NUM_BROWSED = 40
"""How many problems the page lets one browse, taken evenly over the set."""


@dataclass(frozen=True, slots=True)
class VotesFor:
    """An answer, and what spoke for it."""

    answer: str
    correct: bool
    votes: int
    reward_sum: float
    reward_max: float


@dataclass(frozen=True, slots=True)
class BrowsedSearch:
    """A search as the page shows it."""

    name: str
    choices: dict[Vote, str]
    votes: tuple[VotesFor, ...]
    tree: tuple[TreeNode, ...]


@dataclass(frozen=True, slots=True)
class BrowsedProblem:
    """A problem as the page shows it."""

    id: str
    problem: str
    answer: str
    searches: tuple[BrowsedSearch, ...]


def page(
    summary: Sequence[str], figures: Sequence[Path], tables: Sequence[Table], runs: Sequence[Run]
) -> str:
    """Return the page; the figures are SVG files, named by their stems."""
    template = files("ttc_client.report").joinpath("page.html").read_text(encoding="utf-8")
    problems = msgspec.json.encode([problem for run in runs for problem in _browsed(run)])
    parts = {
        "SUMMARY": "".join(f"<p>{escape(line)}</p>\n" for line in summary),
        "FIGURES": "".join(map(_figure, figures)),
        "TABLES": "".join(map(_table, tables)),
        "PROBLEMS": problems.decode().replace("<", "\\u003c"),
    }
    head, *rest = template.split("<!--")
    filled = [head]
    for piece in rest:
        name, text = piece.split("-->", 1)
        filled += [parts[name], text]
    return "".join(filled)


def votes_for(record: Record) -> tuple[VotesFor, ...]:
    """Return what spoke for each answer of a search, the most votes first."""
    votes = [0] * len(record.answers)
    rewards: list[list[float]] = [[] for _ in record.answers]
    for sample in record.samples:
        if sample.answer is not None:
            votes[sample.answer] += sample.multiplicity
            rewards[sample.answer] += [sample.reward or 0.0] * sample.multiplicity
    found = [
        VotesFor(graded.answer, graded.correct, count, sum(values), max(values))
        for graded, count, values in zip(record.answers, votes, rewards, strict=True)
    ]
    return tuple(sorted(found, key=lambda answer: -answer.votes))


def _browsed(run: Run) -> list[BrowsedProblem]:
    """Return some problems of a run, each strategy's smallest search with its first seed."""
    chosen = [*run.problems.values()][:: max(1, -(-len(run.problems) // NUM_BROWSED))]
    wanted = set(_searches(run, {problem.id for problem in chosen}))
    traces = {key_of(trace): trace for trace in read_traces(run.path) if key_of(trace) in wanted}
    return [
        BrowsedProblem(
            problem.id,
            problem.problem,
            problem.answer,
            tuple(
                _search(run.records[key], trace)
                for key, trace in sorted(traces.items())
                if key.id == problem.id
            ),
        )
        for problem in chosen
    ]


def _searches(run: Run, ids: set[str]) -> list[Key]:
    smallest: dict[tuple[str, str], Key] = {}
    for key, record in run.records.items():
        if key.id in ids and not record.error:
            kept = smallest.get((key.id, key.strategy))
            if kept is None or (key.n, key.seed) < (kept.n, kept.seed):
                smallest[key.id, key.strategy] = key
    return list(smallest.values())


def _search(record: Record, trace: Trace) -> BrowsedSearch:
    name = f"{record.strategy}, N={record.n}, seed {record.seed}"
    return BrowsedSearch(name, record.choices, votes_for(record), trace.tree)


def _figure(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{escape(path.stem)}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}</figure>\n"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.texts()
    )
    table_name = f"<summary>{escape(table.name)}</summary>"
    return f"<details>{table_name}\n<table><tr>{head}</tr>\n{rows}</table></details>\n"
