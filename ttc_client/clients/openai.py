"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers chat
alone gives whole completions, which is enough for greedy, majority and best-of-n.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
import openai

from ttc_client.clients.connection import MAX_BODY_BYTES
from ttc_client.clients.http import Server
from ttc_client.clients.openai_replies import (
    Chat,
    Chunk,
    Completion,
    says_what_stopped_it,
    whole_completions,
    whole_finish,
    written,
)
from ttc_client.clients.openai_sdk import open_sdk, our_errors, whole_body
from ttc_client.clients.prompts import render_for
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.vllm import served_model
from ttc_client.errors import RequestError, ServerError, TransientServerError
from ttc_client.middleware.singly import one_by_one
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.together import together
from ttc_client.types import Message, Prompt, Step, Trajectory, Usage

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Switches off what servers would otherwise fill in from the model's own defaults."""

_PATH, _CHAT_PATH = "/v1/completions", "/v1/chat/completions"

_ONE_CHOICE = re.compile("only one completion choice", re.IGNORECASE)
"""How llama.cpp refuses `n`, also with a 500."""

_NOT_OFFERED = (404, 405, 501)

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
    chat_only: bool = False
    single: bool = False
    silent: bool = False

    @classmethod
    async def connect(cls, server: Server, model: str | None) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served."""
        client = open_sdk(server)
        try:
            name = model or (await served_model(server, None))[0]
            return cls(server, client, name)
        except BaseException:
            await client.close()
            raise

    @property
    def asks_singly(self) -> bool:
        """Whether it sends a request for each continuation."""
        return self.single or self.silent

    async def close(self) -> None:
        """Close the SDK's connections."""
        await self.client.close()

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated."""
        return Trajectory(Prompt(tuple(messages), render_for(self.model, messages)))

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
            body = await whole_body(
                self.server,
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
        return await one_by_one(self._complete, request)

    def _prompt(self, request: SampleRequest) -> dict[str, Any]:
        return {"prompt": request.text, "stop": list(request.stop) or None, "extra_body": _NEUTRAL}

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
        with our_errors(self.server, _PATH):
            stream: Any = await self.client.completions.create(**sampling, **prompt, stream=True)
            async with stream:
                async for chunk in stream:
                    num_chunks += 1
                    for piece in msgspec.convert(chunk, Chunk, from_attributes=True).choices or ():
                        _check_text(piece.text or "")
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
        messages: list[Any] = [{"role": m.role, "content": m.content} for m in request.messages]
        body = await whole_body(
            self.server,
            _CHAT_PATH,
            self.client.chat.completions.with_streaming_response.create(
                **self._sampling(request), messages=messages, n=request.n, stream=False
            ),
        )
        return self.server.read(_CHAT_PATH, body, Chat, partial(whole_completions, request))


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unexpected(str(error)) from None


def _check_length(max_tokens: int, length: int, num_tokens: int) -> None:
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    if length > MAX_BODY_BYTES:
        raise Unexpected(f"more than {MAX_BODY_BYTES} characters")
