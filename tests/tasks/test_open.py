"""Free text: each candidate stands for itself, and the judge of the workers rates it."""

import pytest

from ttc_client import Client, SearchParams, Servers
from ttc_client.errors import ConfigError
from ttc_client.runtime.evaluate import Job, evaluate
from ttc_client.search.ports import SampleRequest, ScoreRequest
from ttc_client.tasks.open import Open
from ttc_client.tasks.table import find_task
from ttc_client.tasks.workers import Workers
from ttc_client.testing import check_task
from ttc_client.types import Problem

PROBLEM = Problem(question="Write a line.")


async def rate(problem, answers):
    return [float(answer.endswith(".")) for answer in answers]


def brevity(problem, answer):
    return 1 / len(answer.split())


@pytest.mark.asyncio
async def test_a_judge_rates_and_nothing_is_equal():
    task = Open()
    answers = [task.extract(PROBLEM, text) for text in ("<think>?</think> A line. ", "A line")]
    assert answers == ["A line.", "A line"]
    async with Workers(rate=rate) as workers:
        assert len(set(await task.keys(PROBLEM, answers, workers))) == 2
        assert list(await task.grade(PROBLEM, answers, workers)) == [1, 0]


@pytest.mark.asyncio
async def test_a_function_may_rate_in_its_place():
    task = find_task("open", score=f"python:{__name__}:brevity")
    await check_task(task, PROBLEM, ["word", " word "], ["two words"])


@pytest.mark.asyncio
async def test_where_nothing_rates_that_is_said():
    async with Workers() as workers:
        with pytest.raises(ConfigError, match="nothing rates the answers of the task open"):
            await Open().grade(PROBLEM, ["x"], workers)


def test_a_score_that_is_no_judge_is_refused():
    with pytest.raises(ConfigError, match="score is 'f1': it must be one of judge, or python"):
        Open(score="f1")


async def test_in_a_bench_the_searchs_own_verifier_rates_what_was_found():
    async def write(request: SampleRequest) -> list[str]:
        return [f"line {i}" for i in range(request.n)]

    async def judge(request: ScoreRequest) -> list[list[float]]:
        return [[int(step.split()[-1]) / 10 for step in item] for item in request.items]

    params = SearchParams(strategy="best-of-n", n=4)
    async with Client(Servers(policy=(write,), prm=(judge,)), Open()) as client:
        outcome = await evaluate(client, Job(PROBLEM, params))
    assert not outcome.record.error
    rated = {graded.answer: graded.grade for graded in outcome.record.answers}
    assert rated == {f"line {i}": i / 10 for i in range(4)}
    assert outcome.record.grade == 0.3
