"""What every strategy, policy, verifier and task promises, as tests to run on one of your own.

Each is an async function that raises AssertionError, with what was broken.
"""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ttc_client.errors import ServerError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Policy, SampleRequest, ScoreRequest, Verifier
from ttc_client.search.steps import STEP_DELIMITER, split_steps
from ttc_client.search.strategy import Strategy
from ttc_client.tasks.task import Task
from ttc_client.tasks.workers import Workers
from ttc_client.testing.ports import ScriptedPolicy, ScriptedVerifier, perfect, walk
from ttc_client.testing.searches import run_search
from ttc_client.together import stopped
from ttc_client.types import Finish, Problem, Trajectory

_NUM_ORDERS = 6
_TURNS_TO_SETTLE = 30
"""Of the event loop, until all has happened that a reply leads to."""


async def check_strategy(strategy: Strategy[Any], params: SearchParams) -> None:
    """Check a strategy with params that it can run with.

    It samples no more than it says, asks for a verifier only if it needs one, never uses a seed or
    a path twice, finds the same whatever the order of replies unless it says that timing decides,
    marks what is cut, closes all its requests when it is cancelled, and survives the failure of one
    of them.
    """
    params = strategy.checked(replace(params, strategy=strategy.name))
    await _check_budget(strategy, params)
    await _check_numbers(strategy, params)
    if not strategy.is_timed:
        await _check_order(strategy, params)
    await _check_truncation(strategy, params)
    await _check_cancelling(strategy, params)
    await _check_failure(strategy, params)


async def _run(
    strategy: Strategy[Any], params: SearchParams, policy: ScriptedPolicy
) -> tuple[Found, ScriptedVerifier]:
    verifier = ScriptedVerifier(perfect)
    return await run_search(params, policy, verifier, strategy=strategy), verifier


async def _check_budget(strategy: Strategy[Any], params: SearchParams) -> None:
    policy = ScriptedPolicy(walk, tokens=lambda text: len(split_steps(text)))
    found, verifier = await _run(strategy, params, policy)
    assert found.picks, "no candidate came of it"
    assert sum(pick.votes for pick in found.picks) <= params.n, "more than n candidates vote"
    if strategy.needs == "nothing":
        assert not verifier.requests, "it needs nothing, and asked the verifier"
    longest = max(t.num_tokens for t in found.sampled)
    bound = strategy.spends(params, strategy.settings_of(params)) * longest
    assert policy.num_tokens <= bound, f"{policy.num_tokens} steps sampled, {bound:g} declared"
    in_tree = {t.path for t in found.sampled}
    lost = [pick.trajectory.path for pick in found.picks if pick.trajectory.path not in in_tree]
    assert not lost, f"candidates {lost} are not among what was sampled"


async def _check_numbers(strategy: Strategy[Any], params: SearchParams) -> None:
    policy = ScriptedPolicy(walk)
    found, _ = await _run(strategy, params, policy)
    seeds = [r.seed + i for r in policy.requests for i in range(r.n) if r.seed is not None]
    assert len(set(seeds)) == len(seeds), "two continuations share a seed"
    paths = [t.path for t in found.sampled]
    assert len(set(paths)) == len(paths), "two trajectories share a path"


async def _check_order(strategy: Strategy[Any], params: SearchParams) -> None:
    """Answer in several orders; everything that was found must be the same."""
    outcomes: list[object] = []
    for order in range(_NUM_ORDERS):
        waiting: list[asyncio.Event] = []

        def gate(_: SampleRequest, waiting: list[asyncio.Event] = waiting) -> asyncio.Event:
            waiting.append(asyncio.Event())
            return waiting[-1]

        replying = asyncio.create_task(_reply_one_by_one(waiting, random.Random(order)))
        try:
            found, _ = await _run(strategy, params, ScriptedPolicy(walk, gate))
        finally:
            await stopped([replying])
        picks = [(pick.trajectory.path, pick.trajectory.text, pick.votes) for pick in found.picks]
        outcomes.append(picks)
    assert all(o == outcomes[0] for o in outcomes), "the outcome depends on the order of replies"


async def _reply_one_by_one(waiting: list[asyncio.Event], rng: random.Random) -> None:
    """Let one of the waiting requests be answered, and the next once all is quiet again."""
    while True:
        for _ in range(_TURNS_TO_SETTLE):
            await asyncio.sleep(0)
        if waiting:
            waiting.pop(rng.randrange(len(waiting))).set()


async def _check_truncation(strategy: Strategy[Any], params: SearchParams) -> None:
    def cut(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return f"cut {request.seed} {i}", "length"

    found, _ = await _run(strategy, params, ScriptedPolicy(cut))
    finishes = {pick.trajectory.finish for pick in found.picks}
    assert finishes <= {"length"}, f"what was cut came back as {finishes}"


async def _check_cancelling(strategy: Strategy[Any], params: SearchParams) -> None:
    asked = asyncio.Event()

    def hold(_: SampleRequest) -> asyncio.Event:
        asked.set()
        return asyncio.Event()

    policy = ScriptedPolicy(walk, hold)
    task = asyncio.create_task(_run(strategy, params, policy))
    await asked.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled(), "it swallowed its cancellation"
    assert not policy.in_flight, "requests were left open"


async def _check_failure(strategy: Strategy[Any], params: SearchParams) -> None:
    """Fail one of several requests, then all: the first costs candidates, the second the search."""
    alone = ScriptedPolicy(walk)
    await _run(strategy, params, alone)

    def fails(request: SampleRequest, i: int) -> tuple[str, Finish]:
        raise ServerError("no such server", url="http://nowhere", status=500)

    try:
        await _run(strategy, params, ScriptedPolicy(fails))
    except ServerError:
        pass
    else:
        raise AssertionError("a policy that always fails went unnoticed")
    first_steps = [request for request in alone.requests if not request.trajectory.steps]
    if len(first_steps) > 1:
        last_seed = first_steps[-1].seed

        def fails_once(request: SampleRequest, i: int) -> tuple[str, Finish]:
            return fails(request, i) if request.seed == last_seed else walk(request, i)

        try:
            found, _ = await _run(strategy, params, ScriptedPolicy(fails_once))
        except ServerError as error:
            raise AssertionError("one failed request cost the whole search") from error
        assert found.picks, "one failed request cost the whole search"


async def check_policy(policy: Policy, root: Trajectory) -> None:
    """Check that a policy writes what is asked for: n steps in order, each with a true finish.

    Log-probabilities come only where they are asked for, and then one per token or none at all.
    """
    request = SampleRequest(root, 2, 0.8, 1.0, 64, (STEP_DELIMITER,), seed=1)
    samples = await policy(request)
    assert len(samples.steps) == request.n, f"{len(samples.steps)} steps, {request.n} asked for"
    for step in samples.steps:
        if step is not None:
            stopped = step.finish == "stop"
            assert not stopped or step.text.endswith(STEP_DELIMITER), "a step lost its delimiter"
            assert step.num_tokens <= request.max_tokens, "a step is longer than allowed"
            assert not step.logprobs + step.confidences, "log-probabilities were not asked for"
    whole = await policy(replace(request, n=1, stop=()))
    assert all(step is None or step.finish != "stop" for step in whole.steps), (
        "a completion ended at a stop string that was not asked for"
    )
    rated = await policy(replace(request, top_logprobs=2))
    for step in filter(None, rated.steps):
        assert len(step.logprobs) in (0, step.num_tokens), "not one log-probability per token"
        assert len(step.confidences) in (0, len(step.logprobs)), "not one confidence per token"


async def check_verifier(verifier: Verifier, problem: Problem) -> None:
    """Check that a verifier scores each step of each item in [0, 1], those without a step too.

    A score may be missing (None).
    """
    items = (("a first step", "a second one"), (), ("another first step",))
    scores = await verifier(ScoreRequest(problem, (), items))
    assert [len(item) for item in scores.scores] == [2, 0, 1], "not one score per step"
    flat = [score for item in scores.scores for score in item]
    assert all(score is None or 0 <= score <= 1 for score in flat), (
        f"a score is not a probability: {flat}"
    )
    later = await verifier(ScoreRequest(problem, ("a first step",), (("a second one",),)))
    assert [len(item) for item in later.scores] == [1], "steps of the prefix were scored again"


async def check_task(
    task: Task, problem: Problem, right: Sequence[str], wrong: Sequence[str]
) -> None:
    """Check a task on completions of a problem that are right and wrong."""
    assert task.messages(problem), "there is no prompt"
    answers = [task.extract(problem, text) for text in (*right, *wrong)]
    async with Workers() as workers:
        keys = await task.keys(problem, answers, workers)
        grades = await task.grade(problem, answers, workers)
        again = await task.keys(problem, answers[::-1], workers)
    assert len(keys) == len(grades) == len(answers), "not one key and grade per answer"
    assert list(again) == list(keys)[::-1], "keys depend on the order of answers"
    assert all(grade == 1 for grade in grades[: len(right)]), f"right answers got {grades}"
    assert all(grade < 1 for grade in grades[len(right) :]), f"wrong answers got {grades}"
