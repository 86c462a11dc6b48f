"""Async functions in the place of servers, from a notebook or a test."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_client.clients.prompts import render_llama3, text_step
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.scores import PRMFacts, checked_scores
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Message, Prompt, Step, Trajectory

PolicyFunction = Callable[[SampleRequest], Awaitable[Samples | Sequence[str | Step]]]
"""Gets the request, with `messages` and, in Llama 3's template, the `text` so far; returns its `n`
continuations as texts, as steps, or as samples."""

VerifierFunction = Callable[[ScoreRequest], Awaitable[Scores | Sequence[Sequence[float]]]]
"""Gets the request, with `question`, `prefix` and `items`; returns a score in [0, 1] for each step
of each item."""


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)


@dataclass(frozen=True, slots=True)
class FunctionPolicy:
    """A function as a policy. A text that ends with a stop string goes on; another is complete."""

    function: PolicyFunction
    model: str
    context_length: int | None = None
    speaks_ids = False
    most_choices = None
    address = None

    @classmethod
    def of(cls, function: PolicyFunction) -> "FunctionPolicy":
        """Name the model by the function."""
        return cls(function, _name(function))

    async def root(self, messages: Sequence[Message]) -> Trajectory:
        """Return the empty trajectory of a prompt."""
        return Trajectory(Prompt(tuple(messages), render_llama3(messages)))

    async def written(self, text: str) -> Step:
        """Return a text as a step."""
        return text_step(text)

    async def room(self, trajectory: Trajectory, wanted: int) -> int:
        """Return how many tokens may follow: as many as wanted, as far as is known."""
        return wanted

    async def sample(self, request: SampleRequest) -> Samples:
        """Call the function; raises ProtocolError for another number of continuations."""
        reply = await self.function(request)
        samples = reply if isinstance(reply, Samples) else _samples(request, reply)
        if len(samples.steps) != request.n:
            raise _unexpected(self.model, f"{len(samples.steps)} continuations, not {request.n}")
        return samples


@dataclass(frozen=True, slots=True)
class FunctionVerifier:
    """A function as a verifier."""

    function: VerifierFunction
    name: str
    facts = PRMFacts()

    @classmethod
    def of(cls, function: VerifierFunction) -> "FunctionVerifier":
        """Name the model by the function."""
        return cls(function, _name(function))

    async def score(self, request: ScoreRequest) -> Scores:
        """Call the function; raises ProtocolError unless each step has a score in [0, 1]."""
        reply = await self.function(request)
        scores = reply.scores if isinstance(reply, Scores) else reply
        shape = [len(item) for item in scores], [len(item) for item in request.items]
        if shape[0] != shape[1]:
            raise _unexpected(self.name, f"scores of the shape {shape[0]}, not {shape[1]}")
        try:
            checked = checked_scores(request, [score for item in scores for score in item])
        except Unexpected as error:
            raise _unexpected(self.name, str(error)) from error
        return Scores(checked, reply.usage) if isinstance(reply, Scores) else Scores(checked)


async def no_policy(request: SampleRequest) -> Sequence[str]:
    """Stand in the place of a policy where only a verifier is asked; raises ValueError."""
    raise ValueError("there is no policy: nothing can be sampled")


def _samples(request: SampleRequest, reply: Sequence[str | Step]) -> Samples:
    return Samples(tuple(s if isinstance(s, Step) else _step(request, s) for s in reply))


def _step(request: SampleRequest, text: str) -> Step:
    goes_on = bool(request.stop) and text.endswith(request.stop)
    return Step(text, "stop" if goes_on else "eos", num_tokens=len(text.split()))


def _unexpected(name: str, problem: str) -> ProtocolError:
    return ProtocolError(f"{name} returned {problem}", url=name)
