"""The policy in a TGI server: text in, text out, a request per continuation.

`/generate` takes neither token ids nor a number of continuations. It puts a BOS before every
text, so the template is rendered here, without one. The stop string is part of the answer.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import msgspec

from ttc_client.clients.chat import sample_chat
from ttc_client.clients.echo import check_seed
from ttc_client.clients.finishes import names_stop_string, whole_finish
from ttc_client.clients.full_context import within_context
from ttc_client.clients.http import Answer, Server
from ttc_client.clients.logprobs import token_logprobs
from ttc_client.clients.manners import Manners
from ttc_client.clients.prompts import text_step
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.templates import (
    FIX,
    Asking,
    Render,
    chat_tokenize,
    find_render,
    skips_thoughts,
)
from ttc_client.clients.usage import Count
from ttc_client.deadlines import clock_stopped
from ttc_client.errors import ConfigError, ContextLengthError, RequestError, TooManyError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.thoughts import opened_by
from ttc_client.types import Finish, Message, Prompt, Step, Trajectory, Usage

T = TypeVar("T")

_MAX_TOP_TOKENS = 5
"""What a TGI server allows unless it was started with more."""
_SEED_ZERO = 1 << 52
"""Sent for the seed 0, which TGI refuses; all other seeds of a run are below it."""


class _Info(msgspec.Struct):
    model_id: str
    max_input_tokens: int
    max_total_tokens: int
    max_concurrent_requests: int = 128


class _Token(msgspec.Struct):
    logprob: float | None = None


class _Details(msgspec.Struct):
    finish_reason: str
    generated_tokens: Count
    seed: int | None = None
    tokens: list[_Token] = []
    top_tokens: list[list[_Token]] | None = None


class _Generated(msgspec.Struct):
    generated_text: str
    details: _Details


@dataclass(frozen=True, slots=True)
class TGIModel:
    """What a TGI server serves, and its limits.

    It reads at most `max_input_tokens`, and reads and generates at most `max_total_tokens`. It
    refuses a request when all its slots are taken, so requests wait for one of `slots` here.
    """

    server: Server
    name: str
    max_input_tokens: int
    max_total_tokens: int
    slots: asyncio.Semaphore

    @classmethod
    async def connect(cls, server: Server, wanted: str | None) -> "TGIModel":
        """Ask the server for all of it.

        Raises ConfigError if it does not serve the model `wanted`.
        """
        info = await server.get("/info", _Info)
        if wanted not in (None, info.model_id):
            raise ConfigError(f"model is {wanted!r}, but {server.url} serves {info.model_id}")
        slots = asyncio.Semaphore(info.max_concurrent_requests)
        return cls(server, info.model_id, info.max_input_tokens, info.max_total_tokens, slots)

    async def generate(
        self, text: str, parameters: Mapping[str, Any], reply: type[T], session: str
    ) -> Answer[T]:
        """Generate after a text, as soon as the server has a slot free."""
        payload = {"inputs": text, "parameters": parameters}
        with clock_stopped():
            await self.slots.acquire()
        try:
            return await self.server.ask("/generate", payload, reply, session)
        finally:
            self.slots.release()

    async def room(self, text: str, wanted: int) -> int:
        """Return how many tokens may follow a text, `wanted` at most; below 1 if none.

        A token has at least one byte, so only long texts are counted by the server.
        """
        limit = min(self.max_total_tokens, self.max_input_tokens + wanted)
        if len(text.encode()) + 1 + wanted <= limit:
            return wanted
        tokens = await self.server.post("/tokenize", {"inputs": text}, list[msgspec.Raw])
        if len(tokens) > self.max_input_tokens:
            return 0
        return min(wanted, self.max_total_tokens - len(tokens))


@dataclass(frozen=True, slots=True)
class TGIPolicy:
    """A policy behind `POST /generate` of TGI; open one with `connect`."""

    tgi: TGIModel
    asking: Asking
    render: Render
    manners: Manners
    most_choices = 1
    speaks_ids = False

    @classmethod
    async def connect(
        cls, server: Server, model: str | None, asking: Asking | None = None
    ) -> "TGIPolicy":
        """Ask the server for its model, its limits and its template.

        Raises ConfigError if it does not serve the model that is named, or has no template.
        """
        tgi, asking = await TGIModel.connect(server, model), asking or Asking()
        render = await find_render(server, asking, (chat_tokenize,))
        if render is None:
            unsaid = f"{server.url} does not say how {tgi.name} reads a conversation"
            raise ConfigError(f"{unsaid}: {FIX}")
        asking = replace(asking, skips_thought=await skips_thoughts(render))
        return cls(tgi, asking, render, Manners(server.url))

    @property
    def address(self) -> Server:
        """The server, whose API is found where TGI has it."""
        return self.tgi.server

    @property
    def model(self) -> str:
        """What the server calls the model."""
        return self.tgi.name

    @property
    def context_length(self) -> int:
        """How many tokens the server reads and generates."""
        return self.tgi.max_total_tokens

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt, templated."""
        text = await self.render(messages)
        return Trajectory(Prompt(tuple(messages), text, closes_thought=opened_by(text)))

    async def written(self, text: str) -> Step:
        """Return a text as a step."""
        return text_step(text)

    async def room(self, trajectory: Trajectory, wanted: int) -> int:
        """Return how many tokens may follow a trajectory, `wanted` at most; below 1 if none."""
        return await self.tgi.room(trajectory.prompt.text + trajectory.text, wanted)

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample one continuation; TGI counts the tokens it generates, but not those it reads.

        Raises TooManyError for n > 1, ContextLengthError for a prompt that fills the context,
        and ServerError. A trajectory that fills it has an empty continuation, cut by length.
        """
        url = self.tgi.server.url
        if request.n > 1:
            raise TooManyError(url)
        if request.min_p or request.presence_penalty:
            raise RequestError(
                "TGI has neither min_p nor presence_penalty: leave them out", url=url
            )
        return await within_context(self._sample, request)

    async def _sample(self, request: SampleRequest) -> Samples:
        if request.trajectory.prompt.chat:
            return await sample_chat(
                self.tgi.server, self.model, self.manners, self.asking, request
            )
        max_tokens = await self.room(request.trajectory, request.max_tokens)
        if max_tokens < 1:
            if not request.trajectory.steps:
                raise self._too_long()
            return Samples((Step("", "length", 0),), (), Usage())
        text = request.text
        parameters = _parameters(request, max_tokens) | dict(self.asking.extra_body)
        answer = await self.tgi.generate(text, parameters, _Generated, request.session)
        with answer as reply:
            if not answer.is_first:
                check_seed(parameters.get("seed"), reply.details.seed)
            step = _step(request, max_tokens, reply)
        usage = Usage(completion_tokens=step.num_tokens, policy_requests=1)
        return Samples((step,), (), usage)

    def _too_long(self) -> ContextLengthError:
        return ContextLengthError(
            f"the prompt fills the {self.tgi.max_input_tokens} tokens that {self.model} at "
            f"{self.tgi.server.url} reads: shorten the problem or the system prompt, or start TGI "
            "with higher --max-input-tokens and --max-total-tokens",
            url=self.tgi.server.url,
        )


def _step(request: SampleRequest, max_tokens: int, reply: _Generated) -> Step:
    reason, num_tokens = reply.details.finish_reason, reply.details.generated_tokens
    finish: Finish = "stop"
    if not names_stop_string(reason):
        finish = whole_finish(reason, wrote=bool(reply.generated_text))
    text = reply.generated_text
    if finish == "stop" and (end := next(filter(text.endswith, request.ends), "")):
        text, finish = text.removesuffix(end), "eos"
    if finish == "stop" and not text.endswith(request.stop):
        raise Unexpected("a text that ended by a stop string, not asked for or cut off")
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    step = Step(text, finish, num_tokens)
    if request.top_logprobs is None:
        return step
    own = [token.logprob for token in reply.details.tokens]
    likeliest = [[token.logprob for token in top] for top in reply.details.top_tokens or ()]
    logprobs = token_logprobs(own, likeliest, request.top_logprobs)
    return replace(step, logprobs=logprobs.own, confidences=logprobs.confidences)


def _parameters(request: SampleRequest, max_tokens: int) -> dict[str, Any]:
    """Set every sampling field, except where TGI refuses its neutral value."""
    parameters: dict[str, Any] = {
        "do_sample": request.temperature > 0,
        "max_new_tokens": max_tokens,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "stop": request.stop + request.ends,
        "details": True,
        "return_full_text": False,
    }
    if request.temperature > 0:
        parameters["temperature"] = request.temperature
    if request.top_k > 0:
        parameters["top_k"] = request.top_k
    if request.top_p < 1:
        parameters["top_p"] = request.top_p
    if request.seed is not None:
        parameters["seed"] = request.seed or _SEED_ZERO
    if request.top_logprobs:
        parameters["top_n_tokens"] = min(request.top_logprobs, _MAX_TOP_TOKENS)
    return parameters
