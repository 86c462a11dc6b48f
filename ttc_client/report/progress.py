"""Show a running search: a live line on a terminal, a line now and then elsewhere."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from ttc_client.answers import extract_answer
from ttc_client.middleware.meter import Meter
from ttc_client.report.terminal import clean
from ttc_client.runtime.client import Client

_REFRESH_S = 0.125
_LINE_EVERY_S = 5.0


@asynccontextmanager
async def show_progress(client: Client, meter: Meter, console: Console) -> AsyncGenerator[None]:
    """Show the meter's counts until the block ends."""
    async with show(_View(client, meter), console):
        yield


class View(Protocol):
    """Something that goes on, and can be said on one line."""

    async def line(self) -> Text: ...


@asynccontextmanager
async def show(view: View, console: Console) -> AsyncGenerator[None]:
    """Show a view until the block ends."""
    if console.quiet:
        yield
        return
    task = asyncio.create_task(
        _live(view, console) if console.is_terminal else _lines(view, console)
    )
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _live(view: View, console: Console) -> None:
    with Live(console=console, transient=True, auto_refresh=False) as live:
        spinner = Spinner("dots")
        while True:
            spinner.update(text=await view.line())
            live.update(spinner, refresh=True)
            await asyncio.sleep(_REFRESH_S)


async def _lines(view: View, console: Console) -> None:
    while True:
        await asyncio.sleep(_LINE_EVERY_S)
        console.print(await view.line(), soft_wrap=True)


@dataclass(slots=True)
class _View:
    """The meter in words; each finished candidate's answer is looked at once."""

    client: Client
    meter: Meter
    _num_seen: int = 0
    _votes: Counter[str] = field(default_factory=Counter[str])
    _texts: dict[str, str] = field(default_factory=dict[str, str])

    async def line(self) -> Text:
        """Return the present state on one line."""
        await self._count_answers()
        meter, usage = self.meter, self.meter.usage
        parts = [
            f"{len(meter.completions)} candidates",
            f"{meter.num_steps} steps",
            f"{usage.completion_tokens / max(meter.elapsed_s, 1e-9):,.0f} tokens/s",
            f"{meter.in_flight} in flight",
            f"{meter.elapsed_s:.0f} s",
        ]
        if self._votes:
            key, votes = self._votes.most_common(1)[0]
            share = votes / self._votes.total()
            parts.append(f"leading: {clean(self._texts[key])[:40]} ({share:.0%})")
        if usage.retries:
            parts.append(f"{sum(usage.retries.values())} retries ({clean(meter.last_retry)[:80]})")
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")

    async def _count_answers(self) -> None:
        new = self.meter.completions[self._num_seen :]
        self._num_seen += len(new)
        answers = [answer for answer in map(extract_answer, new) if answer]
        for key, answer in zip(await self.client.canonical_keys(answers), answers, strict=True):
            self._votes[key] += 1
            self._texts.setdefault(key, answer)
