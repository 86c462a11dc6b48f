"""What becomes of the worker processes: time-outs, deaths, cancellation, clean exits."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.answers.processes import open_descriptors, worker_pids
from ttc_client.answers import AnswerPool, group_answers
from ttc_client.answers.canonical import string_key
from ttc_client.errors import TTCError

ROOT = Path(__file__).parents[2]
HARD = [f"x+{i}" for i in range(1, 9)]


async def test_a_time_out_replaces_the_worker_and_is_not_remembered() -> None:
    async with AnswerPool(workers=1, time_limit_s=2.0) as pool:
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
        assert await pool.canonical_keys(["1+x"]) in (right, [string_key("1+x")])
        assert await pool.canonical_keys(["1+x"]) == right


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


async def test_a_worker_that_cannot_start_is_an_error_and_not_a_vote(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sympy.py").write_text("raise ImportError('broken sympy')")
    monkeypatch.syspath_prepend(tmp_path)
    async with AnswerPool(workers=1) as pool:
        assert await pool.equal("0.5", "1/2")
        with pytest.raises(TTCError, match="broken sympy"):
            await pool.canonical_keys(["x+1"])


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
    assert done.stdout == "[0, 0, 1] False\n"
    assert "Traceback" not in done.stderr  # asyncio itself may log a child it no longer knows


async def test_a_worker_killed_while_it_loads_is_asked_again() -> None:
    async with AnswerPool(workers=1) as pool:
        call = asyncio.create_task(pool.equal("x+1", "1+x"))
        for _ in range(2):
            (pid,) = worker_pids()
            os.kill(pid, signal.SIGKILL)
            while worker_pids() <= {pid}:
                await asyncio.sleep(0)
        assert await call


async def test_workers_that_never_load_cost_the_answers_that_need_them_and_no_search(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "sympy.py").write_text("import os; os.kill(os.getpid(), 9)")
    monkeypatch.syspath_prepend(tmp_path)
    async with AnswerPool(workers=1) as pool:
        keys = await pool.keys(["0.5", "x+1"])
        assert [key.text for key in keys] == ["1/2", string_key("x+1")]
        assert [key.timed_out for key in keys] == [False, True]


async def test_a_machine_without_room_for_a_process_costs_no_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("Cannot allocate memory")

    async with AnswerPool(workers=1) as pool:
        await pool.canonical_keys(["x+1"])
        monkeypatch.setattr(asyncio, "create_subprocess_exec", refuse)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGKILL)
        assert await pool.canonical_keys(["2+x", "1/2"]) == [string_key("2+x"), "1/2"]
