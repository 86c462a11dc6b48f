"""The page at `/`, and what it asks: searches that are seen to grow, and finished ones."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
from aiohttp import web

from ttc_client.gateway.asked import Asked
from ttc_client.gateway.chats import logged
from ttc_client.gateway.kept import KeptSearches
from ttc_client.gateway.live import Live
from ttc_client.gateway.replies import extension, new_id
from ttc_client.gateway.searches import Caller, Searches
from ttc_client.gateway.streams import EventStream
from ttc_client.middleware.meter import Meter
from ttc_client.report.document import document
from ttc_client.report.solved import shown_result
from ttc_client.together import stopped

_NEWS_S = 0.12
EXAMPLES = (
    "Let $f(x) = 6x + 17$. Find $f(4)$.",
    "Solve $3x + 5 = 20$ for $x$.",
    "Compute $17 + 25$.",
)
_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
"""The rest of the policy stands in the page, beside the digest of its only script."""


@cache
def page() -> str:
    """Return the page: HTML, style and script in one text, which loads nothing."""
    here = files("ttc_client.gateway")
    body = here.joinpath("page.html").read_text(encoding="utf-8")
    script = here.joinpath("page.js").read_text(encoding="utf-8")
    return document("ttc", body, "examples", EXAMPLES, ("tree.js", script), live=True)


@dataclass(frozen=True, slots=True)
class Pages:
    """What the page asks of the searches of the process."""

    searches: Searches
    kept: KeptSearches

    def routes(self) -> list[web.RouteDef]:
        """Return the routes, without that of new searches."""
        return [
            web.get("/", self._page),
            web.get("/ttc/searches/{id}", self._shown),
            web.get("/ttc/searches/{id}/result.json", self._exported),
        ]

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(text=page(), headers=_HEADERS)

    async def _shown(self, request: web.Request) -> web.Response:
        result = await self.kept.find(request.match_info["id"])
        shown = await asyncio.to_thread(shown_result, result)
        told = {
            **msgspec.to_builtins(shown),
            "heading": f"{result.strategy} at N={result.n}",
            "tokens": result.usage.completion_tokens,
            "seconds": round(result.wall_s, 1),
            "note": result.note,
            "demo": result.demo,
        }
        return _json(told)

    async def _exported(self, request: web.Request) -> web.Response:
        """Return what `ttc solve --json` prints."""
        result = await self.kept.find(request.match_info["id"])
        return _json(result)

    async def watched(
        self, request: web.Request, asked: Asked, caller: Caller
    ) -> web.StreamResponse:
        """Search, and tell in events how the tree grows, who leads, and what came out."""
        meter = Meter()
        client = self.searches.client.judging(asked.task)
        ballot = client.ballot(asked.problem, asked.params)
        live = Live(meter, ballot)
        stream = EventStream(request)
        async with AsyncExitStack() as stack:
            task = asyncio.create_task(self.searches.run(asked, caller, meter, live, ballot))
            stack.push_async_callback(stopped, (task,))
            await asyncio.wait((task,), timeout=_NEWS_S)
            if task.done():
                task.result()
            while not task.done():
                await stream.send(await live.news(), "news")
                await asyncio.wait((task,), timeout=_NEWS_S)
            try:
                answered = task.result()
                await stream.send(await live.news(), "news")
                number = new_id("")
                await self.kept.keep(number, answered.result)
                told: dict[str, Any] = {"id": number, **extension(answered)}
                await stream.send(told, "result")
            except ConnectionError:
                raise
            except Exception as error:
                await stream.send(logged(error).body, "error")
        await stream.end(b"")
        return stream.response


def _json(body: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), content_type="application/json")
