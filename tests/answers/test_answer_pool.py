"""The worker processes: limits, time-outs, replacement, cancellation, clean exits."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.answers.latexish import HOSTILE, random_answer
from ttc_client.answers import AnswerPool, group_answers
from ttc_client.answers.canonical import string_key
from ttc_client.errors import TTCError

ROOT = Path(__file__).parents[2]
MARK = "ttc_client.answers.worker"
HARD = [f"x+{i}" for i in range(1, 9)]


def worker_pids() -> set[int]:
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(maxsplit=2) for line in listed.stdout.splitlines())
    return {int(pid) for pid, parent, args in rows if int(parent) == os.getpid() and MARK in args}


def open_descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_keys_come_in_the_order_given_and_agree_between_workers_and_without() -> None:
    async with AnswerPool(workers=1) as pool:
        keys = await pool.canonical_keys(["x+1", "0.5", "", "1+x", r"\frac12", "x+1"])
        assert keys[0] == keys[3] == keys[5]
        assert keys[1] == keys[4]
        assert keys[2] == ""
        assert len(set(keys)) == 3
        assert await pool.equal(r"\frac{1}{\sqrt3}", r"\sqrt{3}/3")
        assert not await pool.equal("x", "y")
        assert not await pool.equal("", "")


async def test_hostile_answers_are_refused_by_rule_and_never_by_the_clock() -> None:
    async with AnswerPool(workers=1, time_limit_s=60, total_deadline_s=120) as pool:
        before = worker_pids()
        assert len(before) == 1
        keys = await pool.canonical_keys([*HOSTILE, *map(random_answer, range(300))])
        assert all(isinstance(key, str) for key in keys)
        assert worker_pids() == before
        assert await pool.equal("x+1", "1+x")


async def test_the_majority_survives_words_that_poison_other_parsers() -> None:
    async with AnswerPool(workers=1) as pool:
        candidates = ["18 dollars", "odd", "x+1", "2dx", "1+x", "2", r"\frac{2x+2}{2}", "2"]
        keys = await pool.canonical_keys(candidates)
        assert max(keys, key=keys.count) == keys[2]


async def test_no_text_of_a_model_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "made"
    code = f"__import__('pathlib').Path('{target}').touch()"
    async with AnswerPool(workers=1) as pool:
        await pool.canonical_keys(
            [code, f"x+{code}", rf"\text{{{code}}}+x", rf"\operatorname{{{code}}}(x)", f"${code}$"]
        )
    assert not target.exists()


async def test_a_time_out_replaces_the_worker_and_is_not_remembered() -> None:
    async with AnswerPool(workers=1, time_limit_s=1.0) as pool:
        right = await pool.canonical_keys(["x+1"])
        (stuck,) = worker_pids()
        os.kill(stuck, signal.SIGSTOP)
        assert await pool.canonical_keys(["1+x", "x+1"]) == [string_key("1+x"), *right]
        assert stuck not in worker_pids()
        assert await pool.canonical_keys(["1+x"]) == right


async def test_what_is_left_at_the_deadline_is_compared_as_a_string() -> None:
    async with AnswerPool(workers=2, total_deadline_s=1.0) as pool:
        await pool.canonical_keys(["1/2"])
        for pid in worker_pids():
            os.kill(pid, signal.SIGSTOP)
        assert await pool.canonical_keys([*HARD, "0.5"]) == [*map(string_key, HARD), "1/2"]


async def test_a_worker_that_died_is_replaced() -> None:
    async with AnswerPool(workers=1) as pool:
        right = await pool.canonical_keys(["x+1"])
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert await pool.canonical_keys(["1+x"]) == right


async def test_ctrl_c_does_not_reach_the_workers() -> None:
    async with AnswerPool(workers=1) as pool:
        (pid,) = worker_pids()
        assert os.getpgid(pid) != os.getpgid(0)
        right = await pool.canonical_keys(["x+1"])
        os.kill(pid, signal.SIGINT)
        assert await pool.canonical_keys(["1+x"]) == right
        assert worker_pids() == {pid}


async def test_cancelled_calls_leave_a_pool_that_works_and_nothing_behind() -> None:
    descriptors = open_descriptors()
    async with AnswerPool(workers=2) as pool:
        right = await pool.canonical_keys(["x+1"])
        for wait_s in (0.0, 0.001, 0.01):
            call = asyncio.create_task(pool.canonical_keys(HARD))
            await asyncio.sleep(wait_s)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        assert await pool.canonical_keys(["1+x"]) == right
    assert worker_pids() == set()
    assert open_descriptors() == descriptors


async def test_a_pool_can_be_closed_before_its_workers_are_ready() -> None:
    descriptors = open_descriptors()
    for _ in range(3):
        async with AnswerPool():
            pass
    assert worker_pids() == set()
    assert open_descriptors() == descriptors


async def test_the_loop_goes_on_while_many_answers_are_keyed() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with AnswerPool(workers=1) as pool:
        counting = asyncio.create_task(count())
        await pool.canonical_keys([rf"\frac{{{i}}}{{7}}, (1, {i}]" for i in range(3_000)])
        counting.cancel()
    assert turns > 10


async def test_a_worker_that_cannot_start_is_an_error_and_not_a_vote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sympy.py").write_text("raise ImportError('broken sympy')")
    monkeypatch.syspath_prepend(tmp_path)
    async with AnswerPool(workers=1) as pool:
        assert await pool.equal("0.5", "1/2")
        with pytest.raises(TTCError, match="broken sympy"):
            await pool.canonical_keys(["x+1"])


@pytest.mark.parametrize(
    "limits", [{"workers": 0}, {"time_limit_s": 0}, {"memory_limit_mb": -1}], ids=str
)
def test_limits_without_meaning_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="limits"):
        AnswerPool(**limits)


async def test_answers_are_grouped_even_inside_a_running_loop() -> None:
    groups = group_answers([r"\frac{1}{\sqrt{3}}", "2", r"\sqrt{3}/3", "{{{", "2.0", "", "{{{"])
    assert groups == [0, 1, 0, 2, 1, 3, 2]


def test_numbers_and_words_are_grouped_without_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio, "create_subprocess_exec", None)
    assert group_answers(["1/2", "x=0.5", r"\text{East}", "east", "(1, 2]"]) == [0, 0, 1, 1, 2]


def test_a_plain_script_needs_no_main_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from ttc_client.answers import group_answers\n"
        "print(group_answers(['x+1', '1+x', 'x']), 'sympy' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert (done.stdout, done.stderr) == ("[0, 0, 1] False\n", "")
