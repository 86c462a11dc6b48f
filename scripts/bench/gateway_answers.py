"""Ask a gateway what a bench has searched for, with the same seeds, and compare the answers.

    ttc bench demomath -s dvts -n 64 --seed 0 --out runs/hard
    python -m scripts.bench.gateway_answers runs/hard

Each search of the run is asked for once more, at the profile `hard` of a gateway in front of demo
servers of its own. Answers and votes must be the same; exits with 1 if one differs. With --kept,
what is found is kept in a file, and a later call goes on from there.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.gateway.serving import Caller, serving
from ttc_client.bench.runs import PROBLEMS, RESULTS, read_lines
from ttc_client.runtime.records import Record
from ttc_client.settings.endpoints import demo_servers
from ttc_client.types import Problem

AT_ONCE = 4


def recorded(run: Path) -> list[tuple[Problem, Record]]:
    """Return the searches of a run, each with its problem."""
    problems = {line.value.id: line.value for line in read_lines(run / PROBLEMS, Problem)}
    records = [line.value for line in read_lines(run / RESULTS, Record)]
    return [(problems[record.id], record) for record in records if not record.error]


def outcome(record: Record) -> list[Any]:
    """Return the answer of a recorded search, and all answers with their votes."""
    votes = [0.0] * len(record.answers)
    for sample in record.samples:
        if sample.answer is not None:
            votes[sample.answer] += sample.votes
    named = zip(record.answers, votes, strict=True)
    return [record.choices[record.vote], [[graded.answer, count] for graded, count in named]]


async def ask(caller: Caller, problem: Problem, record: Record) -> list[Any]:
    """Return the same of what the gateway answers."""
    answer = await caller.chat("hard", problem.question, seed=record.seed)
    assert answer.status == 200, answer.body
    told = answer.json["ttc"]
    return [told["answer"], [[group["answer"], group["votes"]] for group in told["answers"]]]


async def compare(
    searches: Sequence[tuple[Problem, Record]], found: dict[str, Any], keep: Callable[[str], object]
) -> list[str]:
    """Return the problems whose outcomes differ; `found` has those that are known already."""
    (strategy, n) = {(record.strategy, record.n) for _, record in searches}.pop()
    profile = f"hard={strategy}:{n},task=math"
    waiting = iter([pair for pair in searches if pair[0].id not in found])
    async with demo_servers() as (policy, prm), serving(policy, prm, (profile,)) as caller:

        async def work() -> None:
            for problem, record in waiting:
                found[problem.id] = await ask(caller, problem, record)
                keep(json.dumps([problem.id, found[problem.id]]) + "\n")

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return [problem.id for problem, record in searches if found[problem.id] != outcome(record)]


def main() -> int:
    """Compare, and print what comes out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="the directory of a bench of one strategy")
    parser.add_argument("--kept", type=Path, help="keep what the gateway answers in this file")
    args = parser.parse_args()
    searches = recorded(args.run)
    with (args.kept or Path(os.devnull)).open("a+", buffering=1) as kept:
        kept.seek(0)
        found = dict(json.loads(line) for line in kept)
        different = asyncio.run(compare(searches, found, kept.write))
    print(f"{len(searches)} searches: {len(different)} outcomes differ", *different)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
