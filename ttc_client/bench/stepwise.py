"""Write labels as TRL's stepwise data: `prompt`, `completions` and boolean `labels`.

TRL's PRM trainer takes int(label), so that a soft value of 0.9 would train as 0: values come in a
column of their own.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ttc_client.bench.labelling import LABELS, Labelled
from ttc_client.bench.runs import read_lines
from ttc_client.errors import ConfigError
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Problem

ADVICE = (
    "train on them with PRMConfig(step_separator='\\n\\n'): steps come without it, and hold "
    "single line breaks"
)


def is_labels(path: Path) -> bool:
    """Whether a directory is one of ttc label."""
    return (path / LABELS).is_file()


def export_labels(
    path: Path,
    threshold: float,
    takes: Callable[[Problem], bool],
    left_out: Counter[str],
) -> Iterator[dict[str, Any]]:
    """Return a row for each labelled solution, in the order of their ids.

    A label is whether the value is above the threshold; without one, whether any completion from
    there was right, the solution itself included.
    `values` are None where nothing was rolled out. Problems that are not taken, and steps that hold
    the separator, which could not be told from two, cost their solution, and are counted. Raises
    ConfigError for another threshold where bisection left values out.
    """
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold is {threshold}: it must be 0 or more, and below 1")
    lines = {line.value.id: line.value for line in read_lines(path / LABELS, Labelled)}
    for _, line in sorted(lines.items()):
        if line.error:
            left_out["solutions that could not be labelled"] += 1
        elif any(STEP_DELIMITER in step for step in line.steps):
            left_out["solutions of which a step holds a blank line"] += 1
        elif takes(Problem(question=line.question)):
            yield {
                "unique_id": line.id,
                "prompt": line.question,
                "completions": line.steps,
                "labels": line.labels if threshold == 0 else _above(line, threshold),
                "values": line.values,
            }


def _above(line: Labelled, threshold: float) -> tuple[bool, ...]:
    known = [value for value in line.values if value is not None]
    if len(known) < len(line.values):
        raise ConfigError(
            f"threshold is {threshold}, but the labels were found by bisection, which has no value "
            "for most steps: leave it out, or label with --method every"
        )
    return tuple(value > threshold for value in known)
