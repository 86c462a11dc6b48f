"""The strategies on scripted ports: what they ask for, what they keep, and when."""

import asyncio

import pytest

from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.results import completions
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.testing import ROOT, ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import Finish, Trajectory

SCORED = ["best-of-n", "beam", "dvts"]


async def search(
    params: SearchParams,
    policy: ScriptedPolicy | None = None,
    prm: ScriptedVerifier | None = None,
    question: str = "p",
) -> tuple[Trajectory, ...]:
    policy = policy or ScriptedPolicy(walk)
    prm = prm or ScriptedVerifier(perfect)
    return tuple((await run_search(params, policy, prm, question=question)).sampled)


async def accuracy(params: SearchParams, judge=perfect, problems: int = 40) -> float:
    """Share of problems on which the completion with the best value is right."""
    right = 0
    for i in range(problems):
        sampled = await search(params, prm=ScriptedVerifier(judge), question=f"problem {i}")
        found = [pick.trajectory for pick in completions(sampled, params.n)]
        if found:
            right += "{right}" in max(found, key=lambda t: t.value).text
    return right / problems


async def test_a_perfect_prm_makes_tree_search_beat_best_of_n():
    best_of_n = await accuracy(SearchParams(strategy="best-of-n", n=8))
    beam = await accuracy(SearchParams(strategy="beam", n=8))
    dvts = await accuracy(SearchParams(strategy="dvts", n=8))
    assert best_of_n < 0.7
    assert beam > best_of_n + 0.15
    assert dvts > best_of_n + 0.15


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_a_prm_turned_upside_down_ruins_the_search(strategy):
    params = SearchParams(strategy=strategy, n=8)
    assert await accuracy(params, judge=lambda text: 1 - perfect(text)) < 0.1


@pytest.mark.parametrize("n", [4, 8, 16])
@pytest.mark.parametrize("strategy", SCORED)
async def test_never_more_than_n_in_flight_and_at_most_n_completions(strategy, n):
    policy = ScriptedPolicy(walk)
    params = SearchParams(strategy=strategy, n=n)
    sampled = await search(params, policy)
    assert policy.most_in_flight <= n
    assert sum(pick.votes for pick in completions(sampled, n)) <= n
    first = [r for r in policy.requests if not r.trajectory.steps]
    assert sum(r.n for r in first) == n


async def test_greedy_asks_once_at_temperature_zero():
    policy = ScriptedPolicy(walk)
    (completion,) = await search(SearchParams(strategy="greedy", n=16), policy)
    (request,) = policy.requests
    assert (request.n, request.temperature, request.stop) == (1, 0.0, ())
    assert completion.finish == "eos"


async def test_majority_needs_no_prm():
    prm = ScriptedVerifier(perfect)
    sampled = await search(SearchParams(strategy="majority", n=10), prm=prm)
    assert not prm.requests
    assert sum(t.multiplicity for t in sampled) == 10


@pytest.mark.parametrize("strategy", [*SCORED, "majority"])
async def test_no_two_requests_share_a_childs_seed(strategy):
    policy = ScriptedPolicy(walk)
    await search(SearchParams(strategy=strategy, n=16), policy)
    seeds = [request.seed + i for request in policy.requests for i in range(request.n)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**53 for seed in seeds)


async def test_seeds_depend_on_run_and_problem_and_can_be_left_out():
    async def seeds(seed: int, problem: str, send: bool = True) -> list[int | None]:
        policy = ScriptedPolicy(walk)
        params = SearchParams(strategy="dvts", n=4, seed=seed, seeds=send)
        await search(params, policy, question=problem)
        return [request.seed for request in policy.requests]

    assert await seeds(0, "a") == await seeds(0, "a")
    assert await seeds(0, "a") != await seeds(1, "a")
    assert await seeds(0, "a") != await seeds(0, "b")
    assert set(await seeds(0, "a", send=False)) == {None}


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_steps_stop_at_the_delimiter_and_the_last_runs_to_the_end(strategy):
    policy = ScriptedPolicy(
        lambda r, i: (f"s{i}\n\n" if r.stop else f"s{i}", "stop" if r.stop else "eos")
    )
    sampled = await search(SearchParams(strategy=strategy, n=4, max_steps=3), policy)
    assert {len(r.trajectory.steps) for r in policy.requests if r.stop == ("\n\n",)} == {0, 1}
    assert {len(r.trajectory.steps) for r in policy.requests if r.stop == ()} == {2}
    assert all(t.finish == "eos" for t in sampled if len(t.steps) == 3)


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_continuations_send_the_exact_ids_of_what_was_sampled(strategy):
    policy = ScriptedPolicy(walk)
    sampled = await search(SearchParams(strategy=strategy, n=8), policy)
    for t in sampled:
        assert t.token_ids == ROOT.token_ids + tuple(i for step in t.steps for i in step.token_ids)
    known = {t.token_ids for t in sampled} | {ROOT.token_ids}
    assert {r.trajectory.token_ids for r in policy.requests} <= known


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_each_step_is_scored_once_and_siblings_together(strategy):
    policy, prm = ScriptedPolicy(walk), ScriptedVerifier(perfect)
    sampled = await search(SearchParams(strategy=strategy, n=8), policy, prm)
    assert len(prm.requests) == len(policy.requests)
    assert sum(len(item) for r in prm.requests for item in r.items) == len(sampled)
    for t in sampled:
        assert len(t.scores) == len(t.steps)


async def test_dvts_keeps_the_best_step_of_each_subtree():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        depth = len(request.trajectory.steps)
        return (f"step {i}\n\n", "stop") if depth < 2 else (f"end {i}", "eos")

    prm = ScriptedVerifier(lambda text: 1.0 if text.endswith("2") else 0.1)
    policy = ScriptedPolicy(write)
    await search(SearchParams(strategy="dvts", n=8), policy, prm)
    assert {r.trajectory.path for r in policy.requests} == {(), (2,), (6,), (2, 2), (6, 2)}


async def test_beam_keeps_the_best_across_all_beams():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return (f"{i}\n\n", "stop") if len(request.trajectory.steps) < 2 else (f"{i} end", "eos")

    policy = ScriptedPolicy(write)
    prm = ScriptedVerifier(lambda text: int(text.split()[0]) / 10)
    await search(SearchParams(strategy="beam", n=8), policy, prm)
    second = [r.trajectory.path for r in policy.requests if len(r.trajectory.path) == 1]
    assert sorted(second) == [(6,), (7,)]
    third = [r.trajectory.path for r in policy.requests if len(r.trajectory.path) == 2]
    assert sorted(third) == [(7, 0), (7, 1)]


async def test_a_slow_subtree_does_not_hold_up_the_others():
    release = asyncio.Event()

    def gate(request: SampleRequest) -> asyncio.Event | None:
        return release if request.trajectory.path[:1] in [(0,), (1,), (2,), (3,)] else None

    policy = ScriptedPolicy(walk, gate)
    task = asyncio.create_task(search(SearchParams(strategy="dvts", n=16), policy))
    while sum(len(r.trajectory.steps) == 3 for r in policy.requests) < 3:
        await asyncio.sleep(0)
    assert policy.in_flight <= 4 + 3 * 4
    assert not task.done()
    release.set()
    assert {t.path[0] // 4 for t in await task if t.finished} == {0, 1, 2, 3}


async def test_beam_closes_the_requests_that_can_no_longer_matter():
    """Two of four first steps end at once; the best beam brings the two still missing."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        goes_on = not request.trajectory.steps and i >= 2
        return (f"{i}\n\n", "stop") if goes_on else (f"{i}", "eos")

    policy = ScriptedPolicy(write, lambda r: asyncio.Event() if r.trajectory.path == (2,) else None)
    prm = ScriptedVerifier(lambda text: int(text.split()[0]) / 10)
    params = SearchParams(strategy="beam", n=4, m=2)
    sampled = await asyncio.wait_for(search(params, policy, prm), 5)
    assert [request.trajectory.path for request in policy.cancelled] == [(2,)]
    assert [pick.trajectory.path for pick in completions(sampled, 4)] == [
        (0,),
        (1,),
        (3, 0),
        (3, 1),
    ]


async def test_cancelling_a_search_closes_every_request():
    policy = ScriptedPolicy(walk, lambda request: asyncio.Event())
    task = asyncio.create_task(search(SearchParams(strategy="dvts", n=16), policy))
    while len(policy.requests) < 4:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(policy.cancelled) == 4
    assert policy.in_flight == 0


async def test_a_failed_subtree_closes_the_others():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        raise RuntimeError("no such policy")

    policy = ScriptedPolicy(write, lambda r: None if r is policy.requests[0] else asyncio.Event())
    with pytest.raises(RuntimeError, match="no such policy"):
        await search(SearchParams(strategy="dvts", n=16), policy)
    assert len(policy.cancelled) == 3


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_a_truncated_step_ends_its_trajectory_and_is_marked(strategy):
    policy = ScriptedPolicy(lambda request, i: (f"cut {i}", "length"))
    sampled = await search(SearchParams(strategy=strategy, n=8), policy)
    assert {t.finish for t in sampled} == {"length"}
    assert {len(t.steps) for t in sampled} == {1}


async def test_the_limit_per_completion_bounds_each_step_and_marks_what_uses_it_up():
    policy = ScriptedPolicy(lambda request, i: (f"{i}\n\n", "stop"))
    params = SearchParams(strategy="dvts", n=4, max_tokens=2, max_completion_tokens=3)
    sampled = await search(params, policy)
    assert [r.max_tokens for r in policy.requests] == [2, 2, 1]
    assert {t.finish for t in sampled if len(t.steps) == 3} == {"length"}


async def test_siblings_that_read_the_same_are_kept_and_scored_once():
    policy = ScriptedPolicy(lambda r, i: (f"{i // 2}\n\n", "stop") if r.stop else ("x", "eos"))
    prm = ScriptedVerifier(perfect)
    params = SearchParams(strategy="beam", n=4, max_steps=2)
    sampled = await search(params, policy, prm)
    assert [t.multiplicity for t in sampled] == [2, 2, 4]
    assert [len(r.items) for r in prm.requests] == [2, 1]


async def test_best_of_n_merges_copies_across_its_requests():
    policy = ScriptedPolicy(lambda request, i: ("same", "eos"))
    (only,) = await search(SearchParams(strategy="best-of-n", n=10), policy)
    assert only.multiplicity == 10
    assert [request.n for request in policy.requests] == [4, 4, 2]


@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_lookahead_ranks_by_the_rolled_out_text_but_stores_the_own_scores(strategy):
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        depth = len(request.trajectory.steps)
        if request.temperature == 0:
            return "trap\n\n" if request.trajectory.path[-1] == 1 else "fine\n\n", "stop"
        return (f"step {i}\n\n", "stop") if depth == 0 else ("end", "eos")

    def judge(text: str) -> float:
        if "trap" in text:
            return 0.0
        return 0.9 if "fine" in text else 0.8 if "step 1" in text else 0.5

    policy, prm = ScriptedPolicy(write), ScriptedVerifier(judge)
    params = SearchParams(strategy=strategy, n=2, m=2, settings=StepwiseSettings(lookahead=2))
    sampled = await search(params, policy, prm)
    rollouts = [r for r in policy.requests if r.temperature == 0]
    assert len(rollouts) == 4
    assert all(r.n == 1 for r in rollouts)
    assert [len(item) for item in prm.requests[0].items] == [3, 3]
    assert [(t.scores, t.value) for t in sampled[:2]] == [((0.5,), 0.9), ((0.8,), 0.0)]
    assert sampled[2].path[0] == 0


async def test_a_blank_step_gets_no_score_and_no_request():
    policy = ScriptedPolicy(
        lambda r, i: ("\n\n", "stop") if not r.trajectory.steps else ("x", "eos")
    )
    prm = ScriptedVerifier(perfect)
    sampled = await search(SearchParams(strategy="dvts", n=4), policy, prm)
    assert [t.scores for t in sampled] == [(), (1.0,)]
    assert len(prm.requests) == 1


@pytest.mark.parametrize("strategy", SCORED)
async def test_requests_grow_linearly_with_n(strategy):
    async def num_requests(n: int) -> int:
        policy = ScriptedPolicy(lambda r, i: walk(r, i, length=5))
        await search(SearchParams(strategy=strategy, n=n), policy)
        return len(policy.requests)

    small, large = await num_requests(16), await num_requests(256)
    assert large <= 16 * small * 1.5
