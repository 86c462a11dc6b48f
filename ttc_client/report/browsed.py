"""Collect what a page shows of problems: their searches, the votes, and the trees of some."""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import NamedTuple

from ttc_client.analysis.curves import labelled
from ttc_client.bench.runs import Run, read_traces
from ttc_client.report.rich import Typesetter
from ttc_client.report.shown import (
    Ends,
    ShownProblem,
    ShownSearch,
    ShownVotes,
    in_steps,
    is_whole,
    shown_nodes,
)
from ttc_client.runtime.records import Key, Record, Trace, key_of
from ttc_client.types import TreeNode

NUM_LISTED = 2_000
"""How many problems a page lists, taken evenly over the set."""
NUM_TREES = 200
"""Of how many problems it holds the trees, at most."""
MOST_BYTES = 10_000_000
"""How large all trees are, about: of large ones it holds those of fewer problems."""
STEP_BYTES = 500
"""What a step takes besides its text."""
NUM_WHOLE = 16
"""How many whole completions of a search it shows: hundreds of them would fill it."""
LARGEST_N = 16
"""It shows each strategy's search with the largest N up to this, or else the smallest."""


@dataclass(frozen=True, slots=True)
class VotesFor:
    """An answer, how right it is, and what spoke for it."""

    answer: str
    grade: float
    votes: float
    reward_sum: float
    reward_max: float


class _Place(NamedTuple):
    """Where a search lies: in which run, under which name, and what tells the run from others."""

    run: str
    key: Key
    label: str


def browse(runs: Sequence[Run], typeset: Typesetter) -> list[ShownProblem]:
    """Return the problems of some runs, each with a search of each strategy."""
    problems = {problem.id: problem for run in runs for problem in run.problems.values()}
    listed = list(problems)[:: max(1, -(-len(problems) // NUM_LISTED))]
    chosen = _chosen(runs)
    traces = _traces(runs, listed, chosen)
    records = {str(run.path): run.records for run in runs}
    return [
        ShownProblem(
            name,
            problems[name].level,
            typeset.text(problems[name].question),
            typeset.answer(problems[name].gold),
            tuple(
                _search(records[place.run][place.key], place.label, traces.get(place), typeset)
                for place in chosen.get(name, ())
            ),
        )
        for name in listed
    ]


def votes_for(record: Record) -> tuple[VotesFor, ...]:
    """Return what spoke for each answer of a search, the most votes first."""
    votes = [0.0] * len(record.answers)
    sums, best = list(votes), list(votes)
    for sample in record.samples:
        if sample.answer is not None:
            reward = sample.reward or 0.0
            weight = reward if sample.weight is None else sample.weight
            votes[sample.answer] += sample.votes
            sums[sample.answer] += sample.votes * weight
            best[sample.answer] = max(best[sample.answer], reward)
    found = [
        VotesFor(graded.answer, graded.grade, *of)
        for graded, *of in zip(record.answers, votes, sums, best, strict=True)
    ]
    return tuple(sorted(found, key=lambda answer: -answer.votes))


def _chosen(runs: Sequence[Run]) -> dict[str, list[_Place]]:
    """Return by problem the search of each strategy that the page shows, with its first seed."""
    best: dict[str, dict[tuple[str, str], _Place]] = {}
    for label, run in labelled(runs):
        for key, record in run.records.items():
            known = best.setdefault(key.id, {}).get((key.strategy, label))
            if not record.error and (known is None or _rank(key) < _rank(known.key)):
                best[key.id][key.strategy, label] = _Place(str(run.path), key, label)
    return {name: [of[kind] for kind in sorted(of)] for name, of in best.items()}


def _rank(key: Key) -> tuple[bool, int, int]:
    is_large = key.n > LARGEST_N
    return is_large, key.n if is_large else -key.n, key.seed


def _search(record: Record, label: str, trace: Trace | None, typeset: Typesetter) -> ShownSearch:
    told = f" · {label}" if label else ""
    name = f"{record.strategy}, N={record.n}, seed {record.seed}{told}"
    tree, note = None, "The tree of this search is not in this page."
    if trace:
        nodes, ends, note = _nodes(record, trace)
        tree = shown_nodes(nodes, ends, typeset)
    return ShownSearch(
        name, record.strategy + told, record.grade, note, _votes(record, typeset), tree
    )


def _votes(record: Record, typeset: Typesetter) -> tuple[ShownVotes, ...]:
    scored = any(sample.reward is not None for sample in record.samples)
    return tuple(
        ShownVotes(
            answer=typeset.answer(found.answer),
            right=found.grade,
            votes=found.votes,
            reward_sum=found.reward_sum if scored else None,
            reward_max=found.reward_max if scored else None,
            chosen=tuple(vote for vote, answer in record.choices.items() if answer == found.answer),
        )
        for found in votes_for(record)
    )


def _nodes(record: Record, trace: Trace) -> tuple[Sequence[TreeNode], Ends, str]:
    """Return the steps to show, where its completions lead, and a note on what is left out."""
    graded = record.answers
    ends = {
        sample.path: (graded[sample.answer].answer, graded[sample.answer].grade)
        for sample in record.samples
        if sample.answer is not None
    }
    if not is_whole(trace.tree):
        return trace.tree, ends, ""
    best = nlargest(NUM_WHOLE, record.samples, key=lambda sample: sample.reward or 0.0)
    scores = {sample.path: sample.scores for sample in best}
    chains = [in_steps(node, scores[node.path]) for node in trace.tree if node.path in scores]
    ends |= {chain[-1].path: ends[chain[0].path] for chain in chains if chain[0].path in ends}
    total = len(trace.tree)
    note = f"{NUM_WHOLE} of {total} completions are shown, the best by reward."
    return [node for chain in chains for node in chain], ends, note if total > NUM_WHOLE else ""


def _traces(
    runs: Sequence[Run], listed: Sequence[str], chosen: dict[str, list[_Place]]
) -> dict[_Place, Trace]:
    """Return the traces of the searches to show, for as many problems as the page has room for."""
    candidates = listed[:: max(1, -(-len(listed) // NUM_TREES))]
    places = {(p.run, p.key): p for name in candidates for p in chosen.get(name, ())}
    traces = {
        places[name]: trace
        for run in runs
        for trace in read_traces(run.path)
        if (name := (str(run.path), key_of(trace))) in places
    }
    sizes = {place: _num_bytes(trace) for place, trace in traces.items()}
    kept = set(candidates[:: max(1, -(-sum(sizes.values()) // MOST_BYTES))])
    shown: dict[_Place, Trace] = {}
    room = MOST_BYTES
    for place, trace in traces.items():
        if place.key.id in kept and sizes[place] <= room:
            room -= sizes[place]
            shown[place] = trace
    return shown


def _num_bytes(trace: Trace) -> int:
    """Return about how large a trace is on the page."""
    sizes = [STEP_BYTES + len(node.text.encode()) for node in trace.tree]
    return sum(nlargest(NUM_WHOLE, sizes) if is_whole(trace.tree) else sizes)
