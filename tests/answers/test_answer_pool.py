"""One pool, and what it is given: order, hostile answers, signals."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.answers.latexish import HOSTILE, random_answer
from tests.answers.processes import worker_pids
from ttc_client.answers import AnswerPool

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pool() -> AsyncIterator[AnswerPool]:
    async with AnswerPool(workers=1, time_limit_s=60, total_deadline_s=120) as pool:
        yield pool


async def test_keys_come_in_the_order_given(pool: AnswerPool) -> None:
    keys = await pool.canonical_keys(["x+1", "0.5", "", "1+x", r"\frac12", "x+1"])
    assert keys[0] == keys[3] == keys[5]
    assert keys[1] == keys[4]
    assert keys[2] == ""
    assert len(set(keys)) == 3


async def test_equality_is_that_of_keys_and_nothing_equals_an_empty_answer(
    pool: AnswerPool,
) -> None:
    assert await pool.equal(r"\frac{1}{\sqrt3}", r"\sqrt{3}/3")
    assert not await pool.equal("x", "y")
    assert not await pool.equal("", "")


async def test_hostile_answers_are_refused_by_rule_and_never_by_the_clock(pool: AnswerPool) -> None:
    before = worker_pids()
    assert len(before) == 1
    keys = await pool.canonical_keys([*HOSTILE, *map(random_answer, range(300))])
    assert all(isinstance(key, str) for key in keys)
    assert worker_pids() == before
    assert await pool.equal("x+2", "2+x")


async def test_the_majority_survives_words_that_poison_other_parsers(pool: AnswerPool) -> None:
    candidates = ["18 dollars", "odd", "x+3", "2dx", "3+x", "2", r"\frac{2x+6}{2}", "2"]
    keys = await pool.canonical_keys(candidates)
    assert max(keys, key=keys.count) == keys[2]


async def test_no_text_of_a_model_is_executed(pool: AnswerPool, tmp_path: Path) -> None:
    target = tmp_path / "made"
    code = f"__import__('pathlib').Path('{target}').touch()"
    await pool.canonical_keys(
        [code, f"x+{code}", rf"\text{{{code}}}+x", rf"\operatorname{{{code}}}(x)", f"${code}$"]
    )
    assert not target.exists()


async def test_ctrl_c_does_not_reach_the_worker(pool: AnswerPool) -> None:
    (pid,) = worker_pids()
    assert os.getpgid(pid) != os.getpgid(0)
    os.kill(pid, signal.SIGINT)
    assert await pool.equal("x+4", "4+x")
    assert worker_pids() == {pid}


async def test_the_loop_goes_on_while_many_answers_are_keyed(pool: AnswerPool) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await pool.canonical_keys([rf"\frac{{{i}}}{{7}}, (1, {i}]" for i in range(3_000)])
    counting.cancel()
    assert turns > 10


@pytest.mark.parametrize(
    "limits", [{"workers": 0}, {"time_limit_s": 0}, {"memory_limit_mb": -1}], ids=str
)
async def test_limits_without_meaning_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limits"):
        AnswerPool(**limits)
