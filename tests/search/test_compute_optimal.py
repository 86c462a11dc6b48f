"""Compute-optimal scaling on scripted ports: what it spends, on what, and whether it pays."""

import asyncio
from statistics import fmean

import pytest

from tests.tables import table
from ttc_client.search.compute_optimal import TableSettings
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest, ScoreRequest, Scores
from ttc_client.search.results import search_tree
from ttc_client.search.table import Choice, Table
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import Allocation, Usage

CHOICES = [
    Choice("best-of-n", None),
    Choice("majority", None),
    Choice("beam", 4),
    Choice("dvts", 4),
    Choice("beam", 5),
    Choice("dvts", 64),
]
LATER = [
    *(Choice("particles", None), Choice("rebase", None), Choice("mcts", 4)),
    *(Choice("revise", None), Choice("rsa", None)),
]
"""Of these a part may begin with fewer first steps, and what they cannot use is left over."""


def only(choice: Choice) -> Table:
    """Make a table that chooses the same for all problems."""
    return table(choice, choice)


def params_for(chosen: Table, n: int = 16, lookahead: int = 0) -> SearchParams:
    settings = TableSettings(table=chosen, lookahead=lookahead)
    return SearchParams(strategy="compute-optimal", n=n, settings=settings)


async def search(params: SearchParams, policy=None, prm=None, question: str = "p") -> Found:
    policy, prm = policy or ScriptedPolicy(walk), prm or ScriptedVerifier(perfect)
    return await run_search(params, policy, prm, question=question)


def number_of(trajectories) -> int:
    return sum(t.multiplicity for t in trajectories)


@pytest.mark.parametrize("n", [4, 5, 16, 18, 19, 33])
@pytest.mark.parametrize("choice", CHOICES, ids=str)
async def test_probe_and_search_together_take_n_and_never_more(choice, n):
    policy = ScriptedPolicy(walk)
    found = await search(params_for(only(choice), n), policy)
    first = [request for request in policy.requests if not request.trajectory.steps]
    assert sum(request.n for request in first) == n
    assert policy.most_in_flight <= n
    assert 0 < sum(pick.votes for pick in found.picks) <= n
    assert number_of(t for t in found.sampled if len(t.path) == 1) == n


@pytest.mark.parametrize("n", [5, 19, 33])
@pytest.mark.parametrize("choice", LATER, ids=str)
async def test_any_strategy_can_be_given_what_it_can_use_of_the_rest(choice, n):
    policy = ScriptedPolicy(walk)
    found = await search(params_for(only(choice), n), policy)
    assert found.allocation
    assert found.allocation.strategy == choice.strategy
    assert 0 < sum(pick.votes for pick in found.picks) <= n
    wide = {"mcts": 4, "revise": 4, "rsa": 4}.get(choice.strategy, 1)
    least = 16 if choice.strategy == "rsa" else wide
    rest = n - found.allocation.probe
    used = rest // wide * wide if rest >= least else 0
    whole = [r for r in policy.requests if not r.stop and r.trajectory.path == ()]
    by_rsa = {"rsa": used // 4, "revise": used // 4}.get(choice.strategy, 0)
    assert sum(request.n for request in whole) == n - used + by_rsa


@pytest.mark.parametrize("choice", [*CHOICES, *LATER], ids=str)
async def test_paths_and_seeds_of_probe_and_search_never_collide(choice):
    policy = ScriptedPolicy(walk)
    found = await search(params_for(only(choice), 18), policy)
    sampled = found.sampled
    seeds = [request.seed + i for request in policy.requests for i in range(request.n)]
    assert len(set(seeds)) == len(seeds)
    paths = [t.path for t in sampled]
    assert len(set(paths)) == len(paths)
    known = {(), *(node.path for node in search_tree(found))}
    assert all(path[:-1] in known for path in paths)


async def test_the_probe_is_scored_before_anything_else_is_asked_and_is_returned():
    probed = asyncio.Event()
    policy = ScriptedPolicy(walk, lambda r: probed if r is policy.requests[0] else None)
    task = asyncio.create_task(search(params_for(table()), policy))
    while not policy.requests:
        await asyncio.sleep(0)
    (request,) = policy.requests
    assert (request.n, request.stop) == (4, ())
    probed.set()
    found = await task
    probe = [t for t in found.sampled if len(t.path) == 1 and t.path[0] < 4]
    assert number_of(probe) == 4
    assert all(t.finished and t.scores for t in probe)
    assert {t.path for t in probe} <= {pick.trajectory.path for pick in found.picks}


@pytest.mark.parametrize(("p_good", "chosen"), [(1.0, "best-of-n"), (0.0, "dvts")])
async def test_the_probes_mean_reward_decides_and_is_read_off_again(p_good, chosen):
    policy = ScriptedPolicy(lambda r, i: walk(r, i, p_good=p_good))
    found = await search(params_for(table()), policy)
    place, m = (1, None) if chosen == "best-of-n" else (2, 4)
    assert found.allocation == Allocation(place, p_good, 4, chosen, m)
    assert any(request.stop for request in policy.requests) == (chosen == "dvts")


async def test_a_mean_counts_each_copy_and_other_strategies_have_no_allocation():
    """Three of four completions of the probe read the same."""

    def write(request: SampleRequest, i: int):
        return ("bad" if i == 3 else "good", "eos")

    found = await search(params_for(table()), ScriptedPolicy(write))
    assert found.allocation
    assert found.allocation.reward == 0.75
    found = await search(SearchParams(strategy="best-of-n"), ScriptedPolicy(write))
    assert found.allocation is None


async def test_what_m_does_not_divide_becomes_whole_completions():
    policy = ScriptedPolicy(walk)
    await search(params_for(only(Choice("dvts", 4)), 18), policy)
    first = [r for r in policy.requests if not r.trajectory.steps]
    assert sorted((r.n, bool(r.stop)) for r in first) == [
        *((2, False), (4, False), (4, True), (4, True), (4, True)),
    ]


async def test_a_tree_search_looks_ahead_and_whole_completions_do_not():
    policy = ScriptedPolicy(walk)
    await search(params_for(only(Choice("beam", 4)), lookahead=1), policy)
    assert any(r.temperature == 0 for r in policy.requests)
    policy = ScriptedPolicy(walk)
    await search(params_for(only(Choice("best-of-n", None)), lookahead=1), policy)
    assert not any(r.temperature == 0 for r in policy.requests)


class Misleading:
    """A PRM that is right on whole completions, and on the steps of hard problems alone."""

    async def __call__(self, request: ScoreRequest) -> Scores:
        def judge(text: str) -> float:
            upside_down = "easy" in request.question and "boxed" not in text
            return 1 - perfect(text) if upside_down else perfect(text)

        texts = [
            ["\n\n".join((*request.prefix, *item[: i + 1])) for i in range(len(item))]
            for item in request.items
        ]
        return Scores(tuple(tuple(map(judge, item)) for item in texts), Usage())


def write_by_difficulty(request: SampleRequest, i: int):
    return walk(request, i, p_good=0.8 if "easy" in request.messages[-1].content else 0.3)


async def accuracy(params: SearchParams) -> float:
    """Share of easy and hard problems whose completion with the best reward is right."""
    right: list[bool] = []
    for problem in [f"{kind} {i}" for kind in ("easy", "hard") for i in range(25)]:
        found = await search(params, ScriptedPolicy(write_by_difficulty), Misleading(), problem)
        best = max((p.trajectory for p in found.picks), key=lambda t: t.scores[-1])
        right.append("{right}" in best.text)
    return fmean(right)


async def test_with_easy_problems_for_one_strategy_and_hard_ones_for_another_it_beats_each():
    chosen = table(Choice("best-of-n", None), Choice("dvts", 4), edge=0.2)
    both = await accuracy(params_for(chosen))
    best_of_n = await accuracy(SearchParams(strategy="best-of-n", n=16))
    dvts = await accuracy(SearchParams(strategy="dvts", n=16))
    assert both > max(best_of_n, dvts) + 0.15
    swapped = table(Choice("dvts", 4), Choice("best-of-n", None), edge=0.2)
    assert await accuracy(params_for(swapped)) < both - 0.15


@pytest.mark.parametrize("choice", CHOICES, ids=str)
async def test_truncated_completions_end_and_are_marked(choice):
    policy = ScriptedPolicy(lambda request, i: (f"cut {i}", "length"))
    sampled = (await search(params_for(only(choice)), policy)).sampled
    assert {t.finish for t in sampled} == {"length"}
    assert all(len(t.steps) == 1 for t in sampled)
    assert number_of(sampled) == 16


@pytest.mark.parametrize("num_answered", [0, 1])
async def test_cancelling_closes_every_request_of_probe_and_search(num_answered):
    def gate(request: SampleRequest):
        return None if policy.requests.index(request) < num_answered else asyncio.Event()

    policy = ScriptedPolicy(walk, gate)
    task = asyncio.create_task(search(params_for(only(Choice("dvts", 4)), 18), policy))
    waiting = 1 if num_answered == 0 else 4  # the probe; or three subtrees and two completions
    while len(policy.requests) < num_answered + waiting:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(policy.cancelled) == waiting
    assert policy.in_flight == 0
