"""REBASE on scripted ports: how the budget of each depth is shared."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.rebase import _widths
from ttc_client.testing import ROOT, ScriptedPolicy, ScriptedVerifier, run_search
from ttc_client.types import Finish, Step, Trajectory


def node(place: int, value: float, multiplicity: int = 1) -> Trajectory:
    step = Step(f"{place}\n\n", "stop", 1, multiplicity=multiplicity)
    return Trajectory(ROOT.prompt, (step,), (value,), (place,), value=value)


def by_the_paper(values: list[float], budget: int) -> list[tuple[int, int]]:
    """Share as the definition says, one node after the other, with exact sums."""
    ranked = sorted(range(len(values)), key=lambda i: (-values[i], i))
    shared: list[tuple[int, int]] = []
    for place, i in enumerate(ranked):
        if budget <= 0:
            break
        total = math.fsum(math.exp(values[j] / 0.2) for j in ranked[place:])
        k = math.ceil(budget * math.exp(values[i] / 0.2) / total - 1e-9)
        shared.append((i, k))
        budget -= k
    return shared


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=30), st.integers(1, 64))
def test_shares_are_those_of_the_paper_and_use_up_the_budget(thousandths, budget):
    values = [value / 1000 for value in thousandths]
    widths = _widths([node(i, value) for i, value in enumerate(values)], budget)
    assert [(t.path[0], k) for t, k in widths] == by_the_paper(values, budget)
    assert sum(k for _, k in widths) == budget


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 4)), max_size=12))
def test_copies_get_together_what_they_would_get_one_by_one(drawn):
    budget = 16
    merged = _widths([node(i, v / 1000, k) for i, (v, k) in enumerate(drawn)], budget)
    owners = [i for i, (_, k) in enumerate(drawn) for _ in range(k)]
    apart = by_the_paper([drawn[i][0] / 1000 for i in owners], budget)
    expected: dict[int, int] = {}
    for place, k in apart:
        expected[owners[place]] = expected.get(owners[place], 0) + k
    assert {t.path[0]: k for t, k in merged} == {i: k for i, k in expected.items() if k}


async def test_good_steps_get_more_children_and_what_has_ended_takes_its_part_along():
    """Of 8 first steps two end at once; 6 are left for the others."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request.trajectory.steps:
            return f"{i} end", "eos"
        return (f"{i}", "eos") if i < 2 else (f"{i}\n\n", "stop")

    rewards = {"2": 0.9, "3": 0.6, "4": 0.1, "5": 0.1, "6": 0.1, "7": 0.1}
    policy = ScriptedPolicy(write)
    prm = ScriptedVerifier(lambda text: rewards.get(text.split()[0], 0.5))
    found = await run_search(SearchParams(strategy="rebase", n=8), policy, prm)
    # exp(r / 0.2) is 90, 20 and 4 times 1.6: shares of 6 are 4.6, then 1 of 1.5, and nothing
    asked = [(request.trajectory.path, request.n) for request in policy.requests]
    assert asked == [((), 8), ((2,), 5), ((3,), 1)]
    assert len(found.picks) == 8


@pytest.mark.parametrize("value", [0.0, 1.0])
async def test_equal_rewards_share_equally_and_the_last_depth_runs_to_the_end(value):
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f"{i}\n\n", "stop") if request.stop else (f"{i}", "eos")

    policy = ScriptedPolicy(write)
    params = SearchParams(strategy="rebase", n=4, max_steps=3)
    found = await run_search(params, policy, ScriptedVerifier(lambda text: value))
    assert [request.n for request in policy.requests] == [4, *[1] * 8]
    assert {len(pick.trajectory.steps) for pick in found.picks} == {3}
