"""The policy in a TGI server: text in, text out, a request per continuation.

`/generate` takes neither token ids nor a number of continuations, and puts a BOS before every
text, so the template is rendered here, without one. The stop string stays in what comes back.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.prompts import policy_prompt
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.usage import Count
from ttc_client.deadlines import clock_stopped
from ttc_client.errors import ConfigError, ContextLengthError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.together import together
from ttc_client.types import Finish, Step, Trajectory, Usage

T = TypeVar("T")
A = TypeVar("A")

_FINISHES: dict[str, Finish] = {"stop_sequence": "stop", "eos_token": "eos", "length": "length"}
_SEED_ZERO = 1 << 52
"""Stands for the seed 0, which TGI refuses; the seeds of a run lie below."""


class _Info(msgspec.Struct):
    model_id: str
    max_input_tokens: int
    max_total_tokens: int
    max_concurrent_requests: int = 128


class _Details(msgspec.Struct):
    finish_reason: str
    generated_tokens: Count


class _Generated(msgspec.Struct):
    generated_text: str
    details: _Details


@dataclass(frozen=True, slots=True)
class TGIModel:
    """What a TGI server serves, and its limits.

    It reads `max_input_tokens`, and holds `max_total_tokens` with what it generates. A request
    that finds no free slot is refused, so `slots` makes it wait here.
    """

    server: Server
    name: str
    max_input_tokens: int
    max_total_tokens: int
    slots: asyncio.Semaphore

    @classmethod
    async def connect(cls, server: Server, wanted: str | None) -> "TGIModel":
        """Ask the server for all of it."""
        info = await server.get("/info", _Info)
        if wanted not in (None, info.model_id):
            raise ConfigError(f"model is {wanted!r}, but {server.url} serves {info.model_id}")
        slots = asyncio.Semaphore(info.max_concurrent_requests)
        return cls(server, info.model_id, info.max_input_tokens, info.max_total_tokens, slots)

    async def generate(
        self,
        text: str,
        parameters: Mapping[str, Any],
        reply: type[T],
        read: Callable[[T], A],
        session: str,
    ) -> A:
        """Generate after a text, as soon as the server has a slot free, and `read` the answer."""
        payload = {"inputs": text, "parameters": parameters}
        with clock_stopped():
            await self.slots.acquire()
        try:
            return await self.server.ask("/generate", payload, reply, read, session)
        finally:
            self.slots.release()

    async def room(self, text: str, wanted: int) -> int:
        """Return how many tokens may follow a text, `wanted` at most; below 1 if it is too long.

        A token is at least a byte long, so only long texts need the server's count.
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
    system_prompt: str
    asks_singly = True

    @classmethod
    async def connect(cls, server: Server, model: str | None, system_prompt: str) -> "TGIPolicy":
        """Ask the server what it serves."""
        return cls(await TGIModel.connect(server, model), system_prompt)

    @property
    def model(self) -> str:
        """What the server calls the model."""
        return self.tgi.name

    async def root(self, problem: str) -> Trajectory:
        """Return the empty trajectory of a problem, templated."""
        return Trajectory(problem, policy_prompt(self.model, problem, self.system_prompt))

    async def sample(self, request: SampleRequest) -> Samples:
        """Sample `n` continuations in as many requests; cancelling closes them all.

        TGI counts the tokens that it generates, and says nothing of those that it reads.
        """
        text = request.trajectory.prompt + request.trajectory.text
        room = await self.tgi.room(text, request.max_tokens)
        if room < 1:
            if not request.trajectory.steps:
                raise self._too_long()
            return Samples((Step("", "length", 0),) * request.n, (), Usage())
        steps = await together(
            self._step(request, text, _parameters(request, index, room))
            for index in range(request.n)
        )
        tokens = sum(step.num_tokens for step in steps)
        return Samples(steps, (), Usage(completion_tokens=tokens, policy_requests=request.n))

    def _too_long(self) -> ContextLengthError:
        return ContextLengthError(
            f"the prompt fills the {self.tgi.max_input_tokens} tokens that {self.model} at "
            f"{self.tgi.server.url} reads: shorten the problem or the system prompt, or start TGI "
            "with higher --max-input-tokens and --max-total-tokens",
            url=self.tgi.server.url,
        )

    async def _step(self, request: SampleRequest, text: str, parameters: dict[str, Any]) -> Step:
        read = partial(_read_step, request, parameters["max_new_tokens"])
        return await self.tgi.generate(text, parameters, _Generated, read, request.session)


def _read_step(request: SampleRequest, max_tokens: int, reply: _Generated) -> Step:
    reason, num_tokens = reply.details.finish_reason, reply.details.generated_tokens
    finish = _FINISHES.get(reason)
    if finish is None:
        raise Unexpected(f"a text that ended with {reason!r}")
    if finish == "stop" and not reply.generated_text.endswith(request.stop):
        raise Unexpected("a text that ended by a stop string, not asked for or cut off")
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    return Step(reply.generated_text, finish, num_tokens)


def _parameters(request: SampleRequest, index: int, max_tokens: int) -> dict[str, Any]:
    """Set every sampling field, but for those whose neutral value TGI refuses."""
    parameters: dict[str, Any] = {
        "do_sample": request.temperature > 0,
        "max_new_tokens": max_tokens,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "stop": request.stop,
        "details": True,
        "return_full_text": False,
    }
    if request.temperature > 0:
        parameters["temperature"] = request.temperature
    if request.top_p < 1:
        parameters["top_p"] = request.top_p
    if request.seed is not None:
        parameters["seed"] = request.seed + index or _SEED_ZERO
    return parameters
