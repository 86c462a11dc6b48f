"""Read what the searches of a run sampled: their records with the texts from their traces."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial

from ttc_client.bench.runs import DamagedRunWarning, Run, read_traces
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Record, Trace, key_of, texts
from ttc_client.sal.modes import MODES
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.search.thinking import steps_read
from ttc_client.types import Candidate

Search = tuple[Record, list[Candidate]]
"""A record, and its samples as candidates: with their texts, without their steps."""


def read_searches(
    run: Run, wanted: Callable[[Record], bool] = lambda record: True
) -> dict[str, list[Search]]:
    """Return the finished searches of a run that are wanted, by problem, in the set's order.

    Raises ConfigError where none of them has a trace.
    """
    found: dict[str, list[Search]] = {}
    for trace in read_traces(run.path):
        record = run.records.get(key_of(trace))
        if record and not record.error and wanted(record) and _fits(record, trace):
            found.setdefault(record.id, []).append((record, _candidates(record, trace)))
    if not found:
        raise ConfigError(
            f"{run.path} holds no traces of such searches: leave out -s, -n and --seed, or run "
            "ttc bench without --no-traces"
        )
    return {name: found[name] for name in run.problems if name in found}


def steps_of(run: Run, text: str) -> tuple[str, ...]:
    """Return the steps of a completion as the run's mode reads them, without blank ones."""
    return tuple(step.strip() for step in reader_of(run)(text) if step.strip())


def reader_of(run: Run) -> Callable[[str], Sequence[str]]:
    """Return what splits a completion into the steps that the run's verifier read."""
    compat = run.settings.get("compat")
    if compat:
        return MODES[compat].rules.read_steps
    delimiters = run.settings.get("step_delimiter") or [STEP_DELIMITER]
    thoughts = run.settings.get("thoughts", "drop")
    return partial(steps_read, thoughts=thoughts, delimiters=[str(one) for one in delimiters])


def is_right(record: Record, candidate: Candidate) -> bool:
    """Whether a candidate's answer is entirely right."""
    return any(graded.grade == 1 and graded.answer == candidate.answer for graded in record.answers)


def _fits(record: Record, trace: Trace) -> bool:
    """Whether the trace holds what the record was made of, as after a crash it may not."""
    known = {node.path for node in trace.tree}
    if fits := all(sample.path in known for sample in record.samples):
        return fits
    warnings.warn(
        f"the trace of {', '.join(map(str, key_of(record)))} does not fit its record: the search "
        "is left out",
        DamagedRunWarning,
        stacklevel=3,
    )
    return False


def _candidates(record: Record, trace: Trace) -> list[Candidate]:
    text = texts(trace)
    return [
        Candidate(
            text=text[sample.path],
            steps=(),
            reward=sample.reward,
            answer="" if sample.answer is None else record.answers[sample.answer].answer,
            finish=sample.finish,
            num_tokens=sample.num_tokens,
            path=sample.path,
            weight=sample.weight,
            group=sample.answer,
        )
        for sample in record.samples
    ]
