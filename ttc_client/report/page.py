"""Write a report as one self-contained HTML page: figures, tables and a browser of problems.

What models and data sets wrote is escaped, or given to the page as JSON that it shows as text.
Should markup get in all the same, the page's content security policy keeps it from running.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from html import escape
from importlib.resources import files
from pathlib import Path

import msgspec

from ttc_client.bench.runs import Run, read_traces
from ttc_client.report.tables import Table
from ttc_client.report.terminal import clean
from ttc_client.runtime.records import Key, Record, Trace, is_right, key_of
from ttc_client.search.params import STEPWISE_STRATEGIES
from ttc_client.search.steps import split_steps
from ttc_client.types import TreeNode, Vote

NUM_BROWSED = 40
"""How many problems the page lets one browse, taken evenly over the set."""
NUM_STEPS = 20_000
"""How many steps the page may hold, some 10 MB: of large trees it shows fewer problems."""
NUM_WHOLE = 16
"""How many whole completions of a search the page shows: hundreds of them would fill it."""

_CAPTIONS = {
    "accuracy": "Accuracy by the vote that each strategy decides by, with 95 % intervals.",
    "votes": "What each vote makes of the same candidates; pass: whether any of them is right.",
    "compute-optimal": "Each problem by the strategy that suits its difficulty, beside each alone.",
    "cost": "The same accuracy against what a search costs on average.",
    "level": "Accuracy by the data set's levels, each strategy at its largest N.",
    "oracle-bin": "Problems in fifths, easy (1) to hard (5) by how many samples are right.",
    "model-bin": "Problems in fifths, easy (1) to hard (5) by the mean reward of samples.",
    "calibration": "How often samples are right by their reward; a dot's size is their number.",
}


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
    """A search as the page shows it; `correct` is by the vote that its strategy decides by."""

    name: str
    correct: bool
    note: str
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
    problems = _thinned([problem for run in runs for problem in _browsed(run)])
    total = sum(len(run.problems) for run in runs)
    parts = {
        "SCRIPT": _digest(template),
        "SUMMARY": "".join(f"<p>{_text(line)}</p>\n" for line in summary),
        "FIGURES": "".join(map(_figure, figures)),
        "TABLES": "".join(map(_table, tables)),
        "BROWSED": f"{len(problems)} of {total} problems, one search of each strategy.",
        "PROBLEMS": msgspec.json.encode(problems).decode().replace("<", "\\u003c"),
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


def _thinned(problems: Sequence[BrowsedProblem]) -> Sequence[BrowsedProblem]:
    num_steps = sum(len(search.tree) for problem in problems for search in problem.searches)
    return problems[:: max(1, -(-num_steps // NUM_STEPS))]


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
    tree, note = trace.tree, ""
    if record.strategy not in STEPWISE_STRATEGIES:
        tree = _best_in_steps(record, trace)
        if len(trace.tree) > NUM_WHOLE:
            note = f"{NUM_WHOLE} of {len(trace.tree)} completions are shown, the best by reward."
    correct = is_right(record.strategy, record.correct, record.allocation)
    return BrowsedSearch(name, correct, note, record.choices, votes_for(record), tree)


def _best_in_steps(record: Record, trace: Trace) -> tuple[TreeNode, ...]:
    """Return the best whole completions, each as a chain of its steps with their scores."""
    best = nlargest(NUM_WHOLE, record.samples, key=lambda sample: sample.reward or 0.0)
    scores = {sample.path: sample.scores for sample in best}
    return tuple(
        node
        for whole in trace.tree
        if whole.path in scores
        for node in _in_steps(whole, scores[whole.path])
    )


def _in_steps(whole: TreeNode, scores: Sequence[float]) -> list[TreeNode]:
    texts = split_steps(whole.text)
    if len(texts) != len(scores):
        return [whole]
    nodes = [
        replace(whole, path=whole.path + (0,) * depth, text=text, score=score, finish="stop")
        for depth, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]
    return [*nodes[:-1], replace(nodes[-1], finish=whole.finish)]


def _digest(template: str) -> str:
    """Return what allows the template's own script to run, and none besides."""
    script = template.rpartition("<script>")[2].partition("</script>")[0]
    return f"sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _text(text: str) -> str:
    return escape(clean(text))


def _figure(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    caption = _text(_CAPTIONS.get(path.stem, path.stem))
    image = f'<img alt="{caption}" src="data:image/svg+xml;base64,{data}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>\n"


def _table(table: Table) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in table.header)
    rows = "".join(
        f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>\n" for row in table.texts()
    )
    content = f'<div class="scroll"><table><tr>{head}</tr>\n{rows}</table></div>'
    return f"<details><summary>{_text(table.name)}</summary>{content}</details>\n"
