"""The policy in a vLLM server: token ids in, token ids out.

The prompt is templated and tokenized once per problem. Every later step continues from the ids
that the server returned. So no step boundary is tokenized again, there is one BOS, no delimiter
is trimmed, and every request finds its prefix in the server's cache.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ttc_client.clients.chat import sample_chat
from ttc_client.clients.echo import Echo, check_length
from ttc_client.clients.finishes import kept, whole_finish
from ttc_client.clients.full_context import within_context
from ttc_client.clients.http import Answer, Server
from ttc_client.clients.ids import by_ids
from ttc_client.clients.logprobs import read_logprobs
from ttc_client.clients.manners import Manners
from ttc_client.clients.models import served_policy
from ttc_client.clients.prompts import render_llama3, text_step
from ttc_client.clients.replies import Dropped, Unexpected, in_order
from ttc_client.clients.templates import (
    FIX,
    Asking,
    Render,
    as_chat,
    find_render,
    folded,
    prompt_end,
)
from ttc_client.clients.tokenization import TokenId, is_llama3, tokenize, tokenize_chat
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.errors import ContextLengthError, RequestError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.thoughts import ends_thought, opened_by
from ttc_client.types import Message, Prompt, Step, Trajectory, Usage


class _Choice(msgspec.Struct):
    index: int
    text: str
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: tuple[TokenId, ...] | None = None
    prompt_token_ids: msgspec.Raw = msgspec.Raw(b"null")
    """Repeated in every choice; decoded only where the prompt was sent as text."""
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: TokenUsage | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class VLLMPolicy:
    """A policy behind `POST /v1/completions` of vLLM; open one with `connect`."""

    server: Server
    model: str
    context_length: int | None
    is_llama3: bool
    echo: Echo
    manners: Manners
    asking: Asking = field(default_factory=Asking)
    render: Render | None = None
    closes_thought: str = ""

    @classmethod
    async def connect(
        cls, server: Server, model: str | None, asking: Asking | None = None
    ) -> "VLLMPolicy":
        """Ask the server for its model, and for the template that this model takes.

        Raises ConfigError if it does not serve the model that is named.
        """
        server, name, context_length = await served_policy(server, model)
        reads_llama3 = await is_llama3(server)
        asking = asking or Asking()
        render = await find_render(server, asking, ())
        end = "" if reads_llama3 else await prompt_end(server, asking)
        asking = replace(asking, skips_thought=ends_thought(end))
        found = Echo(name), Manners(server.url), asking, render, opened_by(end)
        return cls(server, name, context_length, reads_llama3, *found)

    @property
    def address(self) -> Server:
        """The server, with its API where it was found."""
        return self.server

    @property
    def speaks_ids(self) -> bool:
        """Whether it continues from token ids: not where the server turned out to refuse them."""
        return self.manners.takes_ids is not False

    @property
    def most_choices(self) -> int | None:
        """How many continuations a request may ask for, None where no limit is known."""
        return self.manners.most

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated and tokenized.

        A template that the user named comes first. Llama 3 gets the fixed one of the blog post;
        other models the server's own, which may trim earlier answers in the conversation, but not
        what is sampled. Raises RequestError where there is none of them.
        """
        turns = tuple(messages)
        try:
            return Trajectory(await self._prompt(turns))
        except RequestError as error:
            if error.status != 404:
                raise
        # behind a gateway: the first reply tells the ids of the prompt's text
        if self.render is None:
            said = f"{self.server.url} has no /tokenize to render a prompt"
            raise RequestError(f"{said}: {FIX}", url=self.server.url)
        text = await self.render(turns)
        return Trajectory(Prompt(turns, text, closes_thought=opened_by(text)))

    async def _prompt(self, turns: tuple[Message, ...]) -> Prompt:
        if self.render or self.is_llama3:
            text = await self.render(turns) if self.render else render_llama3(turns)
            ids = await tokenize(self.server, text, add_special_tokens=True)
            return Prompt(turns, text, ids, closes_thought=opened_by(text))
        ids = await self._templated(turns)
        return Prompt(turns, "", ids, closes_thought=self.closes_thought)

    async def _templated(self, turns: tuple[Message, ...]) -> tuple[int, ...]:
        """Return a prompt in the model's own template, which may refuse a system message."""
        try:
            return await tokenize_chat(
                self.server, as_chat(turns), add_generation_prompt=True, asking=self.asking
            )
        except RequestError as error:
            if error.status != 400 or (without_system := folded(turns)) == turns:
                raise
        return await self._templated(without_system)

    async def written(self, text: str) -> Step:
        """Return a text as a step, tokenized by itself; without ids behind a gateway."""
        try:
            ids = await tokenize(self.server, text, add_special_tokens=False)
        except RequestError as error:
            if error.status != 404:
                raise
            return text_step(text)
        return Step(text, "stop", len(ids), ids)

    async def room(self, trajectory: Trajectory, wanted: int) -> int:
        """Return how many tokens may follow a trajectory, `wanted` at most; below 1 if none."""
        return self._room(len(trajectory.token_ids), wanted)

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations in one request; their ids include the stop string's token.

        Raises ContextLengthError for a prompt that fills the context, TooManyError where the
        server turns out to take one continuation per request, and ServerError. A trajectory that
        fills the context has empty continuations, cut by length.
        """
        return await within_context(self._sample, request)

    async def _sample(self, request: SampleRequest) -> Samples:
        if request.trajectory.prompt.chat:
            return await sample_chat(self.server, self.model, self.manners, self.asking, request)
        ids = request.trajectory.token_ids
        max_tokens = self._room(len(ids), request.max_tokens)
        if max_tokens < 1:
            if not request.trajectory.steps:
                raise self._too_long(len(ids))
            return Samples((Step("", "length", 0),) * request.n, ids, Usage())
        sent = msgspec.json.encode(ids)

        def ask(prompt: msgspec.Raw | str) -> Awaitable[Answer[_Completion]]:
            return self.manners.ask(
                lambda fields: self.server.ask(
                    f"{self.server.api}/completions", fields, _Completion, request.session
                ),
                self._payload(request, prompt, max_tokens),
            )

        known = request.text if request.trajectory.prompt.text else ""
        answer = await by_ids(self.manners, ask, msgspec.Raw(sent) if ids else None, known)
        with answer as reply:
            if len(reply.choices) == 1 < request.n:
                raise self.manners.passed_over()
            choices = in_order(reply.choices, request.n)
            self.echo.check_model(reply.model)
            if ids and self.speaks_ids:
                self.echo.check_prompt(sent, choices[0].prompt_token_ids)
                if not answer.is_first:
                    counts = counted(reply.usage).prompt_tokens or 0
                    check_length(len(ids), request.n, counts)
            read = [_step(request, max_tokens, choice) for choice in choices]
            return kept(read, _spent(reply.usage, read), ids or _prompt_ids(choices[0]))

    def _room(self, length: int, wanted: int) -> int:
        return wanted if self.context_length is None else min(wanted, self.context_length - length)

    def _too_long(self, length: int) -> ContextLengthError:
        return ContextLengthError(
            f"the prompt has {length} tokens, but {self.model} at {self.server.url} reads "
            f"{self.context_length}: shorten the problem or the system prompt, or serve the model "
            "with a longer context",
            url=self.server.url,
        )

    def _payload(
        self, request: SampleRequest, prompt: msgspec.Raw | str, max_tokens: int
    ) -> dict[str, Any]:
        """Set every sampling field, because servers fill the others from the model's defaults."""
        payload: dict[str, Any] = {
            "model": self.model,
            "prompt": prompt,
            "n": request.n,
            "max_tokens": max_tokens,
            "temperature": request.temperature,
            "top_p": request.top_p,
            "top_k": request.top_k,
            "min_p": request.min_p,
            "repetition_penalty": 1.0,
            "presence_penalty": request.presence_penalty,
            "frequency_penalty": 0.0,
            "stop": request.stop + request.ends,
            "include_stop_str_in_output": True,
            "return_token_ids": True,
        }
        if request.seed is not None:
            payload["seed"] = request.seed
        if request.top_logprobs is not None:
            payload["logprobs"] = request.top_logprobs
            payload["return_tokens_as_token_ids"] = True  # tokens that read alike stay apart
        return {**payload, **self.asking.extra_body}


def _prompt_ids(choice: _Choice) -> tuple[int, ...]:
    try:
        ids = msgspec.json.decode(choice.prompt_token_ids, type=tuple[TokenId, ...] | None)
    except msgspec.ValidationError as error:
        raise Unexpected(f"{error} of prompt_token_ids") from error
    if not ids:
        raise Unexpected("no ids of the prompt; a server that has none needs --policy-api openai")
    return ids


def _spent(usage: TokenUsage | None, read: Sequence[Step | Dropped]) -> Usage:
    """Return what a reply cost; the tokens written are known where the server counts none."""
    said = counted(usage)
    if not said.completion_tokens:
        written = sum(step.num_tokens for step in read if isinstance(step, Step))
        said = TokenUsage(said.prompt_tokens, written)
    return said.by_policy()


def _step(request: SampleRequest, max_tokens: int, choice: _Choice) -> Step | Dropped:
    """Return a choice as a step, or as Dropped where the server gave it up."""
    text, ids, stop = choice.text, choice.token_ids, choice.stop_reason
    if ids is None:
        raise Unexpected("no token ids; a server that has none needs --policy-api openai")
    num_tokens = len(ids)
    if text and not ids:
        raise Unexpected("a text without tokens")
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    try:
        finish = whole_finish(
            choice.finish_reason, wrote=num_tokens > 0, used_up=num_tokens == max_tokens
        )
    except Dropped as dropped:
        return dropped
    if finish == "eos" and isinstance(stop, str):  # else the model's own end, or a stop token
        if stop in request.ends:
            text = text.removesuffix(stop)
        elif stop in request.stop and text.endswith(stop):
            finish = "stop"
        else:
            raise Unexpected(f"a choice ended by {stop!r}, not asked for or cut off")
    if request.top_logprobs is None:
        return Step(text, finish, num_tokens, ids)
    logprobs = read_logprobs(choice.logprobs, request.top_logprobs)
    return Step(
        text, finish, num_tokens, ids, logprobs=logprobs.own, confidences=logprobs.confidences
    )
