"""The scoring server's HTTP side: `POST /score` and what people watch a server by.

Knows nothing of models; what a request means is the engine's business.
"""

import asyncio
import hmac
import logging
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from time import perf_counter

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ttc_client.clients import wire
from ttc_servers.prm.engine import CallTooLargeError, Engine, QueueFullError, ReplicaError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 8 << 20
BODY_TIMEOUT_S = 60.0
"""How long a body may take to arrive."""

CLIENT_LEFT = 499
"""The status that a request is counted under whose client did not wait for the answer."""


class Info(msgspec.Struct, frozen=True):
    """What `GET /info` answers: what is served, and how long a solution may be, in tokens."""

    model: str
    family: str
    max_tokens: int
    version: int = wire.VERSION


class _RefusalError(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(value), status, headers, "application/json")


class _Handlers:
    """The handlers, with what they share: the engine, the API key and the request counts."""

    def __init__(self, engine: Engine, info: Info, api_key: str) -> None:
        self._engine = engine
        self._info = info
        self._api_key = api_key
        self._answers: Counter[int] = Counter()
        self._seconds = 0.0

    async def health(self, request: Request) -> Response:
        """Answer 200, or 503 after a batch that failed."""
        healthy = self._engine.healthy
        return _json({"status": "ok" if healthy else "failing"}, 200 if healthy else 503)

    async def openapi(self, request: Request) -> Response:
        """Answer with the protocol."""
        return _json(wire.openapi())

    async def info(self, request: Request) -> Response:
        """Answer with what is served."""
        try:
            self._check_key(request)
        except _RefusalError as error:
            return _refuse(error.status, error)
        return _json(self._info)

    async def metrics(self, request: Request) -> Response:
        """Answer in Prometheus' text format."""
        counts = self._engine.counts
        lines = [
            "# TYPE ttc_prm_requests_total counter",
            *(
                f'ttc_prm_requests_total{{code="{code}"}} {count}'
                for code, count in sorted(self._answers.items())
            ),
            "# TYPE ttc_prm_request_seconds summary",
            f"ttc_prm_request_seconds_sum {self._seconds}",
            f"ttc_prm_request_seconds_count {self._answers.total()}",
            "# TYPE ttc_prm_open_sequences gauge",
            f"ttc_prm_open_sequences {self._engine.num_open}",
        ]
        for name, value in (
            ("sequences", counts.sequences),
            ("batches", counts.batches),
            ("prompt_tokens", counts.prompt_tokens),
            ("cached_tokens", counts.cached_tokens),
            ("busy_seconds", counts.busy_s),
        ):
            lines += [f"# TYPE ttc_prm_{name}_total counter", f"ttc_prm_{name}_total {value}"]
        return Response("\n".join(lines) + "\n", media_type="text/plain; version=0.0.4")

    async def score(self, request: Request) -> Response:
        """Answer `POST /score`."""
        started = perf_counter()
        response = await self._score(request)
        self._answers[response.status_code] += 1
        self._seconds += perf_counter() - started
        return response

    async def _score(self, request: Request) -> Response:
        try:
            self._check_key(request)
            async with asyncio.timeout(BODY_TIMEOUT_S):
                call = await _read_call(request)
            return _json(await _while_connected(request, self._engine.score(call)))
        except _RefusalError as error:
            return _refuse(error.status, error)
        except TimeoutError:
            message = f"the body did not arrive within {BODY_TIMEOUT_S:g} s"
            return _refuse(408, _RefusalError(408, message), {"Connection": "close"})
        except CallTooLargeError as error:
            return _refuse(413, error)
        except ValueError as error:
            return _refuse(400, error)
        except QueueFullError as error:
            return _refuse(503, error, {"Retry-After": str(error.retry_after_s)})
        except ReplicaError as error:
            log.exception("A batch failed")
            return _refuse(500, error)
        except ClientDisconnect:
            return Response(status_code=CLIENT_LEFT)

    def _check_key(self, request: Request) -> None:
        given = request.headers.get("authorization", "").encode()
        if self._api_key and not hmac.compare_digest(given, f"Bearer {self._api_key}".encode()):
            raise _RefusalError(401, "a wrong API key, or none: send Authorization: Bearer KEY")


def _refuse(status: int, error: Exception, headers: dict[str, str] | None = None) -> Response:
    return _json(wire.ErrorReply(wire.ErrorDetail(str(error))), status, headers)


async def _read_call(request: Request) -> wire.ScoreCall:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise _RefusalError(413, f"the body has over {MAX_BODY_BYTES} bytes: send fewer items")
    try:
        call = msgspec.json.decode(body, type=wire.ScoreCall)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _RefusalError(400, f"the body is not a score request: {error}") from error
    if call.version != wire.VERSION:
        raise _RefusalError(400, f"this server speaks version {wire.VERSION}, not {call.version}")
    return call


async def _while_connected(
    request: Request, work: Coroutine[None, None, wire.ScoreReply]
) -> wire.ScoreReply:
    """Return what `work` does; give it up as soon as the client is gone."""

    async def client_left() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.create_task(work)
    watcher = asyncio.create_task(client_left())
    watcher.add_done_callback(lambda _: task.cancel())
    try:
        return await task
    except asyncio.CancelledError:
        if watcher.done():
            raise ClientDisconnect from None
        raise
    finally:
        watcher.cancel()


def create_app(engine: Engine, info: Info, api_key: str = "") -> Starlette:
    """Return the ASGI application; the engine runs for as long as its lifespan."""
    handlers = _Handlers(engine, info, api_key)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with engine.running():
            yield

    routes = [
        Route("/score", handlers.score, methods=["POST"]),
        Route("/info", handlers.info),
        Route("/health", handlers.health),
        Route("/metrics", handlers.metrics),
        Route("/openapi.json", handlers.openapi),
    ]
    return Starlette(routes=routes, lifespan=lifespan)
