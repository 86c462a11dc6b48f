"""Write a run directory as a bench does, without a search: what the fuzzer spoils."""

from pathlib import Path

from ttc_client.bench.journal import Journal
from ttc_client.runtime.records import Cost, GradedAnswer, Key, Record, Sample, Trace
from ttc_client.types import Problem, TreeNode, Usage, Vote


async def write_run(path: Path, shard: tuple[int, int] = (1, 1)) -> None:
    """Write a small run, or a shard of it, of three strategies over twelve problems."""
    index, count = shard
    problems = [
        Problem(question=f"{i} + 1?", id=f"={i}", gold=str(i + 1), level=str(i % 3))
        for i in range(index - 1, 12, count)
    ]
    settings = {
        "dataset": "d",
        "strategy": ["best-of-n", "beam", "majority"],
        "n": [4],
        "seed": [0],
        "shard": f"{index}/{count}",
        "m": 2,
        "temperature": 0.8,
        "compat": None,
        "reduction": "last",
        "policy": "p",
        "task": {"name": "math", "system_prompt": ""},
        "own": {"beam": {}},
        "prm": "q",
    }
    with Journal(path, settings, problems, resume=False) as book:
        for strategy in ("best-of-n", "beam", "majority"):
            for problem in problems:
                key = Key(strategy, 4, 0, problem.id)
                await book.write(_record(key), _cost(key), _trace(key))


def _record(key: Key) -> Record:
    scored = key.strategy != "majority"
    samples = tuple(
        Sample(
            i % 2, 0.25 * i if scored else None, (0.25 * i,) if scored else (), "eos", 1, 9, (i,)
        )
        for i in range(4)
    )
    right = float(len(key.id) % 2)
    votes: list[Vote] = ["majority", "weighted", "prm"] if scored else ["majority"]
    return Record(
        **key._asdict(),
        vote="weighted" if scored else "majority",
        choices=dict.fromkeys(votes, "1"),
        grades=dict.fromkeys(votes, right),
        answers=(GradedAnswer("1", right), GradedAnswer("2", 1.0)),
        samples=samples,
    )


def _cost(key: Key) -> Cost:
    return Cost(**key._asdict(), usage=Usage(9, 9, 1, 9, 1, 2, 2), wall_s=1.0)


def _trace(key: Key) -> Trace:
    tree = tuple(
        TreeNode((i,), f"So.\n\nIt is {i}.", 0.25 * i, "eos", 1, kept=True) for i in range(4)
    )
    return Trace(**key._asdict(), tree=tree)
