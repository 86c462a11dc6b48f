"""Recursive self-aggregation on scripted ports: who is combined with whom, and when."""

import asyncio
import re
from itertools import count, pairwise

import pytest

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.rsa import AggregationSettings
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search
from ttc_client.types import Finish


def params_of(n: int, rounds: int, aggregate: int, seed: int = 0) -> SearchParams:
    own = AggregationSettings(rounds=rounds, aggregate=aggregate)
    return SearchParams(strategy="rsa", n=n, seed=seed, settings=own)


def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
    return f"<{request.trajectory.path} {request.seed}>", "eos"


def combined(request: SampleRequest) -> list[str]:
    """The solutions that a prompt holds."""
    return re.findall(r"Solution \d+:\n(<.*>)", request.messages[-1].content)


async def test_each_round_combines_k_different_solutions_of_the_one_before():
    policy = ScriptedPolicy(write)
    found = await run_search(params_of(24, 3, 4), policy, question="why?")
    by_round = [[t for t in found.sampled if len(t.path) == 2 * r + 1] for r in range(3)]
    assert [len(row) for row in by_round] == [8, 8, 8]
    for before, row in pairwise(by_round):
        texts = {t.text for t in before}
        for solution in row:
            (request,) = [r for r in policy.requests if r.trajectory.path == solution.path[:-1]]
            assert len(set(combined(request))) == 4
            assert set(combined(request)) <= texts
            assert request.messages[-1].content.startswith("why?\n\nBelow are candidate solutions")
    assert [(p.trajectory, p.votes) for p in found.picks] == [(t, 1) for t in by_round[2]]
    assert found.note == "8 solutions vote: the last of 3 rounds"


async def test_who_is_combined_depends_on_the_seed_alone():
    async def prompts(seed: int) -> list[list[str]]:
        serial = count()
        policy = ScriptedPolicy(lambda r, i: (f"<{next(serial)}>", "eos"))
        await run_search(params_of(16, 2, 3, seed), policy)
        return sorted(combined(request) for request in policy.requests)

    assert await prompts(1) == await prompts(1)
    assert await prompts(1) != await prompts(2)


async def test_a_solution_waits_for_those_it_is_made_of_and_not_for_the_round():
    """The slowest of 8 first solutions is needed by few of the second round."""
    held = asyncio.Event()
    policy = ScriptedPolicy(write, lambda r: held if r is policy.requests[0] else None)
    task = asyncio.create_task(run_search(params_of(16, 2, 2), policy))
    for _ in range(300):
        await asyncio.sleep(0)
    second = [request for request in policy.requests if combined(request)]
    assert 1 <= len(second) < 8
    held.set()
    await task
    late = [request for request in policy.requests if combined(request)][len(second) :]
    slow = next(t.text for t in (await task).sampled if t.path == (0,))
    assert all(slow in combined(r) or r.trajectory.path[0] == 0 for r in late)
    assert not any(slow in combined(request) for request in second)


async def test_what_fails_is_not_combined_and_leaves_the_other_lines_alone():
    def fails(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request is policy.requests[0]:
            raise ServerError("gone", url="http://nowhere", status=500)
        return write(request, i)

    policy = ScriptedPolicy(fails)
    found = await run_search(params_of(12, 3, 3), policy)
    assert len(found.picks) == 3
    assert all(combined(request) for request in policy.requests if request.trajectory.path)


async def test_it_asks_no_verifier_and_the_majority_decides():
    prm = ScriptedVerifier(perfect)
    await run_search(params_of(16, 4, 4), ScriptedPolicy(write), prm)
    assert not prm.requests


async def test_a_model_that_combines_well_gets_better_with_each_round():
    """It copies a right solution if there is one among those it is shown."""

    def copies(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if shown := combined(request):
            return next((text for text in shown if "right" in text), shown[0]), "eos"
        return ("<right>" if request.seed and request.seed % 4 == 0 else "<wrong>"), "eos"

    async def share(rounds: int) -> float:
        right = total = 0
        for seed in range(20):
            params = params_of(8 * rounds, rounds, 3, seed)
            found = await run_search(params, ScriptedPolicy(copies), question=f"{seed}?")
            right += sum("right" in pick.trajectory.text for pick in found.picks)
            total += len(found.picks)
        return right / total

    first, second, third = [await share(rounds) for rounds in (1, 2, 3)]
    assert first < 0.4
    assert first + 0.2 < second < third


@pytest.mark.parametrize(
    ("n", "rounds", "aggregate", "says"),
    [
        (16, 0, 4, "rounds is 0: it must be 1 or more"),
        (16, 4, 0, "aggregate is 0: it must be 1 or more"),
        (8, 4, 4, "n is 8, rounds is 4 and aggregate is 4: rsa needs n to be 16 or more"),
        (18, 4, 4, "n is 18 and rounds is 4: rsa needs n to be a multiple of rounds, such as 16"),
    ],
)
async def test_what_makes_no_population_is_said(n, rounds, aggregate, says):
    with pytest.raises(ConfigError, match=says):
        await run_search(params_of(n, rounds, aggregate), ScriptedPolicy(write))
