"""Read the directory of a bench run. Its files are:

    config.json      the settings that decide the outcome, and their digest
    problems.jsonl   the problems
    results.jsonl    a record per finished search; in the plan's order once all are finished
    costs.jsonl      what each search took
    traces.jsonl     what each search sampled, where wanted

Where a file has several lines for a search, the last one counts.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Problem

CONFIG, PROBLEMS = "config.json", "problems.jsonl"
RESULTS, COSTS, TRACES = "results.jsonl", "costs.jsonl", "traces.jsonl"

Settings = dict[str, Any]
T = TypeVar("T")
L = TypeVar("L", Record, Cost, Trace)


@dataclass(frozen=True, slots=True)
class Run:
    """A run as it lies on disk, without its traces."""

    path: Path
    settings: Settings
    problems: dict[str, Problem]
    records: dict[Key, Record]
    costs: dict[Key, Cost]

    @property
    def failed(self) -> list[Record]:
        """The searches that ended in an error."""
        return [record for record in self.records.values() if record.error]


def read_run(path: Path) -> Run:
    """Read a run, finished or not; raises ConfigError where there is none."""
    settings = read_settings(path)
    problems = {problem.id: problem for problem in read_lines(path / PROBLEMS, Problem)}
    records, costs = _latest(path / RESULTS, Record), _latest(path / COSTS, Cost)
    return Run(path, settings, problems, records, costs)


def read_traces(path: Path) -> Iterator[Trace]:
    """Read a run's traces one by one; none where they were not wanted."""
    if (path / TRACES).exists():
        yield from read_lines(path / TRACES, Trace)


def encode_settings(settings: Settings) -> bytes:
    """Return the content of `config.json`."""
    digest = hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()
    content = {
        "digest": digest,
        "settings": settings,
        "written_by": f"ttc-client {version('ttc-client')}",
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def read_settings(path: Path) -> Settings:
    """Return the settings that decided a run's outcome."""
    try:
        return msgspec.json.decode((path / CONFIG).read_bytes())["settings"]
    except (OSError, msgspec.DecodeError, KeyError) as error:
        raise ConfigError(f"{path} holds no run of ttc bench: {error}") from error


def read_lines(path: Path, kind: type[T]) -> Iterator[T]:
    """Read a file of JSON lines; a last line that is torn is left out."""
    decoder = msgspec.json.Decoder(kind)
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                try:
                    yield decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise ConfigError(f"{path}, line {number}, is damaged: {error}") from error


def _latest(path: Path, kind: type[L]) -> dict[Key, L]:
    return {key_of(line): line for line in read_lines(path, kind)} if path.exists() else {}
