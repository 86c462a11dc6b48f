"""What the strategies sample, word for word, as digests: a change that nobody meant is seen.

`digests.json` holds a digest of the trajectories, the candidates and the requests of each search.
It was written from strategies whose results had been compared, search by search, with those of
the code before strategies were records. Where a change is meant, write it anew:

    python -m tests.search.test_digests
"""

import asyncio
import json
import random
from hashlib import sha256
from pathlib import Path

import pytest

from tests.tables import table
from ttc_client.search.compute_optimal import TableSettings
from ttc_client.search.params import SearchParams
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.search.table import Choice
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, run_search, walk

DIGESTS = Path(__file__).with_name("digests.json")
FITTED = TableSettings(table=table(Choice("beam", 4), Choice("dvts", 4)))
SETTINGS = {
    "greedy": None,
    "majority": None,
    "best-of-n": None,
    "beam": None,
    "dvts": None,
    "compute-optimal": FITTED,
}
AHEAD = {name: StepwiseSettings(lookahead=2) for name in ("beam", "dvts")}
CASES = {
    f"{name} n={n} seed={seed}{' lookahead=2' if ahead else ''}": SearchParams(
        strategy=name, n=n, seed=seed, settings=settings
    )
    for ahead, by_name in ((False, SETTINGS), (True, AHEAD))
    for name, settings in by_name.items()
    for n in (4, 8, 16)
    for seed in (0, 1)
}


def judge(text: str) -> float:
    """Score a text by chance, the same text always alike."""
    return random.Random(text).random()


async def digest(params: SearchParams) -> str:
    """Name all that a search asked for and found."""
    policy = ScriptedPolicy(lambda request, i: walk(request, i, length=5))
    verifier = ScriptedVerifier(judge)
    found = await run_search(params, policy, verifier, question=f"problem {params.seed}")
    seen = (
        [(t.path, t.text, t.scores, t.value, t.multiplicity, t.finish) for t in found.sampled],
        [(pick.trajectory.path, pick.votes, pick.weight) for pick in found.picks],
        found.note,
        sorted(
            (r.trajectory.path, r.seed, r.n, r.stop, r.max_tokens, r.temperature, r.session)
            for r in policy.requests
        ),
        sorted((r.path, r.prefix, r.items, r.session) for r in verifier.requests),
    )
    return sha256(repr(seen).encode()).hexdigest()[:16]


def test_each_search_is_in_the_file():
    assert [*json.loads(DIGESTS.read_text())] == [*CASES]


@pytest.mark.parametrize("case", CASES)
async def test_a_search_asks_and_finds_what_it_did(case):
    assert await digest(CASES[case]) == json.loads(DIGESTS.read_text())[case]


if __name__ == "__main__":
    found = {case: asyncio.run(digest(params)) for case, params in CASES.items()}
    DIGESTS.write_text(json.dumps(found, indent=1) + "\n")
