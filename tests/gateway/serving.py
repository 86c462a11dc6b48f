"""A gateway in the test's own process, over scripted models or over servers."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Any

import aiohttp
from msgspec.json import decode, encode

from ttc_client import Servers
from ttc_client.gateway.app import Gateway
from ttc_client.gateway.server import Serving, gateway_for, listening
from ttc_client.settings.config import load_settings

PROFILES = (
    "fast=best-of-n:4,task=math",
    "hard=dvts:8,task=math",
    "vote=majority:8",
    "best=best-of-n:4",
)


@dataclass
class Answer:
    """What came back; `events` are those of a stream, by name and data."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return decode(self.body)

    @property
    def events(self) -> list[tuple[str, str]]:
        return events(self.body.decode())

    @property
    def error(self) -> dict[str, Any]:
        """The error, once it is known to be in OpenAI's shape."""
        (error,) = self.json.values()
        assert error.keys() == {"message", "type", "param", "code"}
        return error


def events(text: str) -> list[tuple[str, str]]:
    """Read a stream of events strictly: an empty line ends each."""
    found = []
    for block in text.split("\n\n"):
        name, data = "", []
        for line in block.split("\n"):
            kind, _, rest = line.partition(":")
            assert kind in ("", "event", "data"), line
            name = rest.strip() if kind == "event" else name
            data += [rest.strip()] if kind == "data" else []
        if data:
            found.append((name, "\n".join(data)))
    return found


@dataclass
class Caller:
    """Ask the gateway at a URL; `gateway` is its inside."""

    url: str
    gateway: Gateway
    session: aiohttp.ClientSession = field(repr=False)
    model: str = ""

    async def post(self, path: str, body: Any, headers: Any = None) -> Answer:
        body = encode(body) if isinstance(body, dict) else body
        raw = BytesIO(body) if isinstance(body, bytes) else body
        async with self.session.post(self.url + path, data=raw, headers=headers) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, headers: Any = None) -> Answer:
        async with self.session.get(self.url + path, headers=headers) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def chat(self, profile: str = "vote", text: Any = "How many?", **fields: Any) -> Answer:
        """Ask a question of a profile, "" for the policy itself."""
        headers = fields.pop("headers", None)
        return await self.post("/v1/chat/completions", self.body(profile, text, **fields), headers)

    def body(self, profile: str = "vote", text: Any = "How many?", **fields: Any) -> dict[str, Any]:
        model = f"{self.model}:{profile}" if profile else self.model
        messages = [{"role": "user", "content": text}] if isinstance(text, str) else text
        return {"model": model, "messages": messages, **fields}


@asynccontextmanager
async def serving(
    policy: Any,
    prm: Any = (),
    profiles: Sequence[str] = PROFILES,
    prm_api: str = "auto",
    **options: Any,
) -> AsyncGenerator[Caller]:
    """Serve with models that are functions or URLs."""
    servers = Servers(policy=policy, prm=prm, prm_api=prm_api, check=False)
    settings = replace(load_settings({}, {}), servers=servers)
    profiles = [p for p in profiles if prm or "majority" in p or "greedy" in p]
    serve = Serving(port=0, profiles=tuple(profiles), grace_s=1.0, **options)
    async with (
        gateway_for(serve, settings) as gateway,
        listening(gateway, serve) as url,
        aiohttp.ClientSession(raise_for_status=False) as session,
    ):
        yield Caller(url, gateway, session, gateway.searches.model)
