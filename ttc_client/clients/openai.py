"""The policy in any OpenAI-compatible server, through the `openai` SDK: text in, text out.

Steps go through `/v1/completions`, with the template rendered here. A server that offers only
chat gives whole completions, which are enough for greedy, majority and best-of-n.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import msgspec
import openai

from ttc_client.clients.chat import cannot_continue, sample_chat
from ttc_client.clients.echo import Echo
from ttc_client.clients.finishes import whole_finish
from ttc_client.clients.full_context import within_context
from ttc_client.clients.http import Answer, Server
from ttc_client.clients.logprobs import TokenLogprobs, read_logprobs
from ttc_client.clients.manners import Fields, Manners, is_for_chat, refuses
from ttc_client.clients.models import NOT_OFFERED, find_api, served_policy
from ttc_client.clients.openai_replies import (
    Chat,
    Chunk,
    Completion,
    says_what_stopped_it,
    whole_completions,
    written,
)
from ttc_client.clients.openai_sdk import open_sdk, our_errors, said_in
from ttc_client.clients.openai_stream import (
    Begun,
    check_length,
    check_text,
    continuation,
    end_of_stop,
)
from ttc_client.clients.prompts import text_step
from ttc_client.clients.replies import Unexpected, is_of_model
from ttc_client.clients.templates import (
    Asking,
    Render,
    apply_template,
    find_render,
    skips_thoughts,
    tokenize_and_back,
)
from ttc_client.clients.usage import TokenUsage
from ttc_client.errors import RequestError, TransientServerError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.thoughts import opened_by
from ttc_client.types import Finish, Message, Prompt, Step, Trajectory

R = TypeVar("R")

_SPARE_CHUNKS = 1000
"""Chunks allowed in a stream beyond one per token: a first, a last, keep-alive messages."""


@dataclass(slots=True)
class OpenAIPolicy:
    """A policy behind an OpenAI-compatible API; open one with `connect`.

    The client remembers what the server turns out not to offer: `chat_only` (no
    `/v1/completions`), `silent` (its finish reason is the same for a stop string and for the
    model's own end), `reasonless` (it gives none), and, in `manners`, what it refuses.
    """

    server: Server
    client: openai.AsyncOpenAI
    model: str
    manners: Manners
    echo: Echo
    asking: Asking = field(default_factory=Asking)
    render: Render | None = None
    chat_only: bool = False
    silent: bool = False
    reasonless: bool = False
    context_length: int | None = None
    speaks_ids = False

    @classmethod
    async def connect(
        cls, server: Server, model: str | None, asking: Asking | None = None
    ) -> "OpenAIPolicy":
        """Open the SDK's client; ask for the model, unless one is named, and its template.

        Raises ConfigError for a server that serves no model that writes.
        """
        if model is None:
            server, model, context_length = await served_policy(server, None)
        else:
            server, context_length = await find_api(server, model)
        asking = asking or Asking()
        render = await find_render(server, asking, (apply_template, tokenize_and_back))
        asking = replace(asking, skips_thought=await skips_thoughts(render))
        kept = Manners(server.url), Echo(model), asking, render
        return cls(server, open_sdk(server), model, *kept, context_length=context_length)

    @property
    def address(self) -> Server:
        """The server, with its API where it was found."""
        return self.server

    @property
    def most_choices(self) -> int | None:
        """How many continuations a request may ask for, None where no limit is known."""
        return 1 if self.silent else self.manners.most

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
        """Return `wanted`, or what the model reads and writes in all: the prompt is not counted."""
        return wanted if self.context_length is None else min(wanted, self.context_length - 1)

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated if the template is known."""
        text = await self.render(messages) if self.render else ""
        return Trajectory(Prompt(tuple(messages), text, closes_thought=opened_by(text)))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations, in the best way that the server offers.

        Raises TooManyError where it turns out to take one per request, and ServerError. A
        trajectory that fills the context has empty continuations, cut by length.
        """
        room = await self.room(request.trajectory, request.max_tokens)
        if room < request.max_tokens:
            request = replace(request, max_tokens=room)
        return await within_context(self._sample, request)

    async def _sample(self, request: SampleRequest) -> Samples:
        if request.trajectory.prompt.chat:
            return await sample_chat(self.server, self.model, self.manners, self.asking, request)
        refusal: RequestError | None = None
        if not self.chat_only and request.trajectory.prompt.text:
            try:
                return await self._complete(request)
            except RequestError as error:
                not_offered = error.status in NOT_OFFERED and not is_of_model(error.body)
                if not (not_offered or is_for_chat(error)):
                    raise
                refusal = error
        if request.stop or request.trajectory.steps or request.is_piece:
            is_templated = bool(request.trajectory.prompt.text)
            raise cannot_continue(self.server.url, self.model, is_templated, refusal) from refusal
        try:
            samples = await self._chat(request)
        except RequestError as error:
            if refusal is None or error.status not in NOT_OFFERED:
                self.chat_only = refusal is not None or self.chat_only
                raise
            raise RequestError(
                f"{refusal}; {error}", url=self.server.url, status=error.status
            ) from refusal
        self.chat_only = refusal is not None or self.chat_only
        return samples

    async def _complete(self, request: SampleRequest) -> Samples:
        if request.n > 1 and self.silent and request.stop:
            raise self.manners.too_many(1)
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
                self.echo.check_model(reply.model, is_first=answer.is_first)
                if len(reply.choices) == 1 < request.n:
                    raise self.manners.passed_over()
                if not request.stop or all(map(says_what_stopped_it, reply.choices)):
                    return written(request, reply)
                self.reasonless = not any(choice.finish_reason for choice in reply.choices)
        self.silent = True
        return await self._complete(request)

    def _fields(self, request: SampleRequest) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "n": request.n,
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "min_p": request.min_p,
            "repetition_penalty": 1.0,
            "extra_headers": self.server.session_headers(request.session),
        }
        if request.presence_penalty:
            fields["presence_penalty"] = request.presence_penalty
        if request.seed is not None:
            fields["seed"] = request.seed % 2**31  # some servers keep 32 bits
        return {**fields, **self.asking.extra_body}

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
            return self.server.answer(path, said_in(response.http_response), reply_type)

        return await self.manners.ask(send, fields)

    async def _stream(self, request: SampleRequest) -> Samples:
        """Read a continuation while it is written, and close the stream at the first delimiter.

        The exact way where a server does not say what ended a choice.
        """
        text, num_tokens, num_chunks = "", 0, 0
        logprobs: list[TokenLogprobs] = []
        ended: Finish | None = None
        usage: TokenUsage | None = None
        with our_errors(self.server, self._path):
            stream = await self.manners.ask(
                partial(self._open_stream, request),
                self._fields(request)
                | self._text_logprobs(request)
                | {"stop": list(request.ends) or None, "stream_options": {"include_usage": True}},
            )
            async with stream:
                async for chunk in stream:
                    num_chunks += 1
                    read = msgspec.convert(chunk, Chunk, from_attributes=True)
                    usage = read.usage or usage
                    if ended:  # the usage comes last, if at all
                        break
                    for piece in read.choices or ():
                        check_text(piece.text or "")
                        seen = max(0, len(text) - max(map(len, request.stop)))
                        text += piece.text or ""
                        if piece.text:
                            num_tokens += 1
                            logprobs.append(read_logprobs(piece.logprobs, request.top_logprobs))
                        check_length(request.max_tokens, len(text), num_tokens)
                        if end := end_of_stop(text, request.stop, seen):
                            return continuation(request, text[:end], "stop", num_tokens, logprobs)
                        if reason := piece.finish_reason:
                            ended = whole_finish(reason, wrote=bool(text))
                    if num_chunks > request.max_tokens + _SPARE_CHUNKS:
                        raise Unexpected(f"{num_chunks} chunks for {request.max_tokens} tokens")
        if text and not ended and self.reasonless:
            ended = whole_finish(None, wrote=True, used_up=num_tokens >= request.max_tokens)
        if ended:
            return continuation(request, text, ended, num_tokens, logprobs, usage)
        raise TransientServerError(
            f"{self.server.url}{self._path} ended a stream before its end", url=self.server.url
        )

    async def _open_stream(self, request: SampleRequest, taken: Fields) -> Begun:
        body = {name: value for name, value in taken.items() if name != "extra_headers"}
        with our_errors(self.server, self._path):
            stream = await self.client.completions.create(
                model=self.model,
                prompt=request.text,
                stream=True,
                extra_body=body,
                extra_headers=taken["extra_headers"],
            )
            return Begun(stream, await anext(stream, None))  # a refusal comes with its first event

    async def _chat(self, request: SampleRequest) -> Samples:
        messages: list[Any] = [{"role": m.role, "content": m.content} for m in request.messages]
        fields = self.asking.with_kwargs(self._fields(request))
        fields["stop"] = list(request.ends) or None
        if request.top_logprobs is not None:
            fields |= {"logprobs": True, "top_logprobs": request.top_logprobs}
        answer = await self._ask(self._chat_path, Chat, fields, messages=messages)
        with answer as reply:
            self.echo.check_model(reply.model, is_first=answer.is_first)
            if len(reply.choices) == 1 < request.n:
                raise self.manners.passed_over()
            return whole_completions(request, reply, thinks=self.asking.thinks)
