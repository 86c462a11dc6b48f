"""The `openai` SDK over our own connections, without retries of its own, with our errors."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager

import httpx2
import msgspec
import openai

from ttc_client.clients.http import Said, Server
from ttc_client.clients.replies import Unexpected, status_of

_SET_BY_SERVER = {  # or by its connection
    *("accept", "accept-encoding", "authorization", "connection", "content-length"),
    *("content-type", "host", "user-agent"),
}

_STREAMED = b'"stream":true'
_IS_FIRST = "is_first"


def open_sdk(server: Server) -> openai.AsyncOpenAI:
    """Return the SDK's client for a server; it holds no connections, and needs no closing."""
    return openai.AsyncOpenAI(
        base_url=f"http://server{server.api}",  # the transport knows the address
        api_key="unused",
        timeout=server.timeout_s,
        max_retries=0,
        http_client=httpx2.AsyncClient(
            transport=_Transport(server), follow_redirects=False, trust_env=False
        ),
    )


class _Transport(httpx2.AsyncBaseTransport):
    """Send requests through a `Server`, which raises every failure as one of our errors.

    So an answer is always 200, and its headers are of no more use.
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.raw_path.decode()
        headers = {k: v for k, v in request.headers.items() if k not in _SET_BY_SERVER}
        body = await request.aread()
        if _STREAMED in body:
            return httpx2.Response(200, stream=_Body(self._server.stream(path, body, headers)))
        said, is_first = await self._server.exchange("POST", path, body, headers)
        return httpx2.Response(200, content=said, extensions={_IS_FIRST: is_first})


def said_in(response: httpx2.Response) -> Said:
    """Return what `Server.answer` reads of a response that is no stream."""
    return response.content, response.extensions[_IS_FIRST]


class _Body(httpx2.AsyncByteStream):
    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncGenerator[bytes]:
        return self._pieces

    async def aclose(self) -> None:
        await self._pieces.aclose()


@contextmanager
def our_errors(server: Server, path: str) -> Generator[None]:
    """Raise the SDK's errors as ours: a request that it cannot encode, an event it cannot read.

    All others are raised by the transport, and so are ours already.
    """
    failures = server.failures
    try:
        yield
    except UnicodeEncodeError as error:
        raise failures.not_text(path, error) from None  # the originals may hold a key
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        body = getattr(error, "doc", "")  # of an event that is not JSON
        raise failures.unexpected(path, str(error), body) from None
    except openai.APIError as error:
        status = status_of(error.code, error.type)
        said = error.message.encode(errors="replace")
        raise failures.refused(path, status, said, {}) from None
    except Unexpected as unexpected:
        raise failures.not_asked_for(path, unexpected) from unexpected
