"""The routes of the gateway: what is asked where, and which part answers it."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from ttc_client.errors import ConfigError, ServerError
from ttc_client.gateway import chats, plain
from ttc_client.gateway.around import KEY, NOTES, around
from ttc_client.gateway.asked import Asked, profile_of, read_chat
from ttc_client.gateway.bodies import Fields, decoded
from ttc_client.gateway.connections import Connections
from ttc_client.gateway.kept import KeptSearches
from ttc_client.gateway.keys import Key
from ttc_client.gateway.pages import Pages
from ttc_client.gateway.refusals import RefusedError
from ttc_client.gateway.replies import ChatReply
from ttc_client.gateway.responses import ResponseReply, read_response
from ttc_client.gateway.searches import Caller, Searches
from ttc_client.gateway.streams import EventStream, KeepAlive

MAX_BODY_BYTES = 64 << 20
READ_S = 120.0
"""How long a body may take to come."""
CHAT_PATH, RESPONSES_PATH = "/chat/completions", "/responses"
"""Below the API's /v1, here and at the policy's server."""
_DEADLINE = "X-TTC-Deadline-S"


@dataclass(slots=True)
class Gateway:
    """The searches of the process, and who may ask for them in which way.

    `origins` are those of other sites' pages that browsers may ask from; `deadline_s` bounds
    every search, whatever its caller says.
    """

    searches: Searches
    keys: Sequence[Key] = ()
    origins: Sequence[str] = ()
    kept: KeptSearches = field(default_factory=KeptSearches)
    keep_alive: KeepAlive = "comment"
    deadline_s: float | None = None
    max_body_bytes: int = MAX_BODY_BYTES
    connections: Connections = field(default_factory=Connections)
    created: int = field(default_factory=lambda: int(time.time()))

    def application(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(
            client_max_size=self.max_body_bytes,
            middlewares=around(self, self.searches.metrics, self.searches.client.servers.is_demo),
        )
        pages = Pages(self.searches, self.kept)
        app.add_routes(
            [
                *pages.routes(),
                web.post("/ttc/searches", self._watched),
                web.get("/health", self._health),
                web.get("/metrics", self._metrics),
                web.get("/v1/models", self._models),
                web.get("/v1/models/{model:.+}", self._model),
                web.post(f"/v1{CHAT_PATH}", self._chat),
                web.post(f"/v1{RESPONSES_PATH}", self._response),
            ]
        )
        return app

    async def _health(self, _: web.Request) -> web.Response:
        """Say whether a search would find its servers."""
        try:
            await self.searches.health.check()
        except ServerError as error:
            return reply({"status": "unavailable", "cause": error.cause}, 503)
        return reply({"status": "ready"})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=self.searches.metrics.text(), content_type="text/plain")

    async def _models(self, _: web.Request) -> web.Response:
        base = self.searches.model
        names = [base, *(f"{base}:{name}" for name in self.searches.profiles)]
        return reply({"object": "list", "data": [self._card(name) for name in names]})

    async def _model(self, request: web.Request) -> web.Response:
        name = request.match_info["model"]
        profile_of(name, self.searches.model, self.searches.profiles)
        return reply(self._card(name))

    def _card(self, name: str) -> Fields:
        card: Fields = {"id": name, "object": "model", "created": self.created, "owned_by": "ttc"}
        profile = self.searches.profiles.get(name.removeprefix(f"{self.searches.model}:"))
        if name == self.searches.model or profile is None:
            return card
        params, task = profile.params, profile.task
        about = {"strategy": params.strategy, "n": params.n, "task": task.name if task else None}
        return {**card, "ttc": about}

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        fields = await read_body(request)
        profile = profile_of(fields.get("model"), self.searches.model, self.searches.profiles)
        note(request, fields)
        if profile is None:
            return await self._pass_on(
                request, CHAT_PATH, plain.plain_payload(fields, self.searches.model)
            )
        asked = read_chat(fields, profile)
        shape = ChatReply(asked.model, include_usage=asked.include_usage)
        return await self._search(request, asked, shape)

    async def _response(self, request: web.Request) -> web.StreamResponse:
        fields = await read_body(request)
        profile = profile_of(fields.get("model"), self.searches.model, self.searches.profiles)
        note(request, fields)
        if profile is None:
            return await self._pass_on(request, RESPONSES_PATH, fields)
        asked, repeated = read_response(fields, profile)
        return await self._search(request, asked, ResponseReply(asked.model, repeated))

    async def _search(
        self, request: web.Request, asked: Asked, shape: ChatReply | ResponseReply
    ) -> web.StreamResponse:
        """Answer with a search, whole or as a stream."""
        caller, searches = self._caller(request), self.searches
        await searches.check(asked)
        if not asked.stream:
            answered = await searches.run(asked, caller)
            request[NOTES]["tokens"] = answered.result.usage.completion_tokens
            return reply(shape.whole(answered))
        stream = EventStream(request)
        told = await chats.stream_search(searches, asked, caller, stream, shape, self.keep_alive)
        request[NOTES]["tokens"] = told.result.usage.completion_tokens if told else None
        return stream.response

    async def _watched(self, request: web.Request) -> web.StreamResponse:
        """Search for the page, which sees the tree grow."""
        fields = await read_body(request)
        profile = profile_of(fields.get("model"), self.searches.model, self.searches.profiles)
        if profile is None:
            raise RefusedError("the policy itself does not search: name a profile", param="model")
        note(request, fields)
        asked = read_chat(fields, profile)
        await self.searches.check(asked)
        pages = Pages(self.searches, self.kept)
        return await pages.watched(request, asked, self._caller(request))

    async def _pass_on(
        self, request: web.Request, path: str, payload: Fields
    ) -> web.StreamResponse:
        """Answer with what the policy's server answers."""
        searches, key = self.searches, request.get(KEY)
        searches.desk.check(key)
        outcome = "failed"
        try:
            if not payload.get("stream"):
                found = await plain.whole_reply(searches.client, path, payload)
                tokens = plain.tokens_of(found.get("usage"))
                request[NOTES]["tokens"] = tokens
                searches.desk.spend(key, tokens)
                outcome = "answered"
                return reply(found)
            stream = EventStream(request)
            outcome = await self._stream_on(request, path, payload, stream)
            return stream.response
        finally:
            searches.metrics.count("ttc_passed_on_total", outcome=outcome)

    async def _stream_on(
        self, request: web.Request, path: str, payload: Fields, stream: EventStream
    ) -> str:
        """Pass a stream on; return what became of it. Raises what fails before the first byte."""
        tokens = 0
        async with AsyncExitStack() as stack:
            events = plain.events(self.searches.client, path, payload)
            await stack.enter_async_context(aclosing(events))
            try:
                async for event, spent in events:
                    tokens = spent
                    await stream.write(event)
                outcome = "answered"
            except ConnectionError:
                raise
            except Exception as error:
                if not stream.begun:
                    raise
                await stream.send(chats.logged(error).body)
                outcome = "failed"
            finally:
                request[NOTES]["tokens"] = tokens
                self.searches.desk.spend(request.get(KEY), tokens)
        await stream.end(b"")
        return outcome

    def _caller(self, request: web.Request) -> Caller:
        """Return who asks, with the nearer of two deadlines; raises RefusedError."""
        given = request.headers.get(_DEADLINE)
        deadline_s = self.deadline_s
        if given is not None:
            try:
                wanted_s = float(given)
            except ValueError:
                wanted_s = 0.0
            if not 0 < wanted_s < 1e9:
                raise RefusedError(f"{_DEADLINE} must be a number of seconds", param=_DEADLINE)
            deadline_s = min(wanted_s, deadline_s or wanted_s)
        return Caller(request.get(KEY), deadline_s)


async def read_body(request: web.Request) -> Fields:
    """Return the fields of a body; raises RefusedError, 408 for one that does not come whole."""
    try:
        async with asyncio.timeout(READ_S):
            return decoded(await request.read())
    except web.RequestPayloadError as error:
        raise RefusedError(f"the body is not encoded as its headers say: {error}") from None
    except TimeoutError:
        raise RefusedError(f"the body has not come within {READ_S:g} s", status=408) from None


def note(request: web.Request, fields: Fields) -> None:
    """Keep for the log what is asked of which model, by the caller's own account of the user."""
    request[NOTES] |= {"model": fields.get("model"), "stream": fields.get("stream") is True}
    if user := fields.get("user"):
        request[NOTES]["user"] = user


def reply(body: Any, status: int = 200) -> web.Response:
    """Return a reply of JSON."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


def check_served(gateway: Gateway) -> None:
    """Raise ConfigError for a profile that cannot be run with these servers."""
    for profile in gateway.searches.profiles.values():
        try:
            gateway.searches.client.check(profile.params)
        except ConfigError as error:
            raise ConfigError(f"profile {profile.name}: {error}") from error
