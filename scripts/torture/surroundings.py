"""Hand the command line what is not quite right: runs, shards, configurations, command lines.

    python -m scripts.torture.surroundings

Whatever is wrong must be told in words: no traceback, no "(a bug)", no command that hangs. Every
case runs in this process, without servers. Exits with 1 otherwise, and prints the seed of each case
that went wrong.
"""

import argparse
import asyncio
import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from scripts.torture.mutations import spoiled_body, spoiled_value
from scripts.torture.small_run import write_run
from ttc_client.bench.runs import encode_settings
from ttc_client.bench.shards import SHARDS, find_shard
from ttc_client.cli.app import run as run_command
from ttc_client.settings.config import SETTINGS

LONGEST_S = 300  # a report takes 8 s on an idle machine, and minutes on a busy one
_REPORTED = 0.2
NAMES = ("config.json", "problems.jsonl", "results.jsonl", "costs.jsonl", "traces.jsonl")
_LINES = (b"", b"{}", b"[]", b"null", b"\0" * 64, b"\xff\xfe", b"[" * 20_000, b'{"id": ', b"7")
_WORDS = (
    *("", "-", "--", "0", "-1", "1e9", "999999999", "9" * 40, "nan", "inf", "x", "½", "a,b", ","),
    *("=", "a=b", "../..", "/dev/null", "/dev/full", "/", "http://", "me:pw@h", "http://[", "\t"),
    *("dvts", "greedy", "sal", "1/0", "0/1", "1/99999999999", "os:getcwd", "x" * 5000, "\udcff"),
)
_COMMANDS = (
    *("config", "report", "export", "import", "datasets", "recipes", "guide", "bench", "solve"),
    *("optimal", "optimal fit", "doctor", ""),
)


@dataclass(slots=True)
class Ends:
    """How the cases of a kind ended, the longest of them, and those that went wrong."""

    codes: Counter[int] = field(default_factory=Counter[int])
    longest_s: float = 0.0
    wrong: list[str] = field(default_factory=list[str])


class _Hang(BaseException):
    pass


@contextmanager
def _limited(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise _Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def command(arguments: Iterable[str], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command line in this process; return its exit code and all that it said."""
    said = io.StringIO()
    stdin = io.TextIOWrapper(io.BytesIO(b"What is 1 + 1?"))
    with (
        mock.patch.object(sys, "argv", ["ttc", *arguments]),
        mock.patch.object(sys, "stdin", stdin),
        mock.patch.dict(os.environ, environment, clear=True),
        warnings.catch_warnings(),
        redirect_stdout(said),
        redirect_stderr(said),
        _limited(LONGEST_S),
    ):
        try:
            run_command()
        except SystemExit as error:
            return int(error.code or 0), said.getvalue()
        except _Hang:
            return -1, said.getvalue()
    return 0, said.getvalue()


def fuzz(kind: "Callable[[random.Random, Path], list[Case]]", seeds: Iterable[int]) -> Ends:
    """Run the cases of some seeds, each in a directory of its own."""
    ends = Ends()
    home = Path.cwd()
    for seed in seeds:
        directory = Path(tempfile.mkdtemp(prefix="ttc-fuzz-"))
        try:
            os.chdir(directory)
            for arguments, environment in kind(random.Random(seed), directory):
                _tell(ends, seed, arguments, environment)
        finally:
            os.chdir(home)
            shutil.rmtree(directory)
    return ends


def _tell(ends: Ends, seed: int, arguments: list[str], environment: Mapping[str, str]) -> None:
    started_s = time.monotonic()
    try:
        code, said = command(arguments, environment)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        code, said = -2, f"{type(error).__name__}: {error}"
    ends.longest_s = max(ends.longest_s, time.monotonic() - started_s)
    ends.codes[code] += 1
    if code < 0 or "(a bug" in said or "Traceback" in said:
        shown = " ".join(arguments)[:200]
        ends.wrong.append(f"seed {seed}: {shown} {dict(environment)}: {code}: {said[-400:]}")


Case = tuple[list[str], Mapping[str, str]]


def damaged_runs(luck: random.Random, directory: Path) -> list[Case]:
    """Return what reads a run, one of whose files is spoiled in one place or some."""
    path = directory / "run"
    asyncio.run(write_run(path))
    for _ in range(luck.choice((1, 1, 3))):
        _spoil(path / luck.choice(NAMES), luck)
    said = [["export", str(path), "--format", kind] for kind in ("sal", "sft", "prm")]
    said = [
        luck.choice(said),
        ["optimal", "fit", str(path), "--out", str(directory / "table.json")],
    ]
    if luck.random() < _REPORTED:  # drawing takes seconds
        said.append(["report", str(path), "--out", str(directory / "report")])
    return [(arguments, {}) for arguments in said]


def damaged_shards(luck: random.Random, directory: Path) -> list[Case]:
    """Return what joins three shards, some of whose files are spoiled, and what adds to them."""
    path = directory / "run"
    pods = [{"JOB_COMPLETION_INDEX": str(index)} for index in range(3)]
    shards = [find_shard("auto/3", pod, path) for pod in pods]
    for shard in shards:
        asyncio.run(write_run(shard.path, (shard.index, shard.count)))
    files = [shard.path / name for shard in shards for name in NAMES]
    for _ in range(luck.choice((1, 1, 3))):
        _spoil(luck.choice((path / SHARDS, *files)), luck)
    if luck.random() < 0.2:
        shutil.rmtree(luck.choice(shards).path)
    servers = ["--policy", "http://127.0.0.1:9", "--prm", "http://127.0.0.1:9", "--timeout", "1"]
    added = ["bench", "demomath", "--limit", "9", *servers, "--shard", "auto", "--out", str(path)]
    said: list[Case] = [
        (["merge", str(path), "--out", str(directory / "whole")], {}),
        ([*added, "--resume", "-q"], luck.choice(pods)),
    ]
    if luck.random() < _REPORTED:
        said.append((["report", str(path), "--out", str(directory / "report")], {}))
    return said


def _spoil(file: Path, luck: random.Random) -> None:
    if not file.is_file():
        return
    lines = file.read_bytes().splitlines(keepends=True) or [b""]
    at = luck.randrange(len(lines))
    match luck.randrange(5):
        case 0:
            lines[at] = luck.choice(_LINES) + b"\n"
        case 1:
            lines[at] = spoiled_body(lines[at], luck)
        case 2 if file.name == "config.json":  # by hand, with the digest made to fit
            try:
                settings = msgspec.json.decode(file.read_bytes(), type=dict[str, Any])["settings"]
                lines = [encode_settings(spoiled_value(settings, luck))]
            except (KeyError, ValueError):  # spoiled already, or no text
                return
        case 2 | 3:
            try:
                value = msgspec.json.decode(lines[at])
            except (msgspec.MsgspecError, RecursionError):
                return
            try:
                lines[at] = msgspec.json.encode(spoiled_value(value, luck)) + b"\n"
            except (msgspec.MsgspecError, ValueError, OverflowError):
                return
        case _:
            file.unlink()
            if luck.random() < 0.3:
                file.mkdir()
            return
    file.write_bytes(b"".join(lines))


def configurations(luck: random.Random, directory: Path) -> list[Case]:
    """Return what reads a TOML file and an environment with odd values in both."""
    names = [*SETTINGS, "dataset", "levels", "limit", "shard", "column", "split", "nonsense"]
    values = ("[]", "{}", "nan", "-inf", "1979-05-27", "true", '"\\u0000"', "[[1]]", "'x'", "7")
    lines = [
        f"{luck.choice(names)} = {luck.choice((*values, *map(_toml, _WORDS)))}"
        for _ in range(luck.randrange(1, 4))
    ]
    content = "\n".join(lines).encode(errors="surrogateescape")
    if luck.random() < 0.2:
        content = spoiled_body(content, luck)
    (directory / "ttc.toml").write_bytes(content)
    variables = {
        f"TTC_{luck.choice([*SETTINGS]).upper()}": luck.choice(_WORDS)
        for _ in range(luck.randrange(2))
    }
    servers = ["--policy", "http://127.0.0.1:9", "--prm", "http://127.0.0.1:9"]
    return [
        (["config"], variables),
        (["bench", "demomath", "--limit", "1", *servers, "--out", "run", "-q"], variables),
    ]


def _toml(word: str) -> str:
    return msgspec.json.encode(word.encode(errors="replace").decode()).decode()


def command_lines(luck: random.Random, directory: Path) -> list[Case]:
    """Return a command with odd options and arguments; none that could reach a server."""
    flags = [f"--{name.replace('_', '-')}" for name in SETTINGS]
    flags += ["--out", "--format", "-n", "-s", "--limit", "--shard", "--column", "--baseline"]
    flags += ["--json", "--tree", "--file", "--config", "--recipe", "--policy-params", "-q", "-h"]
    arguments = luck.choice(_COMMANDS).split()
    for _ in range(luck.randrange(4)):
        arguments += luck.choice(([luck.choice(flags)], [luck.choice(flags), luck.choice(_WORDS)]))
    arguments += [luck.choice(_WORDS) for _ in range(luck.randrange(2))]
    if arguments[:1] in (["solve"], ["bench"], ["doctor"]):
        arguments += ["--policy", "http://127.0.0.1:9", "--prm", "http://127.0.0.1:9"]
    return [([a.replace("/dev/", "dev-") if a == "/" else a for a in arguments], {})]


KINDS = {
    "run directories": damaged_runs,
    "shards": damaged_shards,
    "configurations": configurations,
    "command lines": command_lines,
}


def main() -> None:
    """Parse the command line, fuzz, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="of each kind")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=KINDS, help="of this kind alone")
    args = parser.parse_args()
    wrong: list[Any] = []
    for name, kind in KINDS.items():
        if args.kind in (None, name):
            ends = fuzz(kind, range(args.first, args.first + args.cases))
            codes = ", ".join(f"{count} × {code}" for code, count in sorted(ends.codes.items()))
            print(f"{name:<18}{ends.longest_s:6.2f} s at most  exit codes {codes}")
            wrong += ends.wrong
    for line in wrong[:50]:
        print(line)
    print(f"{len(wrong)} cases went wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
