"""What a running search shows on stderr."""

import asyncio
import io

from rich.console import Console

from ttc_client.answers import AnswerPool
from ttc_client.errors import TransientServerError
from ttc_client.middleware.meter import Meter
from ttc_client.report.progress import show_progress
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.types import Step, Trajectory, Usage

REQUEST = SampleRequest(Trajectory("p", "prompt"), 3, 0.8, 1.0, 64, (), 1)
ANSWERS = (r"\frac{1}{2}", "0.5", "7\x1b[31m")


async def _policy(request: SampleRequest) -> Samples:
    steps = tuple(Step(rf"So $\boxed{{{answer}}}$.", "eos", 5) for answer in ANSWERS)
    return Samples(steps, (), Usage(completion_tokens=15, policy_requests=1))


async def _shown(console: Console, monkeypatch) -> str:
    monkeypatch.setattr("ttc_client.report.progress._LINE_EVERY_S", 0.01)
    monkeypatch.setattr("ttc_client.report.progress._REFRESH_S", 0.01)
    meter = Meter()
    async with AnswerPool() as answers:
        await meter.policy(_policy)(REQUEST)
        meter.retried(TransientServerError("503: the queue is full", url="http://gpu1"))
        async with show_progress(answers, meter, console), asyncio.timeout(20):
            while "leading" not in console.file.getvalue():
                await asyncio.sleep(0)
    return console.file.getvalue()


async def test_a_log_gets_plain_lines_with_what_counts(monkeypatch):
    shown = await _shown(Console(file=io.StringIO(), width=200), monkeypatch)
    line = shown.splitlines()[0]
    for words in (
        "3 candidates",
        "3 steps",
        "tokens/s",
        "0 in flight",
        "1 retries (503: the queue",
    ):
        assert words in line
    assert r"leading: \frac{1}{2} (67%)" in line
    assert "\x1b" not in shown


async def test_a_terminal_gets_one_line_that_is_gone_in_the_end(monkeypatch):
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    shown = await _shown(console, monkeypatch)
    assert "leading: " in shown
    assert "\x1b[2K" in shown[shown.rindex("leading") :]
    assert "[31m(" not in shown


async def test_a_quiet_console_gets_nothing():
    console = Console(file=io.StringIO(), quiet=True)
    async with AnswerPool() as answers, show_progress(answers, Meter(), console):
        await asyncio.sleep(0)
    assert console.file.getvalue() == ""
