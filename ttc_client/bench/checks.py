"""Tell a line of a run directory that no search can have written. Pure."""

from collections.abc import Callable
from dataclasses import fields
from math import isfinite
from typing import Any, Final

from ttc_client.runtime.records import Cost, Record, Sample, Trace
from ttc_client.search.params import MAX_N
from ttc_client.search.strategies import find_strategy
from ttc_client.types import Problem
from ttc_client.usage import Usage

_ROUNDING = 1e-6
_COUNTS = [field.name for field in fields(Usage) if field.type in (int, "int")]


def check_record(record: Record) -> None:
    """Raise ValueError for a record that does not fit together, ConfigError for its strategy."""
    find_strategy(record.strategy)
    if record.allocation:
        find_strategy(record.allocation.strategy)
    if not 1 <= record.n <= MAX_N:
        raise ValueError(f"n is {record.n}")
    grades = [*record.grades.values(), *(graded.grade for graded in record.answers)]
    if not all(map(_is_share, grades)):
        raise ValueError("a grade does not lie between 0 and 1")
    for sample in record.samples:
        _check_sample(sample, len(record.answers))
    if sum(sample.votes for sample in record.samples) > MAX_N:
        raise ValueError("it has more votes than any search")


def _check_sample(sample: Sample, num_answers: int) -> None:
    if sample.answer is not None and not 0 <= sample.answer < num_answers:
        raise ValueError(f"a sample has the answer {sample.answer} of {num_answers}")
    if not all(map(_is_share, (*sample.scores, sample.reward or 0.0))):
        raise ValueError("a score does not lie between 0 and 1")
    if not (isfinite(sample.votes) and sample.votes >= 0):
        raise ValueError(f"a sample has {sample.votes} votes")


def check_cost(cost: Cost) -> None:
    """Raise ValueError for counts or a time below zero."""
    usage = cost.usage
    by_cause = [*usage.retries.values(), *usage.failures.values()]
    counts = [getattr(usage, name) for name in _COUNTS]
    if not (isfinite(cost.wall_s) and min(cost.wall_s, *counts, *by_cause) >= 0):
        raise ValueError("a count or a time is below 0")


def check_trace(trace: Trace) -> None:
    """Raise ValueError for a step without the step before it."""
    known: set[tuple[int, ...]] = {()}
    for node in trace.tree:
        if not node.path or node.path[:-1] not in known:
            raise ValueError(f"the step {node.path} follows none")
        if node.multiplicity < 1:
            raise ValueError(f"the step {node.path} was sampled {node.multiplicity} times")
        known.add(node.path)


def check_problem(problem: Problem) -> None:
    """Raise ValueError for a problem without an id."""
    if not problem.id:
        raise ValueError("it has no id")


CHECKS: Final[dict[type, Callable[[Any], None]]] = {
    Record: check_record,
    Cost: check_cost,
    Trace: check_trace,
    Problem: check_problem,
}
"""By the kind of line; each raises for one that is not sound."""


def _is_share(value: float) -> bool:
    return -_ROUNDING <= value <= 1 + _ROUNDING
