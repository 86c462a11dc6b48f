"""MCTS on scripted ports: where it descends, what it backs up, and when it stops."""

import asyncio
import random
from math import sqrt
from typing import Any

import pytest

from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.puct import Node, Tree
from ttc_client.testing import ROOT, ScriptedPolicy, ScriptedVerifier, run_search, walk
from ttc_client.types import Finish, Step, Trajectory


def step(*path: int, value: float = 0.5, finish: Finish = "stop") -> Trajectory:
    steps = tuple(Step(f"{place}", finish, 1) for place in path)
    return Trajectory(ROOT.prompt, steps, path=path, value=value)


def judge(text: str) -> float:
    return random.Random(text).random()


def params_of(n: int = 16, **more: Any) -> SearchParams:
    return SearchParams(strategy="mcts", n=n, **more)


def test_puct_weighs_what_came_back_against_what_was_seldom_tried():
    often = Node(step(0, value=0.9), visits=4, total=2.0)
    never = Node(step(1, value=0.45))
    parent = Node(ROOT, [often, never], visits=16)
    bonus = 0.25 * sqrt(16) / 2
    assert parent.puct(often) == pytest.approx(0.5 + bonus / 5)
    assert parent.puct(never) == pytest.approx(0.45 + bonus)


def test_a_visit_that_has_brought_nothing_yet_is_a_virtual_loss():
    tree = Tree(Node(ROOT))
    tree.back_up(([tree.root], [[step(0, value=0.9), step(1, value=0.6), step(2, value=0.5)]]))
    first = tree.way()
    assert first[-1].step.path == (0,)
    first[-1].visits += 1
    assert tree.way()[-1].step.path == (1,)


def test_a_reward_is_backed_up_along_the_whole_way_and_what_is_done_is_left():
    tree = Tree(Node(ROOT))
    ends = [step(0, 0, value=0.2, finish="eos"), step(0, 1, value=0.7, finish="eos")]
    tree.back_up(([tree.root], [[step(0, value=0.9), step(1, value=0.1)], ends]))
    first, second = tree.root.children
    assert [node.total for node in (tree.root, first, *first.children, second)] == [
        *(0.7, 0.7, 0.0, 0.7, 0.0),
    ]
    assert first.is_done
    assert tree.way()[-1] is second
    tree.back_up(([tree.root, second], [[step(1, 0, finish="eos")]]))
    assert tree.way() == [tree.root]
    assert (tree.spent, tree.num_ends, tree.sum_depths) == (5, 3, 6)


async def run_in_order(order: int, n: int) -> tuple[Found, list[Any]]:
    """Answer requests one by one, in an order by chance."""
    waiting: list[asyncio.Event] = []

    def gate(_: SampleRequest) -> asyncio.Event:
        waiting.append(asyncio.Event())
        return waiting[-1]

    rng = random.Random(order)
    policy = ScriptedPolicy(
        lambda r, i: walk(r, i, length=3 + (*r.trajectory.path, 0)[0] % 3), gate
    )
    task = asyncio.create_task(run_search(params_of(n), policy, ScriptedVerifier(judge)))
    while not task.done():
        for _ in range(30):
            await asyncio.sleep(0)
        if waiting:
            waiting.pop(rng.randrange(len(waiting))).set()
    return task.result(), sorted((r.trajectory.path, r.seed, r.n) for r in policy.requests)


@pytest.mark.parametrize("n", [16, 64])
async def test_it_is_the_same_tree_under_any_order_of_replies(n):
    found, requests = await run_in_order(0, n)
    for order in range(1, 8):
        other, asked = await run_in_order(order, n)
        assert asked == requests
        assert [(t.path, t.text) for t in other.sampled] == [
            (t.path, t.text) for t in found.sampled
        ]


async def test_half_of_the_whole_simulations_run_at_once_and_a_slow_one_holds_up_few():
    held = asyncio.Event()
    first: list[SampleRequest] = []

    def gate(request: SampleRequest) -> asyncio.Event | None:
        first.append(request)
        return held if request is first[0] else None

    policy = ScriptedPolicy(walk, gate)
    task = asyncio.create_task(run_search(params_of(32), policy, ScriptedVerifier(judge)))
    for _ in range(500):
        await asyncio.sleep(0)
    roots = [request for request in policy.requests if not request.trajectory.steps]
    assert len(roots) == 32 // 4 // 2
    assert len(policy.requests) == 1 + 3 * 4, "the other three went on to their ends"
    held.set()
    await task


async def test_nearly_every_problem_has_finished_leaves_at_a_small_budget():
    for seed in range(12):
        policy = ScriptedPolicy(lambda r, i: walk(r, i, length=8))
        found = await run_search(params_of(seed=seed), policy, ScriptedVerifier(judge))
        assert len(found.picks) >= 4
        sampled = sum(t.multiplicity for t in found.sampled)
        assert 0.6 * 16 * 8 <= sampled <= 16 * 8, "the budget is for 16 whole ways"


async def test_a_step_that_led_to_good_ends_is_gone_on_from_rather_than_one_that_looked_good():
    """Step 0 looks best and leads nowhere; step 1 looks worse and its ends are good."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        depth = len(request.trajectory.steps)
        place = request.trajectory.path[0] % 4 if depth else i
        return (f"from {place} {request.seed} {i}\n\n", "stop") if depth < 3 else ("end", "eos")

    def lure(text: str) -> float:
        steps = text.split("\n\n")
        place = steps[0].split()[1]
        if len(steps) == 1:
            return {"0": 0.8, "1": 0.75}.get(place, 0.1)
        return {"0": 0.05, "1": 0.95}.get(place, 0.1)

    policy = ScriptedPolicy(write)
    await run_search(params_of(64), policy, ScriptedVerifier(lure))
    below = [r.trajectory.path[0] % 4 for r in policy.requests if len(r.trajectory.steps) > 1]
    blind = 8 * 2  # what the first eight simulations, before any reward, write below their choice
    assert set(below[:blind]) == {0}
    assert set(below[blind:]) == {1}


async def test_it_begins_anew_at_the_root_when_everything_below_is_written():
    """One step, and all of them end: N/M expansions of the root are the budget."""
    policy = ScriptedPolicy(lambda request, i: (f"{request.seed} {i}", "eos"))
    found = await run_search(params_of(16), policy, ScriptedVerifier(judge))
    assert [(r.trajectory.path, r.n) for r in policy.requests] == [((), 4)] * 4
    assert len(found.picks) == 16
