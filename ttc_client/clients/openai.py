"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers only
chat gives whole completions, which are enough for greedy, majority and best-of-n.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import openai

from ttc_client.clients.connection import MAX_BODY_BYTES
from ttc_client.clients.http import Server
from ttc_client.clients.logprobs import TokenLogprobs, read_logprobs
from ttc_client.clients.openai_replies import (
    Chat,
    Chunk,
    Completion,
    says_what_stopped_it,
    whole_completions,
    whole_finish,
    written,
)
from ttc_client.clients.openai_sdk import open_sdk, our_errors
from ttc_client.clients.prompts import render_for
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.vllm import served_model
from ttc_client.errors import OneChoiceError, RequestError, ServerError, TransientServerError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Finish, Message, Prompt, Step, Trajectory, Usage

_NEUTRAL = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Overrides the model's own defaults, which servers use for fields that are not sent."""

_PATH, _CHAT_PATH = "/v1/completions", "/v1/chat/completions"

_ONE_CHOICE = re.compile("only one completion choice", re.IGNORECASE)
"""The message of llama.cpp, with status 500, for n > 1."""

_NOT_OFFERED = (404, 405, 501)

_SPARE_CHUNKS = 1000
"""Chunks allowed in a stream beyond one per token: a first, a last, keep-alive messages."""


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    The client remembers what the server turns out not to offer: `chat_only` (no
    `/v1/completions`), `single` (one choice per request) and `silent` (its finish reason is the
    same for a stop string and for the model's own end).
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    chat_only: bool = False
    single: bool = False
    silent: bool = False
    context_length = None
    speaks_ids = False

    @classmethod
    async def connect(cls, server: Server, model: str | None) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served, unless one is named."""
        name = model or (await served_model(server, None))[0]
        return cls(server, open_sdk(server), name)

    @property
    def asks_singly(self) -> bool:
        """Whether a request may ask for one continuation only."""
        return self.single or self.silent

    async def room(self, trajectory: Trajectory, wanted: int) -> int:
        """Return `wanted`, because the server does not say how much its model reads."""
        return wanted

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated."""
        return Trajectory(Prompt(tuple(messages), render_for(self.model, messages)))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations, in the best way that the server offers.

        Raises OneChoiceError where it turns out to take one per request, and ServerError.
        """
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
                f"{self.server.url} offers only chat{why}, which cannot continue a solution step "
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
        if request.n > 1 and (self.single or (self.silent and request.stop)):
            raise self._one_choice()
        if request.stop and self.silent:
            return await self._stream(request)
        try:
            with our_errors(self.server, _PATH):
                response = await self.client.completions.with_raw_response.create(
                    **self._sampling(request), **self._prompt(request), n=request.n, stream=False
                )
        except ServerError as error:
            if request.n > 1 and _ONE_CHOICE.search(error.body):
                self.single = True
                raise self._one_choice() from error
            raise
        with self.server.answer(_PATH, response.content, Completion) as reply:
            if len(reply.choices) == 1 < request.n:  # the server ignores n
                self.single = True
                raise self._one_choice()
            if not request.stop or all(map(says_what_stopped_it, reply.choices)):
                return written(request, reply)
        self.silent = True
        return await self._complete(request)

    def _one_choice(self) -> OneChoiceError:
        return OneChoiceError(
            f"{self.server.url}{_PATH} takes one continuation per request", url=self.server.url
        )

    def _prompt(self, request: SampleRequest) -> dict[str, Any]:
        prompt: dict[str, Any] = {
            "prompt": request.text,
            "stop": list(request.stop) or None,
            "extra_body": _NEUTRAL,
        }
        if request.top_logprobs is not None:
            prompt["logprobs"] = request.top_logprobs
        return prompt

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

    async def _stream(self, request: SampleRequest) -> Samples:
        """Read a continuation while it is written, and close the stream at the first delimiter.

        The exact way where a server does not say what ended a choice.
        """
        sampling: dict[str, Any] = {**self._sampling(request), **self._prompt(request)}
        sampling["stop"] = None
        text, num_tokens, num_chunks = "", 0, 0
        logprobs: list[TokenLogprobs] = []
        with our_errors(self.server, _PATH):
            stream: Any = await self.client.completions.create(**sampling, stream=True)
            async with stream:
                async for chunk in stream:
                    num_chunks += 1
                    for piece in msgspec.convert(chunk, Chunk, from_attributes=True).choices or ():
                        _check_text(piece.text or "")
                        seen = max(0, len(text) - len(STEP_DELIMITER))
                        text += piece.text or ""
                        if piece.text:
                            num_tokens += 1
                            logprobs.append(read_logprobs(piece.logprobs, request.top_logprobs))
                        _check_length(request.max_tokens, len(text), num_tokens)
                        if (end := text.find(STEP_DELIMITER, seen)) >= 0:
                            text = text[: end + len(STEP_DELIMITER)]
                            return _one(text, "stop", num_tokens, logprobs)
                        if piece.finish_reason:
                            finish = whole_finish(piece.finish_reason)
                            return _one(text, finish, num_tokens, logprobs)
                    if num_chunks > request.max_tokens + _SPARE_CHUNKS:
                        raise Unexpected(f"{num_chunks} chunks for {request.max_tokens} tokens")
        raise TransientServerError(
            f"{self.server.url}{_PATH} ended a stream before its end", url=self.server.url
        )

    async def _chat(self, request: SampleRequest) -> Samples:
        messages: list[Any] = [{"role": m.role, "content": m.content} for m in request.messages]
        sampling = self._sampling(request)
        if request.top_logprobs is not None:
            sampling |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        with our_errors(self.server, _CHAT_PATH):
            response = await self.client.chat.completions.with_raw_response.create(
                **sampling, messages=messages, n=request.n, stream=False
            )
        with self.server.answer(_CHAT_PATH, response.content, Chat) as reply:
            return whole_completions(request, reply)


def _one(text: str, finish: Finish, num_tokens: int, pieces: Sequence[TokenLogprobs]) -> Samples:
    usage = Usage(completion_tokens=num_tokens, policy_requests=1)
    read = TokenLogprobs.of_pieces(pieces)
    step = Step(text, finish, num_tokens, logprobs=read.own, confidences=read.confidences)
    return Samples((step,), (), usage)


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
