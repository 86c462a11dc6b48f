"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers chat
alone gives whole completions, which is enough for greedy, majority and best-of-n.
"""

import re
import ssl
from collections.abc import AsyncIterable, Generator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import aiohttp
import httpx2
import msgspec
import openai

from ttc_client.clients.connection import MAX_BODY_BYTES, BrokenOffError, TooLongError
from ttc_client.clients.http import FIRST_BYTE_SHARE, Server
from ttc_client.clients.openai_replies import (
    Chat,
    Chunk,
    Completion,
    says_what_stopped_it,
    whole_completions,
    whole_finish,
    written,
)
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
from ttc_client.clients.together import together
from ttc_client.clients.vllm import served_model
from ttc_client.errors import RequestError, ServerError, TransientServerError
from ttc_client.ports import SampleRequest, Samples
from ttc_client.prompts import STEP_DELIMITER, policy_prompt
from ttc_client.types import Step, Trajectory, Usage

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Switches off what servers would otherwise fill in from the model's own defaults."""

_PATH, _CHAT_PATH = "/v1/completions", "/v1/chat/completions"

_ONE_CHOICE = re.compile("only one completion choice", re.IGNORECASE)
"""How llama.cpp refuses `n`, also with a 500."""

_NOT_OFFERED = (404, 405, 501)
_ERROR_STATUS = re.compile("[45][0-9]{2}")

_SPARE_CHUNKS = 1000
"""A stream may have a chunk per token, and these without one: a first, a last, signs of life."""


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    What the server turns out not to offer is remembered in `chat_only` (no `/v1/completions`),
    `single` (one choice per request) and `silent` (it does not say whether a stop string or the
    model's own end ended a choice).
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    system_prompt: str
    chat_only: bool = False
    single: bool = False
    silent: bool = False

    @classmethod
    async def connect(cls, server: Server, model: str | None, system_prompt: str) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served."""
        client = _open(server)
        try:
            name = model or (await served_model(server, None))[0]
            return cls(server, client, name, system_prompt)
        except BaseException:
            await client.close()
            raise

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self.client.close()

    async def root(self, problem: str) -> Trajectory:
        """Return the empty trajectory of a problem, templated."""
        return Trajectory(problem, policy_prompt(self.model, problem, self.system_prompt))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations, in the best way that the server offers."""
        refusal: RequestError | None = None
        if not self.chat_only:
            try:
                return await self._complete(request)
            except RequestError as error:
                if error.status not in _NOT_OFFERED:
                    raise
                refusal = error
        if request.stop or request.trajectory.steps:
            why = f" ({refusal})" if refusal else ""
            raise RequestError(
                f"{self.server.url} offers chat alone{why}, which cannot continue a solution step "
                "by step: use greedy, majority or best-of-n",
                url=self.server.url,
            ) from refusal
        try:
            samples = await self._chat(request)
        except RequestError as error:
            if refusal is None or error.status not in _NOT_OFFERED:
                raise
            raise RequestError(
                f"{refusal}; {error}", url=self.server.url, status=error.status
            ) from refusal
        self.chat_only = True
        return samples

    async def _complete(self, request: SampleRequest) -> Samples:
        if request.stop and self.silent:
            return await self._stream_all(request)
        if request.n > 1 and self.single:
            return await self._one_by_one(request)
        try:
            body = await self._body(
                _PATH,
                self.client.completions.with_streaming_response.create(
                    **self._sampling(request), **self._prompt(request), n=request.n, stream=False
                ),
            )
            reply = self.server.decode(_PATH, body, Completion)
        except ServerError as error:
            if request.n == 1 or not _ONE_CHOICE.search(error.body):
                raise
            return await self._one_by_one(request)
        if len(reply.choices) == 1 < request.n:  # `n` was passed over
            return await self._one_by_one(request)
        if request.stop and not all(map(says_what_stopped_it, reply.choices)):
            self.silent = True
            return await self._stream_all(request)
        return self.server.checked(_PATH, body, partial(written, request, reply))

    async def _one_by_one(self, request: SampleRequest) -> Samples:
        self.single = True
        seeds = [None if request.seed is None else request.seed + i for i in range(request.n)]
        singles = await together(self._complete(replace(request, n=1, seed=s)) for s in seeds)
        steps = tuple(step for samples in singles for step in samples.steps)
        return Samples(steps, (), sum((samples.usage for samples in singles), Usage()))

    def _prompt(self, request: SampleRequest) -> dict[str, Any]:
        text = request.trajectory.prompt + request.trajectory.text
        return {"prompt": text, "stop": list(request.stop) or None, "extra_body": _NEUTRAL}

    def _sampling(self, request: SampleRequest) -> dict[str, Any]:
        sampling: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "extra_headers": self.server.session_headers(request.session),
        }
        if request.seed is not None:
            sampling["seed"] = request.seed % 2**31  # some servers keep 32 bits
        return sampling

    async def _stream_all(self, request: SampleRequest) -> Samples:
        """Read each continuation as it is written, and hang up at the first delimiter.

        The exact way with servers that are silent about what ended a choice.
        """
        steps = await together(self._stream(request, i) for i in range(request.n))
        tokens = sum(step.num_tokens for step in steps)
        return Samples(steps, (), Usage(completion_tokens=tokens, policy_requests=request.n))

    async def _stream(self, request: SampleRequest, index: int) -> Step:
        sampling = self._sampling(request)
        if request.seed is not None:
            sampling["seed"] = (request.seed + index) % 2**31
        prompt: dict[str, Any] = {**self._prompt(request), "stop": None}
        text, num_tokens, num_chunks = "", 0, 0
        with _our_errors(self.server, _PATH):
            stream: Any = await self.client.completions.create(**sampling, **prompt, stream=True)
            async with stream:
                async for chunk in stream:
                    num_chunks += 1
                    for piece in msgspec.convert(chunk, Chunk, from_attributes=True).choices or ():
                        (piece.text or "").encode()  # what is no text is a ValueError
                        seen = max(0, len(text) - len(STEP_DELIMITER))
                        text += piece.text or ""
                        num_tokens += bool(piece.text)
                        _check_length(request.max_tokens, len(text), num_tokens)
                        if (end := text.find(STEP_DELIMITER, seen)) >= 0:
                            return Step(text[: end + len(STEP_DELIMITER)], "stop", num_tokens)
                        if piece.finish_reason:
                            return Step(text, whole_finish(piece.finish_reason), num_tokens)
                    if num_chunks > request.max_tokens + _SPARE_CHUNKS:
                        raise Unexpected(f"{num_chunks} chunks for {request.max_tokens} tokens")
        raise TransientServerError(
            f"{self.server.url}{_PATH} ended a stream before its end", url=self.server.url
        )

    async def _chat(self, request: SampleRequest) -> Samples:
        messages: list[Any] = [{"role": "user", "content": request.trajectory.problem}]
        if self.system_prompt:
            messages.insert(0, {"role": "system", "content": self.system_prompt})
        body = await self._body(
            _CHAT_PATH,
            self.client.chat.completions.with_streaming_response.create(
                **self._sampling(request), messages=messages, n=request.n, stream=False
            ),
        )
        return self.server.read(_CHAT_PATH, body, Chat, partial(whole_completions, request))

    async def _body(self, path: str, exchange: AbstractAsyncContextManager[Any]) -> bytes:
        """Return the body as it came, because the SDK checks neither its size nor its shape."""
        with _our_errors(self.server, path):
            async with exchange as response:
                return await _whole(response.iter_bytes())


def _open(server: Server) -> openai.AsyncOpenAI:
    """Open the SDK's client, which leaves retries, limits and the environment to us."""
    tls = tls_context(server.ca_bundle)
    try:
        http_client = openai.DefaultAioHttpClient(
            proxy=server.proxy,
            verify=tls,
            trust_env=False,
            # 0, as aiohttp says it: None would leave aiohttp's own 100
            limits=httpx2.Limits(max_connections=0, keepalive_expiry=KEEP_ALIVE_S),
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


def _check_length(max_tokens: int, length: int, num_tokens: int) -> None:
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    if length > MAX_BODY_BYTES:
        raise Unexpected(f"more than {MAX_BODY_BYTES} characters")


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
def _our_errors(server: Server, path: str) -> Generator[None]:
    """Raise the SDK's errors as ours."""
    try:
        yield
    except openai.APIStatusError as error:
        response = error.response
        raise server.failure(
            path, response.status_code, response.content, response.headers
        ) from error
    except TooLongError as error:
        raise server.protocol_error(path, str(error), error.body) from error
    except (openai.APIConnectionError, httpx2.HTTPError, aiohttp.ClientError) as error:
        cause = _below_the_sdk(error)  # the SDK lets the others through
        raise server.broken_off(path, server.timeout_s, cause) from cause
    except openai.APIError as error:
        if error.body is None or isinstance(error, openai.APIResponseValidationError):
            raise server.protocol_error(path, str(error)) from error
        code = str(error.code)  # of an error said within a stream
        status = int(code) if _ERROR_STATUS.fullmatch(code) else 500
        said = error.message.encode(errors="replace")
        raise server.failure(path, status, said, {}) from error
    except (openai.OpenAIError, msgspec.ValidationError, ValueError, RecursionError) as error:
        body = getattr(error, "doc", "")  # what is not JSON
        raise server.protocol_error(path, str(error), body) from error
    except Unexpected as unexpected:
        raise server.protocol_error(path, str(unexpected)) from unexpected
