"""What goes around every request: its id, the log, errors, other sites' pages, and keys.

Each part awaits the next one itself, in the order of `around`: so a caller who goes away cancels
the handler through all of them.
"""

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec
from aiohttp import web

from ttc_client.gateway.connections import Connections
from ttc_client.gateway.keys import Key, find_key
from ttc_client.gateway.metrics import Metrics
from ttc_client.gateway.refusals import RefusedError, refusal_of
from ttc_client.gateway.searches import LOG

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

KEY = web.RequestKey("key", Key)
NOTES = web.RequestKey("notes", dict[str, Any])
"""Where a request holds the caller's key, and what the log says of it."""

ACCESS = logging.getLogger("ttc_client.gateway.access")
_ID = re.compile(r"[\w.:/+-]{1,128}", re.ASCII)
_CORS_HEADERS = "Authorization, Content-Type, X-TTC-Deadline-S, X-Request-Id"
_SHORTENED = 200
_GONE = 499


class Doors(Protocol):
    """What decides who may come in; it may change while the gateway runs."""

    keys: Sequence[Key]
    origins: Sequence[str]
    max_body_bytes: int
    connections: Connections


def around(doors: Doors, metrics: Metrics, is_demo: bool) -> list[Any]:
    """Return the parts, the outermost first."""
    return [
        _logged(doors, metrics, is_demo),
        _mapped,
        _shared(doors),
        _authorized(doors),
        _sized(doors),
    ]


def _logged(doors: Doors, metrics: Metrics, is_demo: bool) -> Any:
    """Give each request an id, and a line of JSON in the log when it ends."""

    @web.middleware
    async def logged(request: web.Request, handler: Handler) -> web.StreamResponse:
        given, began_s, status = request.headers.get("X-Request-Id", ""), time.monotonic(), _GONE
        number = given if _ID.fullmatch(given) else uuid.uuid4().hex
        request[NOTES] = {"headers": {"X-Request-Id": number}}
        if is_demo:
            request[NOTES]["headers"]["X-TTC-Demo"] = "tiny demo models answer, often wrong"
        try:
            with doors.connections.during(request.protocol):
                response = await handler(request)
            status = response.status
        finally:
            metrics.count("ttc_requests_total", path=_route(request), status=str(status))
            if ACCESS.isEnabledFor(logging.INFO):
                ACCESS.info(_line(request, number, status, time.monotonic() - began_s))
        return response

    return logged


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Put a request's headers on its response, streams included, before it is sent."""
    response.headers.update(request.get(NOTES, {}).get("headers", {}))
    response.headers.setdefault("X-Content-Type-Options", "nosniff")


@web.middleware
async def _mapped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every failure in OpenAI's shape; a caller who is gone gets none."""
    try:
        return await handler(request)
    except ConnectionError:
        raise
    except web.HTTPRequestEntityTooLarge:
        refusal = RefusedError("the body is too large", status=413)
    except web.HTTPException as error:
        refusal = RefusedError(f"{request.path[:_SHORTENED]}: {error.reason}", status=error.status)
    except Exception as error:
        refusal = refusal_of(error)
        if refusal.status >= 500:
            trace = error if refusal.status == 500 else None
            LOG.warning("%s: %s", type(error).__name__, error, exc_info=trace)
    headers: dict[str, str] = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(round(refusal.retry_after_s))
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    body = msgspec.json.encode(refusal.body)
    return web.Response(
        body=body, status=refusal.status, headers=headers, content_type="application/json"
    )


def _shared(doors: Doors) -> Any:
    """Let pages of the named origins ask; a preflight needs no key."""

    @web.middleware
    async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin", "")
        if not origin or not {origin, "*"} & set(doors.origins):
            return await handler(request)
        request[NOTES]["headers"] |= {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "X-Request-Id, Retry-After",
            "Vary": "Origin",
        }
        if request.method != "OPTIONS":
            return await handler(request)
        allowed = {
            "Access-Control-Allow-Methods": "GET, POST",
            "Access-Control-Allow-Headers": _CORS_HEADERS,
            "Access-Control-Max-Age": "600",
        }
        return web.Response(status=204, headers=allowed)

    return shared


def _authorized(doors: Doors) -> Any:
    """Ask for a key where there are keys; the page and /health hold nothing to protect."""

    @web.middleware
    async def authorized(request: web.Request, handler: Handler) -> web.StreamResponse:
        if doors.keys:
            key = find_key(doors.keys, request.headers.get("Authorization", ""))
            if key is not None:
                request[KEY] = key
                request[NOTES]["key"] = key.name
            elif request.path not in ("/", "/health"):
                raise RefusedError(
                    "the key is missing or wrong: send it as Authorization: Bearer KEY",
                    status=401,
                    code="invalid_api_key",
                )
        return await handler(request)

    return authorized


def _sized(doors: Doors) -> Any:
    """Refuse a body that says it is too large before any of it is read."""

    @web.middleware
    async def sized(request: web.Request, handler: Handler) -> web.StreamResponse:
        most = doors.max_body_bytes
        if (request.content_length or 0) > most:
            raise RefusedError(f"the body has more than {most >> 20} MB", status=413)
        return await handler(request)

    return sized


def _route(request: web.Request) -> str:
    """Return the path as the routes name it, so that callers cannot make up labels."""
    resource = request.match_info.route.resource
    return resource.canonical if resource else "other"


def _line(request: web.Request, number: str, status: int, wall_s: float) -> str:
    """Return a line of the log: no header, no query, and no word of what was asked."""
    notes = request[NOTES]
    line: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "id": number,
        "method": request.method[:16],
        "path": _route(request),
        "status": status,
        "seconds": round(wall_s, 4),
        **{name: notes[name] for name in ("key", "stream", "tokens") if name in notes},
    }
    if isinstance(model := notes.get("model"), str) and status not in (404, _GONE):
        line["model"] = model[:_SHORTENED]
    if isinstance(user := notes.get("user"), str):
        line["user"] = blake2b(user.encode(errors="replace"), digest_size=6).hexdigest()
    return json.dumps(line)


def log_to_stderr(*, access: bool) -> None:
    """Write the gateway's warnings, and its access log, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    LOG.addHandler(handler)
    LOG.propagate = False
    ACCESS.setLevel(logging.INFO if access else logging.WARNING)
