"""Particle filtering on scripted ports: who is copied, who is asked for, and what votes."""

import asyncio
import random
from collections import Counter
from itertools import count
from math import exp

import pytest

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.particles import ParticleSettings
from ttc_client.search.ports import SampleRequest
from ttc_client.search.resampling import logit
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, run_search, walk
from ttc_client.types import Finish


def params_of(n: int = 4, seed: int = 0, **settings) -> SearchParams:
    own = ParticleSettings(**settings)
    return SearchParams(strategy="particles", n=n, seed=seed, settings=own)


def numbered(depth: int):
    """Write steps that say which child they are, down to a depth."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        at_end = len(request.trajectory.steps) + 1 == depth
        return (f"{i}", "eos") if at_end else (f"{i}\n\n", "stop")

    return write


def asked(policy: ScriptedPolicy) -> list[tuple[tuple[int, ...], int]]:
    return [(request.trajectory.path, request.n) for request in policy.requests]


async def test_copies_of_a_particle_share_a_request_and_each_has_a_vote():
    policy = ScriptedPolicy(numbered(2))
    prm = ScriptedVerifier(lambda text: 0.999999 if text.startswith("2") else 0.01)
    found = await run_search(params_of(), policy, prm)
    assert asked(policy) == [((), 4), ((2,), 4)]
    assert [(p.trajectory.path, p.votes, p.weight) for p in found.picks] == [
        ((2, i), 1, pytest.approx(1.0)) for i in range(4)
    ]


async def test_particles_that_are_alike_are_not_drawn_from():
    """The effective sample size is N: each goes on once, and counts as its share."""
    policy = ScriptedPolicy(numbered(2))
    found = await run_search(params_of(), policy, ScriptedVerifier(lambda text: 0.6))
    assert asked(policy) == [((), 4), *(((i,), 1) for i in range(4))]
    assert [(p.votes, p.weight) for p in found.picks] == [(1, pytest.approx(1.0))] * 4


async def test_what_was_not_drawn_is_weighed_by_its_odds():
    rewards = {"0": 0.5, "1": 0.6, "2": 0.6, "3": 0.7}
    odds = [exp(logit(reward)) for reward in rewards.values()]
    prm = ScriptedVerifier(lambda text: rewards[text[0]])
    found = await run_search(params_of(), ScriptedPolicy(numbered(1)), prm)
    weights = [4 * share / sum(odds) for share in odds]
    assert [pick.weight for pick in found.picks] == pytest.approx(weights)


async def test_what_has_ended_keeps_its_weight_and_draws_copies_of_itself():
    """Particle 1 ends at once; the others have a second step, which the verifier dislikes."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        ends = bool(request.trajectory.steps) or i == 1
        return ("good" if i == 1 else "next", "eos") if ends else (f"{i}\n\n", "stop")

    prm = ScriptedVerifier(lambda text: 0.0001 if "next" in text else 0.9)
    policy = ScriptedPolicy(write)
    found = await run_search(params_of(), policy, prm)
    assert asked(policy) == [((), 4), *(((i,), 1) for i in (0, 2, 3))]
    assert [(pick.trajectory.path, pick.votes) for pick in found.picks] == [((1,), 4)]
    assert found.note == "4 particles ended as 1 distinct completion"


async def test_a_failed_particle_is_made_up_for_by_copies_of_the_others():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if request.trajectory.path == (0,):
            raise ServerError("gone", url="http://nowhere", status=500)
        return numbered(3)(request, i)

    rewards = {1: 0.5, 2: 0.01, 3: 1.0}
    prm = ScriptedVerifier(lambda text: rewards[len(text.split())])
    found = await run_search(params_of(), ScriptedPolicy(write), prm)
    assert sum(pick.votes for pick in found.picks) == 3
    first = {pick.trajectory.path[0] for pick in found.picks}
    assert first == {1, 2, 3}


async def test_each_depth_waits_for_all_rewards_and_for_nothing_else():
    held = asyncio.Event()
    policy = ScriptedPolicy(numbered(3), lambda r: held if r.trajectory.path == (1,) else None)
    task = asyncio.create_task(run_search(params_of(), policy, ScriptedVerifier(lambda t: 0.5)))
    for _ in range(200):
        await asyncio.sleep(0)
    assert asked(policy) == [((), 4), *(((i,), 1) for i in range(4))]
    held.set()
    await task
    assert len(policy.requests) == 9


async def test_tempering_spreads_early_draws_and_leaves_late_ones():
    """One particle of 16 has nearly all of the weight."""

    async def survivors(temper: bool, max_steps: int) -> int:
        policy = ScriptedPolicy(numbered(2))
        prm = ScriptedVerifier(lambda text: 0.9999 if text.split()[0] == "3" else 0.1)
        settings = ParticleSettings(temper=temper)
        params = SearchParams(strategy="particles", n=16, max_steps=max_steps, settings=settings)
        await run_search(params, policy, prm)
        return len(policy.requests) - 1

    assert await survivors(temper=False, max_steps=40) == 1
    assert await survivors(temper=True, max_steps=40) > 3
    assert await survivors(temper=True, max_steps=2) == 1


async def test_gibbs_keeps_one_particle_of_each_pass_as_it_was_in_the_next():
    policy = ScriptedPolicy(walk)
    prm = ScriptedVerifier(lambda text: random.Random(text).random())
    found = await run_search(params_of(12, gibbs=3), policy, prm)
    first = [request.n for request in policy.requests if not request.trajectory.steps]
    assert first == [4, 3, 3]
    assert sum(pick.votes for pick in found.picks) == 12
    of_pass = Counter[str]()
    for pick in found.picks:
        start = pick.trajectory.path[0]
        of_pass["first" if start < 4 else "second" if start < 7 else "third"] += int(pick.votes)
    assert of_pass["first"] >= 5, "the reference counts in its own pass and in the next"


async def test_a_reference_is_branched_off_from_at_every_depth():
    """It is so good that all others of the second pass become copies of it, step by step."""
    serial = count()

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        at_end = len(request.trajectory.steps) == 2
        return (f"{next(serial)}.", "eos") if at_end else (f"{next(serial)}.\n\n", "stop")

    def judge(text: str) -> float:
        *_, last = text.split()
        return 0.999999 if last in ("0.", "4.", "8.") else 0.001

    policy = ScriptedPolicy(write)
    found = await run_search(params_of(8, gibbs=2), policy, ScriptedVerifier(judge))
    way = [(), (0,), (0, 0)]
    assert asked(policy) == [*((node, 4) for node in way), *((node, 3) for node in way)]
    assert [(pick.trajectory.path, pick.votes) for pick in found.picks] == [((0, 0, 0), 8)]


@pytest.mark.parametrize(
    ("settings", "n", "says"),
    [
        ({"gibbs": 0}, 4, "gibbs is 0: it must be 1 or more"),
        ({"gibbs": 3}, 16, "n is 16 and gibbs is 3: particles needs n to be a multiple of gibbs"),
        ({"gibbs": 4}, 4, "n is 4 and gibbs is 4: particles needs n to be 8 or more"),
    ],
)
async def test_what_cannot_be_filtered_is_said(settings, n, says):
    with pytest.raises(ConfigError, match=says):
        await run_search(params_of(n, **settings), ScriptedPolicy(walk))


def reference_filter(n: int, judge, rng: random.Random) -> list[str]:
    """Filter as its_hub 1.2 does: after each step, N multinomial draws by softmax(logit)."""
    texts = [""] * n
    for depth in range(4):
        texts = [text + _step(rng, depth) for text in texts]
        weights = [exp(logit(judge(text))) for text in texts]
        texts = rng.choices(texts, weights, k=n)
    return texts


def _step(rng: random.Random, depth: int) -> str:
    return f"{'good' if rng.random() < 0.5 else 'bad'} {depth}.{rng.randrange(10**9)}\n\n"


def noisy(text: str) -> float:
    """Judge as a PRM that is right most of the time: worse with each bad step, and noisy."""
    noise = random.Random(text.strip()).uniform(-0.05, 0.05)
    return max(0.02, 0.9 * 0.35 ** text.count("bad") + noise)


async def test_in_distribution_it_is_its_hubs_filter():
    """Over 200 seeds: the share of the vote that solutions with k bad steps have."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        depth = len(request.trajectory.steps)
        rng = random.Random(repr((request.seed, i, depth)))
        return _step(rng, depth), "eos" if depth == 3 else "stop"

    def weight_of(found: Found, num_bad: int) -> float:
        weights = {p.trajectory.text: p.votes * (p.weight or 0) for p in found.picks}
        hits = (w for text, w in weights.items() if text.count("bad") == num_bad)
        return sum(hits) / sum(weights.values())

    seeds, n = range(200), 8
    ours = [
        await run_search(params_of(n, seed), ScriptedPolicy(write), ScriptedVerifier(noisy))
        for seed in seeds
    ]
    theirs = [reference_filter(n, noisy, random.Random(seed)) for seed in seeds]
    for num_bad in range(3):
        mine = sum(weight_of(found, num_bad) for found in ours) / len(seeds)
        hub = sum(text.count("bad") == num_bad for t in theirs for text in t) / n / len(seeds)
        plain = [1 / 16, 4 / 16, 6 / 16][num_bad]
        assert mine == pytest.approx(hub, abs=0.05), f"{num_bad} bad steps"
        assert num_bad or min(mine, hub) > plain + 0.3
