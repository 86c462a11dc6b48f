"""Read the directory of a bench run. Its files are:

    config.json      the settings that decide the outcome, and their digest
    problems.jsonl   the problems
    results.jsonl    a record per finished search; in the plan's order once all are finished
    costs.jsonl      what each search took
    traces.jsonl     what each search sampled, where wanted

Where a file has several lines for a search, the last one counts. A damaged line is left out, with
a warning that names it.
"""

import hashlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from ttc_client.bench.checks import CHECKS
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Compat, Problem, Reduction

CONFIG, PROBLEMS = "config.json", "problems.jsonl"
RESULTS, COSTS, TRACES = "results.jsonl", "costs.jsonl", "traces.jsonl"

_WITHOUT = {
    PROBLEMS: "these problems are shown without their text; ttc bench --resume writes them again",
    RESULTS: "these searches are left out; ttc bench --resume runs them again",
    COSTS: "what these searches took counts nowhere",
    TRACES: "what these searches sampled is not shown",
}
_LINES_SHOWN = 5

Settings = dict[str, Any]
T = TypeVar("T")
L = TypeVar("L", Record, Cost, Trace)


class DamagedRunWarning(UserWarning):
    """A run directory has lines that cannot be read."""


class Line(NamedTuple, Generic[T]):
    """What a line of a file holds, where it starts, and how long it is, in bytes."""

    value: T
    start: int
    size: int


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
    if (path / PROBLEMS).exists():
        problems = {line.value.id: line.value for line in read_lines(path / PROBLEMS, Problem)}
    else:
        missing = f"{path / PROBLEMS} is missing: {_WITHOUT[PROBLEMS]}"
        warnings.warn(missing, DamagedRunWarning, stacklevel=2)
        problems = {}
    records, costs = _latest(path / RESULTS, Record), _latest(path / COSTS, Cost)
    return Run(path, settings, problems, records, costs)


def read_traces(path: Path) -> Iterator[Trace]:
    """Read a run's traces one by one; none where they were not wanted."""
    if (path / TRACES).exists():
        for line in read_lines(path / TRACES, Trace):
            yield line.value


def encode_settings(settings: Settings) -> bytes:
    """Return the content of `config.json`."""
    content = {
        "digest": _digest(settings),
        "settings": settings,
        "written_by": f"ttc-client {version('ttc-client')}",
    }
    return msgspec.json.format(msgspec.json.encode(content)) + b"\n"


def read_settings(path: Path) -> Settings:
    """Return the settings that decided a run's outcome.

    Raises ConfigError where there are none, or others than those that were written.
    """
    file = path / CONFIG
    try:
        content = msgspec.json.decode(file.read_bytes(), type=_Config)
        msgspec.convert(content.settings, _Shape)
        digest = _digest(content.settings)
    except FileNotFoundError as error:
        raise ConfigError(f"{path} holds no run of ttc bench: there is no {CONFIG}") from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is damaged: {error}; {_WAY_ON}") from error
    if content.digest != digest:
        raise ConfigError(
            f"{file} is damaged: its settings are not those that the run was made with (they "
            f"have the digest {digest[:12]}, not {content.digest[:12]}); {_WAY_ON}"
        )
    return content.settings


_WAY_ON = "restore it from a copy, or begin again with another --out"


class _Config(msgspec.Struct):
    digest: str
    settings: Settings


class _Task(msgspec.Struct):
    name: str = ""
    system_prompt: str = ""


class _Shape(msgspec.Struct):
    """The types of what is read of the settings, whoever wrote them."""

    strategy: list[str] = []
    n: list[int] = []
    seed: list[int] = []
    own: dict[str, dict[str, Any]] = {}
    task: _Task | None = None
    m: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_steps: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    reduction: Reduction | None = None
    compat: Compat | None = None


def problems_digest(lines: bytes) -> str:
    """Return what a run's settings say of the lines of its problems."""
    return hashlib.sha256(lines).hexdigest()


def _digest(settings: Settings) -> str:
    return hashlib.sha256(msgspec.json.encode(settings, order="sorted")).hexdigest()


def read_lines(path: Path, kind: type[T], *, warn: bool = True) -> Iterator[Line[T]]:
    """Read a file of JSON lines; damaged ones are left out, with a warning at the end.

    A last line that is torn, as by a kill, is left out without one. Raises ConfigError for a file
    that cannot be read.
    """
    decoder, check = msgspec.json.Decoder(kind), CHECKS.get(kind, _sound)
    damaged: list[tuple[int, str]] = []
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.endswith(b"\n"):
                    try:
                        value = decoder.decode(line)
                        check(value)
                    except (msgspec.MsgspecError, ConfigError, ValueError, RecursionError) as error:
                        damaged.append((number, str(error)))
                    else:
                        yield Line(value, start, len(line))
                start += len(line)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    if damaged and warn:
        warnings.warn(_damage(path, damaged), DamagedRunWarning, stacklevel=2)


def _damage(path: Path, damaged: list[tuple[int, str]]) -> str:
    """Say which lines are damaged, how the first one is, and what that means."""
    numbers = ", ".join(str(number) for number, _ in damaged[:_LINES_SHOWN])
    more = f" and {len(damaged) - _LINES_SHOWN} more" if len(damaged) > _LINES_SHOWN else ""
    lines = f"line {numbers} is" if len(damaged) == 1 else f"lines {numbers}{more} are"
    without = _WITHOUT.get(path.name, "what they say is done again with --resume")
    return f"{path}: {lines} damaged ({damaged[0][1]}): {without}"


def _sound(_: object) -> None:
    """Take a line of a kind that has no check for what it is."""


def _latest(path: Path, kind: type[L]) -> dict[Key, L]:
    if not path.exists():
        return {}
    return {key_of(line.value): line.value for line in read_lines(path, kind)}
