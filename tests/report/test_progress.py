"""What a running search and a running bench show on stderr."""

import asyncio
import io
from collections import Counter
from collections.abc import Sequence

import pytest
from rich.console import Console, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from ttc_client.bench.bench import Standing
from ttc_client.errors import TransientServerError
from ttc_client.middleware.meter import Meter
from ttc_client.report.bench_line import BenchView
from ttc_client.report.progress import SearchView, View, show
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.types import Finish, Prompt, Step, Trajectory, Usage

ROOT = Trajectory(Prompt(()))


@pytest.fixture(autouse=True)
def _often(monkeypatch):
    monkeypatch.setattr("ttc_client.report.progress._LINE_EVERY_S", 0.01)
    monkeypatch.setattr("ttc_client.report.progress._REFRESH_S", 0.01)


@pytest.fixture(autouse=True)
def _after_96_s(monkeypatch):
    monkeypatch.setattr(Standing, "elapsed_s", 96.0)


async def _keys(answers: Sequence[str]) -> Sequence[str]:
    return [answer.replace("0.5", "1/2") for answer in answers]


def _view(n: int = 8, meter: Meter | None = None) -> SearchView:
    ballot = Ballot(lambda text: text.partition("so ")[2], _keys)
    return SearchView(SearchParams(n=n), meter or Meter(), ballot)


def _step(text: str, score: float | None, finish: Finish = "stop", times: int = 1) -> Trajectory:
    steps = (Step(text, finish, 5, multiplicity=times),)
    scores = () if score is None else (score,)
    return Trajectory(ROOT.prompt, steps, scores, path=(0,), value=score or 0.0)


async def _plain(view: View) -> list[str]:
    return [line.plain for line in await view.lines() if isinstance(line, Text)]


# --- A search ----------------------------------------------------------------------------------


async def test_the_first_scored_step_shows_how_deep_and_how_good_it_is():
    view = _view()
    (before,) = await _plain(view)
    assert before.startswith("depth 0 · 0 of 8 candidates · ")
    view.sampled(ROOT, 1, [_step("First.\n\n", 0.7)])
    (after,) = await _plain(view)
    assert after.startswith("depth 1 · best reward 0.70 · 0 of 8 candidates · ")
    view.sampled(ROOT, 1, [_step("Second.\n\n", 0.4)])
    assert "best reward 0.70" in (await _plain(view))[0]


async def test_without_a_verifier_there_is_no_reward():
    view = _view(1)
    view.sampled(ROOT, 1, [_step("so 7", None, "eos")])
    first, leading = await _plain(view)
    assert first.startswith("depth 1 · 1 of 1 candidate · ")
    assert leading == "  leading: 7 100%"


async def test_the_three_answers_that_lead_are_shown_with_what_speaks_for_them():
    view = _view()
    answers = [("1/2", 0.5, 1), ("7", 0.2, 2), ("0.5", 0.3, 1), ("8", 0.1, 2), ("9", 0.1, 1)]
    done = [_step(f"so {answer}", score, "eos", times) for answer, score, times in answers]
    view.sampled(ROOT, 7, [*done, _step("nothing", 0.9, "eos")])
    first, leading = await _plain(view)
    assert "8 of 8 candidates" in first
    assert leading == "  leading: 1/2 53% · 7 27% · 8 13%"
    assert (await _plain(view))[1] == leading  # each completion counts once


async def test_retries_are_told_with_the_latest_reason():
    meter = Meter()
    meter.usage += Usage(completion_tokens=15)
    meter.retried(TransientServerError("503: the queue\x1b[2J is full", url="http://gpu1"))
    (first,) = await _plain(_view(meter=meter))
    assert " tokens/s · " in first
    assert "1 retry (503: the queue�[2J is full" in first


async def _shown(view: View, console: Console, until: str) -> str:
    async with show(view, console), asyncio.timeout(20):
        while until not in console.file.getvalue():
            await asyncio.sleep(0)
    return console.file.getvalue()


async def test_a_log_gets_plain_lines():
    view = _view()
    view.sampled(ROOT, 1, [_step("so 7\x1b[31m", 0.7, "eos")])
    shown = await _shown(view, Console(file=io.StringIO(), width=40), "depth")
    line = shown.splitlines()[0]
    assert line.startswith("depth 1 · best reward 0.70 · 1 of 8 candidates · ")
    assert line.endswith(" s")
    assert "\x1b" not in shown


async def test_a_terminal_gets_lines_that_are_gone_in_the_end():
    view = _view()
    view.sampled(ROOT, 1, [_step("so 7\x1b[31m\u202e(", 0.7, "eos")])
    console = Console(file=io.StringIO(), force_terminal=True, width=200)
    shown = await _shown(view, console, "leading: ")
    assert "\x1b[2K" in shown[shown.rindex("leading") :]
    assert "7�[31m�(" in shown
    assert "\u202e" not in shown


async def test_a_quiet_console_gets_nothing():
    console = Console(file=io.StringIO(), quiet=True)
    async with show(_view(), console):
        await asyncio.sleep(0.05)
    assert console.file.getvalue() == ""


# --- A bench -----------------------------------------------------------------------------------


def _standing() -> Standing:
    standing = Standing(Counter({("greedy", 1): 2, ("dvts", 16): 4}), left=66)
    standing.ended = Usage(completion_tokens=4_800)
    return standing


def _finish(standing: Standing, strategy: str, n: int, *grades: float) -> None:
    for grade in grades:
        standing.count(SearchParams(strategy=strategy, n=n), grade)
        standing.sitting += n


def _texts(lines: Sequence[RenderableType]) -> list[str]:
    return [line.plain for line in lines if isinstance(line, Text)]


async def test_a_bar_and_the_rate_say_how_far_a_bench_is():
    standing = _standing()
    view = BenchView(standing)
    said, bar = await view.lines()
    assert isinstance(bar, ProgressBar)
    assert (bar.total, bar.completed) == (6, 0)
    assert _texts([said]) == ["0 of 6 searches · 50 tokens/s"]
    _finish(standing, "dvts", 16, 1.0)
    said, bar = await view.lines()
    assert isinstance(bar, ProgressBar)
    assert (bar.total, bar.completed) == (6, 1)
    assert _texts([said]) == ["1 of 6 searches · 50 tokens/s · 0:05:00 left"]


async def test_what_failed_and_was_sent_again_is_told_without_what_terminals_act_on():
    standing = _standing()
    standing.num_failed, standing.latest_error = 1, "no answer\x1b[2J"
    standing.ended += Usage(retries={"503": 2})
    (said,) = await _plain(BenchView(standing))
    assert said.endswith("1 failed (no answer�[2J) · 2 retries (503 ×2)")


def test_a_row_is_told_once_as_soon_as_it_is_done():
    standing = _standing()
    view = BenchView(standing)
    assert view.news() == []
    _finish(standing, "dvts", 16, 1.0, 0.0, 1.0)
    assert view.news() == []
    _finish(standing, "dvts", 16, 1.0)
    assert _texts(view.news()) == ["dvts at N=16: 75.0% of 4 searches right, after 96 s"]
    assert view.news() == []
    _finish(standing, "greedy", 1, 0.5, 0.0)
    assert _texts(view.news()) == ["greedy at N=1: 25.0% of 2 searches right, after 96 s"]


async def test_rows_stay_and_the_last_one_is_told_however_soon_the_bench_ends():
    standing = _standing()
    console = Console(file=io.StringIO(), width=40)
    async with show(BenchView(standing), console):
        _finish(standing, "greedy", 1, 1.0, 1.0)
    told = "greedy at N=1: 100.0% of 2 searches right, after 96 s\n"
    assert console.file.getvalue() == told
    standing = _standing()
    _finish(standing, "greedy", 1, 1.0, 1.0)
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    shown = await _shown(BenchView(standing), console, "of 6 searches")
    assert shown.count(told.strip()) == 1
    assert "2 of 6 searches" in shown
