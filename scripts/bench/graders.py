"""Grade the same pairs of gold answer and answer with our grader and with those of others.

    python scripts/bench/graders.py --pairs pairs.jsonl --golds math500.jsonl \\
        --peer math-verify=venv/bin/python --peer lighteval=venv2/bin/python \\
        --peer qwen=venv3/bin/python:Qwen2.5-Math/evaluation

The pairs are those of tests/test_grading_kinds.py and of `--pairs` (lines with `gold`, `answer` and
`right`); with `--golds`, each gold answer beside itself and 2,000 pairs of different ones. A peer
runs in the interpreter in which it is installed, behind a colon the folder that it is imported
from; this file is what it runs, so that nothing of ours needs to be there. Parts of a peer that
grading does not need (torch, datasets) may be missing. A pair takes 10 seconds at most, then it
counts as not accepted.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

PATIENCE_S = 10.0
LOADING_S = 120.0
NUM_DIFFERENT = 2_000
MAX_MISSING = 100


@dataclass(frozen=True)
class Pair:
    """A gold answer, an answer, whether it should be accepted, and where the pair is from."""

    gold: str
    answer: str
    right: bool
    group: str


def _imported(name: str) -> Any:
    """Import a module, and put a stand-in for each module that is missing."""
    package = name.partition(".")[0]
    for _ in range(MAX_MISSING):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name == name:
                raise
            sys.modules[error.name or ""] = MagicMock()
            for module in [each for each in sys.modules if each.startswith(f"{package}.")]:
                del sys.modules[module]
    raise ImportError(f"{name} needs too many modules that are missing")


def _math_verify() -> Callable[[str, str], bool]:
    library = import_module("math_verify")

    def parse(text: str) -> Any:
        return library.parse(f"${text.strip('$ ')}$", parsing_timeout=None)

    return lambda gold, answer: library.verify(parse(gold), parse(answer), timeout_seconds=None)


def _qwen() -> Callable[[str, str], bool]:
    sys.path.append(str(Path(sys.path[0]) / "latex2sympy"))
    strip, equal = _imported("parser").strip_string, _imported("grader").math_equal
    return lambda gold, answer: equal(strip(answer), strip(gold))


def _lighteval() -> Callable[[str, str], bool]:
    extraction = _imported("lighteval.metrics.utils.extractive_match_utils")
    comparison = _imported("lighteval.metrics.utils.math_comparison")
    configs = (extraction.LatexExtractionConfig(), extraction.ExprExtractionConfig())
    doc = extraction.Doc(query="", choices=[], gold_index=0)
    regexes = extraction.get_extraction_regexes(doc, configs, extraction.Language.ENGLISH)

    def parse(text: str) -> Any:
        return extraction.extract_target_from_pred(f"${text.strip('$ ')}$", regexes)

    return lambda gold, answer: comparison.compare_gold_target(parse(gold), parse(answer))


PEERS = {"math-verify": _math_verify, "qwen": _qwen, "lighteval": _lighteval}


def serve(peer: str, folder: str) -> None:
    """Read pairs from the input and write for each whether the peer accepts it."""
    if folder:
        sys.path.insert(0, folder)
    accepts = PEERS[peer]()
    print("ready", flush=True)
    for line in sys.stdin:
        gold, answer = json.loads(line)
        try:
            accepted = bool(accepts(gold, answer))
        except Exception:
            accepted = False
        print(json.dumps(accepted), flush=True)


class Peer:
    """A peer in a process of its own, started again when it takes too long."""

    def __init__(self, spec: str) -> None:
        self.name, _, place = spec.partition("=")
        self._python, _, self._folder = place.partition(":")
        self._process: asyncio.subprocess.Process | None = None

    async def accepts(self, pair: Pair) -> bool:
        """Whether the peer accepts an answer; not if it crashes or takes too long."""
        process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([pair.gold, pair.answer]).encode() + b"\n")
        try:
            line = await asyncio.wait_for(process.stdout.readline(), PATIENCE_S)
        except TimeoutError:
            line = b""
        if not line:
            await self.stop()
        return line == b"true\n"

    async def _start(self) -> asyncio.subprocess.Process:
        self._process = await asyncio.create_subprocess_exec(
            *(self._python, __file__, "--serve", self.name, self._folder),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert self._process.stdout is not None
        line = b""
        while line != b"ready\n":
            line = await asyncio.wait_for(self._process.stdout.readline(), LOADING_S)
            if not line:
                raise SystemExit(f"{self.name} does not start in {self._python}")
        return self._process

    async def stop(self) -> None:
        """Kill the process and wait for its end."""
        if self._process:
            if self._process.returncode is None:
                self._process.kill()
            await self._process.communicate()
            self._process = None


async def _graded_by_peer(spec: str, pairs: Sequence[Pair]) -> tuple[list[bool], float]:
    peer = Peer(spec)
    await peer.accepts(pairs[0])
    began_s = time.perf_counter()
    accepted = [await peer.accepts(pair) for pair in pairs]
    seconds = time.perf_counter() - began_s
    await peer.stop()
    return accepted, seconds


async def _graded_by_us(pairs: Sequence[Pair]) -> tuple[list[bool], float]:
    from ttc_client.answers import AnswerPool
    from ttc_client.answers.grading import grade

    async with AnswerPool(workers=1) as pool:
        await pool.canonical_keys([r"\sqrt{7}+x"])
        began_s = time.perf_counter()
        grades = [await grade(pool, [pair.answer], pair.gold) for pair in pairs]
        seconds = time.perf_counter() - began_s
    return [each.correct[0] for each in grades], seconds


def _own_pairs() -> list[Pair]:
    from tests.answers.test_grading_kinds import KINDS, cases

    return [
        Pair(gold, answer, right, "our tests")
        for table in KINDS.values()
        for gold, answers in cases(table).items()
        for answer, right in answers.items()
    ]


def _given_pairs(path: Path) -> list[Pair]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        Pair(row["gold"], row["answer"], row["right"], path.stem) for row in rows if "right" in row
    ]


def _gold_pairs(path: Path) -> list[Pair]:
    golds = [json.loads(line)["answer"] for line in path.read_text().splitlines()]
    luck, different = random.Random(0), set[tuple[str, str]]()
    while len(different) < NUM_DIFFERENT:
        gold, other = luck.sample(golds, 2)
        if gold != other:
            different.add((gold, other))
    same = [Pair(gold, gold, True, f"{path.stem}, itself") for gold in golds]
    return same + [Pair(*pair, False, f"{path.stem}, another") for pair in sorted(different)]


def _print_figures(figures: dict[str, Any]) -> None:
    from tests.fakes.scripted_process import print_table

    heads = (
        "grader",
        "pairs",
        "of",
        "as they should",
        "wrong accepted",
        "right refused",
        "ms a pair",
    )
    rows = [
        (
            grader,
            group,
            *(str(row[key]) for key in ("pairs", "agree", "accepted", "refused")),
            row["ms"],
        )
        for grader, groups in figures.items()
        for group, row in groups.items()
    ]
    print_table(heads, rows)


def _figures(pairs: Sequence[Pair], accepted: Sequence[bool], seconds: float) -> dict[str, Any]:
    groups: dict[str, Any] = {}
    for group in dict.fromkeys(pair.group for pair in pairs):
        found = [(p, a) for p, a in zip(pairs, accepted, strict=True) if p.group == group]
        groups[group] = {
            "pairs": len(found),
            "agree": sum(pair.right == accept for pair, accept in found),
            "accepted": sum(accept and not pair.right for pair, accept in found),
            "refused": sum(pair.right and not accept for pair, accept in found),
            "ms": f"{1000 * seconds / len(pairs):.1f}",
        }
    return groups


async def measure(pairs: Sequence[Pair], peers: Sequence[str]) -> dict[str, Any]:
    """Grade all pairs with each grader, one after another."""
    figures = {"ours": _figures(pairs, *await _graded_by_us(pairs))}
    for spec in peers:
        figures[spec.partition("=")[0]] = _figures(pairs, *await _graded_by_peer(spec, pairs))
    return figures


def main() -> None:
    """Parse the command line, measure, and print a table."""
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2], sys.argv[3])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, action="append", default=[])
    parser.add_argument("--golds", type=Path, action="append", default=[])
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON[:FOLDER]")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.fakes.scripted_process import write_json

    pairs = _own_pairs()
    for path in args.pairs:
        pairs += _given_pairs(path)
    for path in args.golds:
        pairs += _gold_pairs(path)
    figures = asyncio.run(measure(pairs, args.peer))
    _print_figures(figures)
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
