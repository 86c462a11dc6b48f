"""What opening a policy and opening a verifier share: patience, replicas, limits, a root."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeVar

from ttc_client.clients.http import Server
from ttc_client.doctor.pair import other_models
from ttc_client.errors import ConfigError, GarbledError, TimedOutError, TransientServerError
from ttc_client.middleware import A, Port, R
from ttc_client.middleware.levels import START, Level
from ttc_client.middleware.limits import Limiter, Peers, levelled, limited
from ttc_client.middleware.replica import Replica, unless_gone
from ttc_client.settings.servers import Place, Servers
from ttc_client.types import Message, Problem, Prompt, Trajectory

OPENING_PAUSES_S = (0.3, 0.9)
FUNCTION = "a function"

T = TypeVar("T")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Opened(Generic[C]):
    """A client, and the server that it speaks to; `ask_model` asks that for its model again.

    Both are None for what is at no server.
    """

    name: str
    client: C
    model: str
    server: Server | None = None
    ask_model: Callable[[], Awaitable[str]] | None = None


async def patiently(connect: Callable[[], Awaitable[T]]) -> T:
    """Connect to a server that may stumble, but not for long: the user waits to hear of it."""
    for pause_s in OPENING_PAUSES_S:
        try:
            return await connect()
        except (TransientServerError, GarbledError) as error:
            if isinstance(error, TimedOutError):
                raise
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.5))
    return await connect()


def check_replicas(role: str, served: Sequence[tuple[str, str | None]]) -> None:
    """Raise ConfigError for a replica of another model."""
    for _, check in other_models(role, served):
        raise ConfigError(f"{check.seen}: {check.fix}")


def name_of(servers: Servers, model: str, places: Sequence[Place]) -> str:
    """Return a model with where it is, as named, but for the demo models."""
    named = [place if isinstance(place, str) else FUNCTION for place in places]
    return model if servers.is_demo else f"{model} at {', '.join(named)}"


async def root_of(
    problem: Problem,
    messages: Sequence[Message],
    ask: Callable[[Sequence[Message]], Awaitable[Trajectory]],
) -> Trajectory:
    """Return the empty trajectory of a problem, which only its server renders for its chat API."""
    if problem.chat:
        return Trajectory(Prompt(tuple(messages), ends=problem.ends, chat=problem.chat))
    root = await ask(messages)
    return replace(root, prompt=replace(root.prompt, ends=problem.ends)) if problem.ends else root


class Bounded:
    """A replica with a limiter of its own, whose level is found unless a number is set.

    Load counts by what the limiter lets through. One of `share` clients begins at, or has, its
    part. What waits for it may move to its `peers`.
    """

    def __init__(
        self, opened: Opened[Any], concurrency: int | Literal["auto"], share: int, peers: Peers
    ) -> None:
        self.level: Level | None = None
        if concurrency == "auto":
            self.level = Level(opened.name, max(1, START // share))
            concurrency = self.level.capacity
        else:
            concurrency = max(1, concurrency // share)
        self.limiter = Limiter(concurrency, peers=peers)
        self.replica = Replica(opened.name, self.limiter, opened.model, opened.ask_model)

    def port(self, client: Port[R, A], work: Callable[[A], int]) -> Port[R, A]:
        """Stack the wrappers that each replica has."""
        port = unless_gone(client, self.replica)
        if self.level is None:
            return limited(port, self.limiter)
        return levelled(port, self.limiter, self.level, work)
