"""Show what is running: live on a terminal, a line now and then elsewhere."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ttc_client.middleware.meter import Meter
from ttc_client.report.terminal import clean, counted, score_style
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.thinking import response
from ttc_client.search.watch import Watch
from ttc_client.types import Trajectory

_REFRESH_S = 0.125
_LINE_EVERY_S = 5.0
_LEADERS = 3
_ANSWER_WIDTH = 20


class View(Protocol):
    """Something that goes on: in lines for a terminal, of which the first is enough elsewhere."""

    async def lines(self) -> Sequence[RenderableType]: ...

    def news(self) -> Sequence[RenderableType]:
        """Return what has come to an end since the last call, to stay on the screen."""
        ...


@asynccontextmanager
async def show(view: View, console: Console) -> AsyncGenerator[None]:
    """Show a view until the block ends."""
    if console.quiet:
        yield
        return
    task = asyncio.create_task(
        _live(view, console) if console.is_terminal else _plain(view, console)
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        for line in view.news():
            console.print(line, soft_wrap=True)


async def _live(view: View, console: Console) -> None:
    with Live(console=console, transient=True, auto_refresh=False) as live:
        spinner = Spinner("dots")
        while True:
            for line in view.news():
                live.console.print(line)
            first, *more = await view.lines()
            spinner.update(text=first)
            live.update(Group(spinner, *more), refresh=True)
            await asyncio.sleep(_REFRESH_S)


async def _plain(view: View, console: Console) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        for line in (*view.news(), (await view.lines())[0]):
            console.print(line, soft_wrap=True)


class SearchView(Watch):
    """One search: how deep it is, how good its best step, and which answers lead.

    Each finished completion's answer is read once.
    """

    def __init__(self, params: SearchParams, meter: Meter, ballot: Ballot) -> None:
        self._params, self._meter, self._ballot = params, meter, ballot
        self._depth = self._num_finished = 0
        self._best: float | None = None
        self._new: list[Trajectory] = []
        self._support: dict[str, float] = {}
        self._texts: dict[str, str] = {}

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """Take note of new steps."""
        for child in children:
            self._depth = max(self._depth, len(child.path))
            if child.scores:
                self._best = max(self._best or 0.0, child.value)
            if child.finished:
                self._num_finished += child.multiplicity
                self._new.append(child)

    def news(self) -> Sequence[RenderableType]:
        """Nothing of a search comes to an end before the search does."""
        return ()

    async def lines(self) -> Sequence[RenderableType]:
        """Return the present state: what was sampled, and which answers lead."""
        await self._read_answers()
        usage, meter = self._meter.usage, self._meter
        rate = usage.completion_tokens / max(meter.elapsed_s, 1e-9)
        parts = [
            Text(f"depth {self._depth}"),
            Text(f"best reward {self._best:.2f}", style=score_style(self._best))
            if self._best is not None
            else Text(""),
            Text(f"{self._num_finished} of {counted(self._params.n, 'candidate')}"),
            Text(f"{rate:,.0f} tokens/s"),
            Text(f"{meter.elapsed_s:.0f} s"),
        ]
        if usage.retries:
            retried = counted(sum(usage.retries.values()), "retry", "retries")
            parts.append(Text(f"{retried} ({clean(meter.last_retry)})"))
        first = Text(" · ").join(part for part in parts if part)
        first.no_wrap, first.overflow = True, "ellipsis"
        leaders = self._leaders()
        return (first, leaders) if leaders else (first,)

    def _leaders(self) -> Text:
        total = sum(self._support.values())
        ranked = sorted(self._support.items(), key=lambda item: -item[1])[:_LEADERS]
        if not total:
            return Text("")
        named = [
            f"{clean(self._texts[key])[:_ANSWER_WIDTH]} {support / total:.0%}"
            for key, support in ranked
        ]
        return Text("  leading: " + " · ".join(named), style="bold", no_wrap=True)

    async def _read_answers(self) -> None:
        """Count what speaks for each answer: rewards where there are some, else votes."""
        new, self._new = self._new, []
        read = [(t, answer) for t in new if (answer := self._ballot.extract(response(t)))]
        keys = await self._ballot.keys([answer for _, answer in read])
        for (trajectory, answer), key in zip(read, keys, strict=True):
            weight = trajectory.value if trajectory.scores else 1.0
            self._support[key] = self._support.get(key, 0.0) + trajectory.multiplicity * weight
            self._texts.setdefault(key, answer)
