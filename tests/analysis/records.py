"""Made-up runs for the tests of what is read off them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ttc_client.bench.runs import Run
from ttc_client.runtime.records import Cost, GradedAnswer, Record, Sample, key_of
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import STRATEGIES
from ttc_client.types import Problem, Usage, Vote

SPENT = Usage(
    completion_tokens=800,
    prompt_tokens=400,
    cached_tokens=240,
    prm_tokens=1000,
    prm_cached_tokens=200,
    policy_requests=4,
    prm_requests=8,
    retries={"503": 2, "connection": 1},
)


def record(
    strategy: str,
    n: int,
    samples: Sequence[tuple[int, float | None]],
    *,
    name: str = "a",
    seed: int = 0,
    right: int | None = 0,
    correct: tuple[float, float, float] = (True, False, False),
    vote: Vote | None = None,
) -> Record:
    """Make a record of samples, each an answer's index (-1: none) and a reward.

    `correct` says how right the answer of each vote is: prm, weighted, majority.
    """
    known = STRATEGIES.get(strategy)
    scored = known is None or known.needs != "nothing"
    by_vote = dict(zip(("prm", "weighted", "majority"), correct, strict=True))
    if vote is None:
        vote = known.vote(SearchParams()) if known else "weighted"
    answers = range(max((answer for answer, _ in samples), default=-1) + 1)
    return Record(
        id=name,
        strategy=strategy,
        n=n,
        seed=seed,
        vote=vote,
        grades={v: float(g) for v, g in by_vote.items() if scored or v == "majority"},
        choices={},
        answers=tuple(GradedAnswer(str(answer), float(answer == right)) for answer in answers),
        samples=tuple(
            Sample(
                answer=answer if answer >= 0 else None,
                reward=reward,
                scores=() if reward is None else (reward,),
                finish="eos",
                votes=1,
                num_tokens=10,
                path=(index,),
            )
            for index, (answer, reward) in enumerate(samples)
        ),
    )


def run(*records: Record, name: str = "run", **settings: Any) -> Run:
    """Make a run; every search that did not fail costs the same."""
    costs = [Cost(**key_of(r)._asdict(), usage=SPENT, wall_s=2.0) for r in records]
    return Run(
        path=Path(name),
        settings={"m": 4, "n": [r.n for r in records], **settings},
        problems={
            r.id: Problem(question=f"problem {r.id}", id=r.id, gold="1", level="3") for r in records
        },
        records={key_of(r): r for r in records},
        costs={key_of(c): c for c in costs},
    )
