"""The `openai` SDK as we use it: opened without retries of its own, its errors told as ours."""

import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any

import aiohttp
import httpx2
import msgspec
import openai

from ttc_client.clients.connection import MAX_BODY_BYTES, BrokenOffError, TooLongError
from ttc_client.clients.http import FIRST_BYTE_SHARE, Server
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.routes import NoProxyError
from ttc_client.clients.session import (
    CONNECT_TIMEOUT_S,
    KEEP_ALIVE_S,
    ConnectTimeoutError,
    ProxyRefusedError,
    UnreachableError,
    tls_context,
)

_ERROR_STATUS = re.compile("[45][0-9]{2}")


def open_sdk(server: Server) -> openai.AsyncOpenAI:
    """Open the SDK's client, which leaves retries, limits and the environment to us."""
    tls = tls_context(server.ca_bundle)
    try:
        http_client = openai.DefaultAioHttpClient(
            proxy=server.proxy,
            verify=tls,
            trust_env=False,
            # 0, as aiohttp says it: None would leave aiohttp's own 100
            limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE_S),
            event_hooks={"response": [_bound]},
        )
    except (ValueError, httpx2.InvalidURL):  # names the proxy with its password
        raise server.broken_off("", server.timeout_s, NoProxyError()) from None
    return openai.AsyncOpenAI(
        base_url=f"{server.url}/v1",
        api_key=server.api_key or "none",
        timeout=openai.Timeout(
            server.timeout_s,
            connect=CONNECT_TIMEOUT_S,
            read=server.timeout_s * FIRST_BYTE_SHARE,
        ),
        max_retries=0,
        http_client=http_client,
    )


class _Bounded(httpx2.AsyncByteStream):
    """A body, or a stream, that is refused before memory is full."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        num_bytes = 0
        async for piece in self._stream:
            num_bytes += len(piece)
            if num_bytes > MAX_BODY_BYTES:
                raise TooLongError(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx2.Response) -> None:
    """Bound what the SDK reads by itself, too: what comes with an error, and a stream's lines."""
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)


async def whole_body(
    server: Server, path: str, exchange: AbstractAsyncContextManager[Any]
) -> bytes:
    """Return the body as it came, because the SDK checks neither its size nor its shape."""
    with our_errors(server, path):
        async with exchange as response:
            return await _whole(response.iter_bytes())


async def _whole(pieces: AsyncIterable[bytes]) -> bytes:
    """Join a body's pieces; one that is too large is refused before memory is full."""
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise TooLongError(bytes(body))
    return bytes(body)


def _below_the_sdk(error: Exception) -> Exception:
    """Return what went wrong with the connection, where an error of the SDK stands for that."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, (aiohttp.ClientError, OSError)):
        cause = cause.__cause__ or cause.__context__
    match cause:
        case aiohttp.ConnectionTimeoutError():
            return ConnectTimeoutError()
        case TimeoutError() | ssl.CertificateError():
            return cause
        case aiohttp.ClientHttpProxyError():
            return ProxyRefusedError(cause.status)
        case aiohttp.InvalidURL():
            return NoProxyError()
        case aiohttp.ClientConnectorError():
            return UnreachableError(cause.strerror or str(cause.os_error))
        case aiohttp.ClientError():
            return BrokenOffError(f"{type(cause).__name__}: {cause}")
        case OSError():
            return cause
        case _:
            return error


@contextmanager
def our_errors(server: Server, path: str) -> Generator[None]:
    """Raise the SDK's errors as ours."""
    try:
        yield
    except openai.APIStatusError as error:
        response = error.response
        raise server.failure(
            path, response.status_code, response.content, response.headers
        ) from None  # whose text may hold a key, as those below
    except TooLongError as error:
        raise server.protocol_error(path, str(error), error.body) from None
    except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError) as error:
        cause = _below_the_sdk(error)  # the SDK lets the others through
        raise server.broken_off(path, server.timeout_s, cause) from None
    except openai.APIError as error:
        if error.body is None or isinstance(error, openai.APIResponseValidationError):
            raise server.protocol_error(path, str(error)) from None
        code = str(error.code)  # of an error said within a stream
        status = int(code) if _ERROR_STATUS.fullmatch(code) else 500
        said = error.message.encode(errors="replace")
        raise server.failure(path, status, said, {}) from None
    except UnicodeEncodeError as error:
        raise server.not_text(path, error) from None
    except (openai.OpenAIError, msgspec.ValidationError, ValueError, RecursionError) as error:
        body = getattr(error, "doc", "")  # what is not JSON
        raise server.protocol_error(path, str(error), body) from None
    except Unexpected as unexpected:
        raise server.protocol_error(path, str(unexpected)) from unexpected
