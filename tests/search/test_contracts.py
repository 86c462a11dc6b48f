"""Every strategy keeps the contract that `ttc_client.testing` ships, and the contract can fail."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.tables import table
from ttc_client.sal import STRATEGIES as SAL
from ttc_client.search.beam import BEAM
from ttc_client.search.best_of_n import BEST_OF_N
from ttc_client.search.compute_optimal import TableSettings
from ttc_client.search.deepconf import ConfidenceSettings
from ttc_client.search.first_to_finish import FirstSettings
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams, StrategySettings
from ttc_client.search.particles import ParticleSettings
from ttc_client.search.rejection import RejectionSettings
from ttc_client.search.results import completions
from ttc_client.search.revise import ReviseSettings
from ttc_client.search.rsa import AggregationSettings
from ttc_client.search.search import Search
from ttc_client.search.stepwise import StepwiseSettings
from ttc_client.search.strategies import STRATEGIES
from ttc_client.search.strategy import Strategy
from ttc_client.search.table import Choice
from ttc_client.tasks.math import Math
from ttc_client.testing import (
    ROOT,
    ScriptedPolicy,
    ScriptedVerifier,
    a_problem,
    check_policy,
    check_strategy,
    check_task,
    check_verifier,
    contracts,
    perfect,
    walk,
)
from ttc_client.together import surviving, together

CHOICES = (
    (Choice("best-of-n", None), Choice("dvts", 4)),
    (Choice("majority", None), Choice("beam", 4)),
    (Choice("particles", None), Choice("mcts", 4)),
)

VARIANTS: dict[str, list[StrategySettings]] = {
    "particles": [
        *(ParticleSettings(), ParticleSettings(temper=True)),
        *(ParticleSettings(gibbs=2), ParticleSettings(gibbs=2, temper=True)),
    ],
    "revise": [ReviseSettings(), ReviseSettings(revisions=1), ReviseSettings(revisions=2)],
    "rejection": [RejectionSettings(), RejectionSettings(reject=0.9, checkpoint=32)],
    "first-to-finish": [FirstSettings(), FirstSettings(first=3)],
    "deepconf": [ConfidenceSettings(), ConfidenceSettings(warmup=2, keep=0.5, group=4)],
    "rsa": [
        AggregationSettings(rounds=2, aggregate=2),
        AggregationSettings(rounds=1, aggregate=1),
        AggregationSettings(rounds=4, aggregate=1),
    ],
}
"""What to check a strategy with beside its defaults, or where these need a larger N."""


def settings_of(strategy: Strategy[Any], lookahead: int = 0) -> list[StrategySettings]:
    """Return what to check a strategy with."""
    if strategy.settings is TableSettings:
        tables = [table(*choice, edge=edge) for choice in CHOICES for edge in (0.1, 0.9)]
        return [TableSettings(table=chosen, lookahead=lookahead) for chosen in tables]
    if issubclass(strategy.settings, StepwiseSettings):
        return [strategy.settings(lookahead=lookahead)]
    return VARIANTS.get(strategy.name, [strategy.settings()])


@pytest.mark.parametrize("n", [4, 8, 16])
@pytest.mark.parametrize("name", STRATEGIES)
async def test_every_strategy_keeps_the_contract(name, n):
    strategy = STRATEGIES[name]
    for settings in settings_of(strategy):
        await check_strategy(strategy, SearchParams(n=n, settings=settings))


@pytest.mark.parametrize("window", [None, 1, 16])
@pytest.mark.parametrize("n", [4, 16])
@pytest.mark.parametrize("name", ["majority", "best-of-n", "dvts"])
async def test_stopping_early_keeps_it_too(name, n, window):
    strategy = STRATEGIES[name]
    settings = strategy.settings(stop_at=0.95, window=window)
    await check_strategy(strategy, SearchParams(n=n, settings=settings))


@pytest.mark.parametrize("lookahead", [1, 2])
@pytest.mark.parametrize("n", [4, 8, 16])
@pytest.mark.parametrize("name", ["beam", "dvts", "compute-optimal"])
async def test_looking_ahead_keeps_it_too(name, n, lookahead):
    strategy = STRATEGIES[name]
    for settings in settings_of(strategy, lookahead):
        await check_strategy(strategy, SearchParams(n=n, settings=settings))


async def test_the_toolkits_greedy_decoding_keeps_it():
    await check_strategy(SAL["greedy"], SearchParams(compat="sal"))


@pytest.mark.parametrize("name", ["majority", "best-of-n", "beam", "dvts"])
async def test_the_toolkits_other_strategies_keep_it_but_for_what_they_do_not_go_on_without(name):
    """It knows no partial failure, and takes its candidates from what had not come to an end."""
    strategy, params = SAL[name], SAL[name].checked(SearchParams(strategy=name, compat="sal"))
    for check in (contracts._check_numbers, contracts._check_order, contracts._check_truncation):
        await check(strategy, params)
    await contracts._check_cancelling(strategy, params)
    if name != "beam":  # which begins with a single request
        with pytest.raises(AssertionError, match="one failed request cost the whole search"):
            await contracts._check_failure(strategy, params)


async def test_the_scripted_ports_and_the_mathematics_keep_theirs():
    await check_policy(ScriptedPolicy(walk), ROOT)
    await check_verifier(ScriptedVerifier(perfect), a_problem())
    problem = replace(a_problem("What is half of one?"), gold="0.5")
    right = [r"so \boxed{1/2}", r"\boxed{\frac{1}{2}}", "The answer is 0.50."]
    await check_task(Math(), problem, right, [r"\boxed{2}", "nothing"])


async def _sampled(search: Search[Any], sampled: Any) -> Found:
    return Found(sampled, search.completions(sampled))


async def more_than_n(search: Search[Any]) -> Found:
    sampled = await search.expand(search.root, 2 * search.params.n, until="end")
    return Found(sampled, completions(sampled, 2 * search.params.n))


async def spends_twice(search: Search[Any]) -> Found:
    return await _sampled(
        search, await search.expand(search.root, 2 * search.params.n, until="end")
    )


async def keeps_what_it_did_not_sample(search: Search[Any]) -> Found:
    first, *rest = await search.expand(search.root, search.params.n, until="end")
    return Found(rest, [Pick(first)])


async def takes_what_comes_first(search: Search[Any]) -> Found:
    tasks = [
        asyncio.create_task(search.expand(search.root, 1, until="end"))
        for _ in range(search.params.n)
    ]
    done, others = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    return await _sampled(search, [t for task in done for t in task.result()])


async def favours_the_quick(search: Search[Any]) -> Found:
    replied = 0

    async def grow(first_step: Any) -> tuple[Any, ...]:
        nonlocal replied
        (step,) = await first_step
        replied += 1
        return await search.expand(step, replied, until="end")

    groups = await surviving([grow(search.expand(search.root, 1)) for _ in range(3)])
    return await _sampled(search, [t for group in groups for t in group])


async def calls_cut_ones_ended(search: Search[Any]) -> Found:
    sampled = await search.expand(search.root, search.params.n, until="end")
    ended = [replace(t, steps=(replace(t.steps[-1], finish="eos"),)) for t in sampled]
    return await _sampled(search, ended)


async def swallows_its_cancellation(search: Search[Any]) -> Found:
    try:
        sampled = await search.expand(search.root, search.params.n, until="end")
    except asyncio.CancelledError:
        return Found((), ())
    return await _sampled(search, sampled)


async def leaves_requests_open(search: Search[Any]) -> Found:
    tasks = [
        asyncio.create_task(search.expand(search.root, 1, until="end"))
        for _ in range(search.params.n)
    ]
    sampled = [t for task in tasks for t in await asyncio.shield(task)]
    return await _sampled(search, sampled)


async def loses_all_to_one_failure(search: Search[Any]) -> Found:
    groups = await together(
        search.expand(search.root, 1, until="end") for _ in range(search.params.n)
    )
    return await _sampled(search, [t for group in groups for t in group])


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (more_than_n, "more than n candidates vote"),
        (spends_twice, "steps sampled"),
        (keeps_what_it_did_not_sample, "are not among what was sampled"),
        (takes_what_comes_first, "depends on the order of replies"),
        (favours_the_quick, "depends on the order of replies"),
        (calls_cut_ones_ended, "what was cut came back as"),
        (swallows_its_cancellation, "swallowed its cancellation"),
        (leaves_requests_open, "requests were left open"),
    ],
)
async def test_a_strategy_that_breaks_its_contract_is_told_how(search, says):
    broken = replace(BEST_OF_N, name="broken", search=search)
    with pytest.raises(AssertionError, match=says):
        await check_strategy(broken, SearchParams(n=8))
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_one_failed_request_must_not_cost_the_search():
    broken = replace(BEST_OF_N, name="broken", search=loses_all_to_one_failure)
    with pytest.raises(AssertionError, match="one failed request cost the whole search"):
        await check_strategy(broken, SearchParams(n=8))


async def test_who_says_to_need_nothing_must_ask_for_nothing():
    """A search gives a strategy no verifier that it does not need."""
    await check_strategy(replace(BEST_OF_N, name="blind", needs="nothing"), SearchParams(n=4))


async def test_a_lookahead_that_is_not_declared_is_more_than_the_budget():
    silent = replace(BEAM, name="silent", spends=lambda params, settings: params.n / 8)
    with pytest.raises(AssertionError, match="steps sampled"):
        await check_strategy(silent, SearchParams(n=8))
