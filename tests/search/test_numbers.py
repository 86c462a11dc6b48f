"""Paths and seeds: who is called first is numbered first, and nothing is numbered twice."""

import asyncio
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from ttc_client.search.best_of_n import BEST_OF_N
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.search import Search
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.search.strategy import Strategy, every_budget
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.together import together
from ttc_client.types import Message, Trajectory

PARAMS = SearchParams(strategy="tried", n=8)


async def tried(search_: Any, policy: ScriptedPolicy | None = None, n: int = 8) -> Found:
    """Run a search function as a strategy."""
    strategy: Strategy[Any] = replace(BEST_OF_N, name="tried", search=search_, budgets=every_budget)
    policy = policy or ScriptedPolicy(walk)
    verifier = ScriptedVerifier(perfect)
    return await run_search(replace(PARAMS, n=n), policy, verifier, strategy=strategy)


def seeds(policy: ScriptedPolicy) -> list[int]:
    return [r.seed + i for r in policy.requests if r.seed is not None for i in range(r.n)]


def paths(sampled: Any) -> list[tuple[int, ...]]:
    return [t.path for t in sampled]


async def test_two_expansions_of_one_node_share_no_path_and_no_seed():
    async def search(search: Search[Any]) -> Found:
        first = await search.expand(search.root, 2)
        more = await search.expand(search.root, 3)
        below = await together(search.expand(first[0], 2, until="end") for _ in range(3))
        again = await search.expand(first[0], 1)
        return Found([*first, *more, *chain.from_iterable(below), *again], ())

    policy = ScriptedPolicy(walk)
    sampled = (await tried(search, policy)).sampled
    assert paths(sampled) == [
        *((0,), (1,), (2,), (3,), (4,)),
        *((0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (0, 5), (0, 6)),
    ]
    assert len(set(seeds(policy))) == len(seeds(policy)) == 12
    assert len({t.text for t in sampled}) == 12


async def test_parts_share_no_path_and_no_seed_with_each_other_or_with_the_whole():
    async def search(search: Search[Any]) -> Found:
        before = search.expand(search.root, 1, until="end")
        parts = [search.part("best-of-n", 3), search.part("dvts", 8, m=2), search.part("beam", 4)]
        after = search.expand(search.root, 2, until="end")
        found = await together(parts)
        return Found([*chain(*(part.sampled for part in found)), *await before, *await after], ())

    policy = ScriptedPolicy(walk)
    sampled = (await tried(search, policy, n=18)).sampled
    first = sorted({path[0] for path in paths(sampled)})
    assert first == list(range(18))
    assert len(set(paths(sampled))) == len(sampled)
    assert len(set(seeds(policy))) == len(seeds(policy))


async def test_a_part_may_not_take_more_than_its_share():
    async def greedy_part(search: Search[Any]) -> Found:
        await search.expand(search.root, search.params.n + 1)
        raise AssertionError

    strategy = replace(BEST_OF_N, name="tried", search=greedy_part)

    async def search(search: Search[Any]) -> Found:
        return await search.part("tried", 2)

    outer = replace(strategy, search=search)
    inner = {"tried": strategy, "outer": replace(outer, name="outer")}
    with pytest.raises(ValueError, match="expands its root into more than its n"):
        await _with_table(inner, "outer")


async def _with_table(table: dict[str, Strategy[Any]], name: str) -> Found:
    from ttc_client.search.strategies import STRATEGIES

    before = dict(STRATEGIES)
    STRATEGIES.update(table)
    try:
        return await run_search(SearchParams(strategy=name, n=4), ScriptedPolicy(walk))
    finally:
        STRATEGIES.clear()
        STRATEGIES.update(before)


async def test_a_new_prompt_is_a_node_with_seeds_of_its_own():
    async def search(search: Search[Any]) -> Found:
        asked = [Message("user", "again?")]
        first, second = [await search.ask(asked) for _ in range(2)]
        below = await search.ask(asked, after=first)
        prompts = (first, second, below)
        assert paths(prompts) == [(0,), (1,), (0, 0)]
        assert all(not node.steps and node.prompt.messages == tuple(asked) for node in prompts)
        sampled = [await search.expand(node, 1, until="end") for node in (search.root, *prompts)]
        return Found(list(chain.from_iterable(sampled)), ())

    policy, verifier = ScriptedPolicy(walk), ScriptedVerifier(perfect)
    strategy = replace(BEST_OF_N, name="tried", search=search)
    found = await run_search(PARAMS, policy, verifier, question="first?", strategy=strategy)
    assert paths(found.sampled) == [(2,), (0, 1), (1, 0), (0, 0, 0)]
    assert len(set(seeds(policy))) == 4
    assert [r.messages[-1].content for r in policy.requests] == ["first?", *["again?"] * 3]
    assert {r.question for r in verifier.requests} == {"first?"}


@pytest.mark.parametrize("when", ["before it starts", "while it waits"])
async def test_a_sibling_that_is_cancelled_shifts_no_number(when):
    async def search(search: Search[Any], cancelled: bool) -> Found:
        tasks = [asyncio.create_task(search.expand(search.root, 2, until="end")) for _ in range(4)]
        if when != "before it starts":
            await asyncio.sleep(0)
        if cancelled:
            tasks[1].cancel()
        groups = await asyncio.gather(*tasks, return_exceptions=True)
        return Found([t for group in groups if isinstance(group, tuple) for t in group], ())

    async def whole(search_: Search[Any]) -> Found:
        return await search(search_, cancelled=False)

    async def without_one(search_: Search[Any]) -> Found:
        return await search(search_, cancelled=True)

    policy = ScriptedPolicy(walk)
    kept = (await tried(without_one, policy)).sampled
    alone = (await tried(whole)).sampled
    assert len(policy.requests) == (3 if when == "before it starts" else 4)
    assert paths(kept) == [(i,) for i in (0, 1, 4, 5, 6, 7)]
    texts = {t.path: t.text for t in alone}
    assert all(t.text == texts[t.path] for t in kept)


async def test_numbers_are_taken_in_the_order_of_calls_and_not_of_awaiting():
    async def search(search: Search[Any]) -> Found:
        one, two = search.expand(search.root, 2), search.expand(search.root, 1)
        later = await two
        return Found([*await one, *later], ())

    assert paths((await tried(search)).sampled) == [(0,), (1,), (2,)]


@pytest.mark.parametrize("lookahead", [1, 2, 3])
@pytest.mark.parametrize("strategy", ["beam", "dvts"])
async def test_no_seed_is_used_twice_while_looking_ahead(strategy, lookahead):
    policy = ScriptedPolicy(lambda request, i: walk(request, i, length=6))
    settings = StepwiseSettings(lookahead=lookahead)
    params = SearchParams(strategy=strategy, n=16, settings=settings)
    await run_search(params, policy, ScriptedVerifier(perfect))
    assert sum(request.temperature == 0 for request in policy.requests) > 16
    assert len(set(seeds(policy))) == len(seeds(policy))


async def test_looking_ahead_changes_no_path_and_no_seed_of_what_is_sampled():
    """Where the ranking stays the same."""

    async def asked(lookahead: int) -> list[tuple[tuple[int, ...], int | None]]:
        policy = ScriptedPolicy(walk)
        settings = StepwiseSettings(lookahead=lookahead)
        params = SearchParams(strategy="dvts", n=8, settings=settings)
        await run_search(params, policy, ScriptedVerifier(lambda text: 0.5))
        return sorted((r.trajectory.path, r.seed) for r in policy.requests if r.temperature)

    assert await asked(0) == await asked(2)


async def test_seeds_hash_the_whole_conversation_and_a_lone_question_as_ever():
    async def seed(*messages: Message) -> int | None:
        from ttc_client.search.seeds import request_seed
        from ttc_client.types import Problem

        return request_seed(PARAMS, Problem(question="p", messages=messages).key, (), 0)

    alone = await seed()
    assert alone == await seed(Message("user", "p"))
    assert alone != await seed(Message("system", "s"), Message("user", "p"))
    assert (
        await seed(Message("user", "a"), Message("assistant", "b"), Message("user", "p")) != alone
    )


async def test_the_dice_of_a_search_are_its_own_and_the_same_each_time():
    drawn: list[float] = []

    async def search(search: Search[Any]) -> Found:
        drawn.append(search.rng.random())
        return Found(await search.expand(search.root, 1), ())

    await tried(search)
    await tried(search)
    strategy = replace(BEST_OF_N, name="tried", search=search)
    await run_search(replace(PARAMS, seed=1), ScriptedPolicy(walk), strategy=strategy)
    await run_search(PARAMS, ScriptedPolicy(walk), question="other", strategy=strategy)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


async def test_a_continuation_that_failed_is_missing_and_its_siblings_keep_their_numbers():
    async def all_but_one(request: SampleRequest) -> Any:
        samples = await ScriptedPolicy(walk)(request)
        return replace(samples, steps=(samples.steps[0], None, *samples.steps[2:]))

    params = SearchParams(strategy="best-of-n", n=8)
    found = await run_search(params, all_but_one, ScriptedVerifier(perfect))
    whole = await run_search(params, ScriptedPolicy(walk), ScriptedVerifier(perfect))
    texts = {t.path: t.text for t in whole.sampled}
    assert paths(found.sampled) == [(i,) for i in (0, 2, 3, 4, 6, 7)]
    assert all(texts[t.path] == t.text for t in found.sampled)


async def test_a_checkpoint_can_be_gone_on_from_and_a_used_up_budget_is_marked():
    def write(request: SampleRequest, i: int) -> tuple[str, Any]:
        return ("x " * request.max_tokens, "length")

    async def search(search: Search[Any]) -> Found:
        (part,) = await search.expand(search.root, 1, until=10)
        assert part.finish == "stop"
        (more,) = await search.expand(part, 1, until=10)
        (end,) = await search.expand(more, 1, until="end")
        return Found([part, more, end], ())

    policy = ScriptedPolicy(write, tokens=lambda text: text.count("x"))
    strategy = replace(BEST_OF_N, name="tried", search=search)
    params = replace(PARAMS, max_completion_tokens=25)
    sampled: list[Trajectory] = list(
        (await run_search(params, policy, ScriptedVerifier(perfect), strategy=strategy)).sampled
    )
    assert [request.max_tokens for request in policy.requests] == [10, 10, 5]
    assert {request.stop for request in policy.requests} == {()}
    assert [t.finish for t in sampled] == ["stop", "stop", "length"]
    assert [t.num_tokens for t in sampled] == [10, 20, 25]
