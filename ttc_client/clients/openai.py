"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers only
chat gives whole completions, which are enough for greedy, majority and best-of-n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
import openai

from ttc_client.clients.chat import sample_chat
from ttc_client.clients.connection import MAX_BODY_BYTES
from ttc_client.clients.finishes import whole_finish
from ttc_client.clients.full_context import within_context
from ttc_client.clients.http import Answer, Server
from ttc_client.clients.logprobs import TokenLogprobs, read_logprobs
from ttc_client.clients.manners import NEUTRAL, Fields, Manners, is_for_chat, refuses
from ttc_client.clients.models import NOT_OFFERED, find_api, served_policy
from ttc_client.clients.openai_replies import (
    Chat,
    Chunk,
    Completion,
    says_what_stopped_it,
    whole_completions,
    written,
)
from ttc_client.clients.openai_sdk import open_sdk, our_errors
from ttc_client.clients.prompts import render_for, text_step
from ttc_client.clients.replies import Unexpected
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.types import Finish, Message, Prompt, Step, Trajectory, Usage

R = TypeVar("R")

_SENT_NEUTRAL = ("top_k", "min_p", "repetition_penalty")
"""Sent with their neutral values: servers use the model's own defaults for what is not sent."""

_SPARE_CHUNKS = 1000
"""Chunks allowed in a stream beyond one per token: a first, a last, keep-alive messages."""


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    The client remembers what the server turns out not to offer: `chat_only` (no
    `/v1/completions`), `silent` (its finish reason is the same for a stop string and for the
    model's own end), and, in `manners`, what it refuses.
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    manners: Manners
    chat_only: bool = False
    silent: bool = False
    context_length = None
    speaks_ids = False

    @classmethod
    async def connect(cls, server: Server, model: str | None) -> "OpenAIPolicy":
        """Open the SDK's client and ask which model is served, unless one is named.

        Raises ConfigError for a server that serves no model that writes.
        """
        if model is None:
            server, model, _ = await served_policy(server, None)
        elif urlsplit(server.url).path:
            server = await find_api(server)
        return cls(server, open_sdk(server), model, Manners(server.url))

    @property
    def address(self) -> Server:
        """The server, with its API where it was found."""
        return self.server

    @property
    def asks_singly(self) -> bool:
        """Whether a request may ask for one continuation only."""
        return self.manners.single or self.silent

    @property
    def _path(self) -> str:
        return f"{self.server.api}/completions"

    @property
    def _chat_path(self) -> str:
        return f"{self.server.api}/chat/completions"

    async def written(self, text: str) -> Step:
        """Return a text as a step."""
        return text_step(text)

    async def room(self, trajectory: Trajectory, wanted: int) -> int:
        """Return `wanted`, because the server does not say how much its model reads."""
        return wanted

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated."""
        return Trajectory(Prompt(tuple(messages), render_for(self.model, messages)))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations, in the best way that the server offers.

        Raises OneChoiceError where it turns out to take one per request, and ServerError. A
        trajectory that fills the context has empty continuations, cut by length.
        """
        return await within_context(self._sample, request)

    async def _sample(self, request: SampleRequest) -> Samples:
        if request.trajectory.prompt.chat:
            return await sample_chat(self.server, self.model, self.manners, request)
        refusal: RequestError | None = None
        if not self.chat_only:
            try:
                return await self._complete(request)
            except RequestError as error:
                if error.status not in NOT_OFFERED and not is_for_chat(error):
                    raise
                refusal = error
        if request.stop or request.trajectory.steps or request.is_piece:
            why = f" ({refusal})" if refusal else ""
            raise RequestError(
                f"{self.server.url} offers only chat{why}, which cannot continue a solution: use "
                "greedy, majority or best-of-n",
                url=self.server.url,
            ) from refusal
        try:
            samples = await self._chat(request)
        except RequestError as error:
            if refusal is None or error.status not in NOT_OFFERED:
                self.chat_only = True
                raise
            raise RequestError(
                f"{refusal}; {error}", url=self.server.url, status=error.status
            ) from refusal
        self.chat_only = True
        return samples

    async def _complete(self, request: SampleRequest) -> Samples:
        if request.n > 1 and self.silent and request.stop:
            raise self.manners.one_choice()
        if request.stop and self.silent:
            return await self._stream(request)
        fields = self._fields(request) | self._text_logprobs(request)
        fields["stop"] = [*request.stop, *request.ends] or None
        try:
            answer = await self._ask(self._path, Completion, fields, prompt=request.text)
        except RequestError as error:
            if not (request.stop and refuses(error, "stop")):
                raise
        else:
            with answer as reply:
                if len(reply.choices) == 1 < request.n:
                    raise self.manners.passed_over()
                if not request.stop or all(map(says_what_stopped_it, reply.choices)):
                    return written(request, reply)
        self.silent = True
        return await self._complete(request)

    def _fields(self, request: SampleRequest) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "n": request.n,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            **{name: NEUTRAL[name] for name in _SENT_NEUTRAL},
            "extra_headers": self.server.session_headers(request.session),
        }
        if request.seed is not None:
            fields["seed"] = request.seed % 2**31  # some servers keep 32 bits
        return fields

    def _text_logprobs(self, request: SampleRequest) -> dict[str, Any]:
        return {} if request.top_logprobs is None else {"logprobs": request.top_logprobs}

    async def _ask(
        self, path: str, reply_type: type[R], fields: dict[str, Any], **prompt: Any
    ) -> Answer[R]:
        """Ask for whole continuations, with the fields that the server is known to take."""
        create: Any = self.client.completions.with_raw_response.create
        if path == self._chat_path:
            create = self.client.chat.completions.with_raw_response.create

        async def send(taken: Fields) -> Answer[R]:
            headers = taken["extra_headers"]
            body = {name: value for name, value in taken.items() if name != "extra_headers"}
            with our_errors(self.server, path):
                response = await create(
                    model=self.model, **prompt, stream=False, extra_body=body, extra_headers=headers
                )
            return self.server.answer(path, response.content, reply_type)

        return await self.manners.ask(send, fields)

    async def _stream(self, request: SampleRequest) -> Samples:
        """Read a continuation while it is written, and close the stream at the first delimiter.

        The exact way where a server does not say what ended a choice.
        """
        text, num_tokens, num_chunks = "", 0, 0
        logprobs: list[TokenLogprobs] = []
        with our_errors(self.server, self._path):
            stream = await self.manners.ask(
                partial(self._open_stream, request),
                self._fields(request)
                | self._text_logprobs(request)
                | {"stop": list(request.ends) or None},
            )
            async with stream:
                async for chunk in stream:
                    num_chunks += 1
                    for piece in msgspec.convert(chunk, Chunk, from_attributes=True).choices or ():
                        _check_text(piece.text or "")
                        seen = max(0, len(text) - max(map(len, request.stop)))
                        text += piece.text or ""
                        if piece.text:
                            num_tokens += 1
                            logprobs.append(read_logprobs(piece.logprobs, request.top_logprobs))
                        _check_length(request.max_tokens, len(text), num_tokens)
                        if end := _end_of_stop(text, request.stop, seen):
                            return _one(text[:end], "stop", num_tokens, logprobs)
                        if reason := piece.finish_reason:
                            finish = whole_finish(reason, wrote=bool(text))
                            return _one(text, finish, num_tokens, logprobs)
                    if num_chunks > request.max_tokens + _SPARE_CHUNKS:
                        raise Unexpected(f"{num_chunks} chunks for {request.max_tokens} tokens")
        raise TransientServerError(
            f"{self.server.url}{self._path} ended a stream before its end", url=self.server.url
        )

    async def _open_stream(self, request: SampleRequest, taken: Fields) -> Any:
        headers = taken["extra_headers"]
        body = {name: value for name, value in taken.items() if name != "extra_headers"}
        with our_errors(self.server, self._path):
            return await self.client.completions.create(
                model=self.model,
                prompt=request.text,
                stream=True,
                extra_body=body,
                extra_headers=headers,
            )

    async def _chat(self, request: SampleRequest) -> Samples:
        messages: list[Any] = [{"role": m.role, "content": m.content} for m in request.messages]
        fields = self._fields(request) | {"stop": list(request.ends) or None}
        if request.top_logprobs is not None:
            fields |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        answer = await self._ask(self._chat_path, Chat, fields, messages=messages)
        with answer as reply:
            if len(reply.choices) == 1 < request.n:
                raise self.manners.passed_over()
            return whole_completions(request, reply)


def _one(text: str, finish: Finish, num_tokens: int, pieces: Sequence[TokenLogprobs]) -> Samples:
    usage = Usage(completion_tokens=num_tokens, policy_requests=1)
    read = TokenLogprobs.of_pieces(pieces)
    step = Step(text, finish, num_tokens, logprobs=read.own, confidences=read.confidences)
    return Samples((step,), (), usage)


def _end_of_stop(text: str, stop: Sequence[str], start: int) -> int:
    """Return where the first stop string in a text ends; 0 where there is none."""
    found = [(at, at + len(one)) for one in stop if (at := text.find(one, start)) >= 0]
    return min(found)[1] if found else 0


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
