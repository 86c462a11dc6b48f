"""Model servers in virtual time, and a load of searches like a benchmark's."""

import asyncio
import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from tests.fakes.virtual_time import VirtualLoop, now
from ttc_client.errors import TransientServerError
from ttc_client.middleware.context import taking_turns
from ttc_client.middleware.levels import Level
from ttc_client.middleware.limits import Limiter, Peers, levelled, limited
from ttc_client.middleware.replica import Replica, unless_gone
from ttc_client.middleware.replicas import Replicas, balanced
from ttc_client.middleware.retries import RetryBudget, retrying

ENDLESS = 1 << 30


def steady(_: int) -> float:
    return 60.0


def saturating(half: float, most: float) -> Callable[[int], float]:
    """Give each of b sequences its part of most * b / (b + half) tokens a second, as GPUs do."""
    return lambda b: most / (b + half)


@dataclass
class Server:
    """Decode up to `slots` sequences together, each at `speed(how many)` tokens a second.

    The others queue. Where more than `queue` would, a request is answered 503, as is each with
    the probability `chance`, whatever the load.
    """

    speed: Callable[[int], float] = steady
    slots: int = ENDLESS
    queue: int = ENDLESS
    chance: float = 0.0
    retry_after_s: float | None = None
    num_tokens: int = 0
    _rng: random.Random = field(default_factory=lambda: random.Random(0))
    _running: list[tuple[float, int, int, asyncio.Future[None]]] = field(default_factory=list)
    _waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    _numbers: count = field(default_factory=count)
    _grown: float = 0.0
    _rate: float = 0.0
    _at_s: float = 0.0
    _timer: asyncio.TimerHandle | None = None

    async def answer(self, sizes: Sequence[int]) -> None:
        room = self.slots + self.queue - len(self._running) - len(self._waiting)
        if len(sizes) > room or self._rng.random() < self.chance:
            await asyncio.sleep(0.001)
            raise TransientServerError(
                "full", url="http://x", status=503, retry_after_s=self.retry_after_s
            )
        ends = [asyncio.get_running_loop().create_future() for _ in sizes]
        self._waiting += zip(sizes, ends, strict=True)
        self.advance()
        for end in ends:
            await end

    def advance(self) -> None:
        """Take account of the time that has passed, and of settings that have changed."""
        self._grown += self._rate * (now() - self._at_s)
        self._at_s = now()
        while self._running and self._running[0][0] <= self._grown + 1e-6:
            *_, size, end = heappop(self._running)
            self.num_tokens += size
            if not end.done():
                end.set_result(None)
        while self._waiting and len(self._running) < self.slots:
            size, end = self._waiting.popleft()
            heappush(self._running, (self._grown + size, next(self._numbers), size, end))
        if self._timer:
            self._timer.cancel()
        if self._running:
            self._rate = self.speed(len(self._running))
            left_s = (self._running[0][0] - self._grown) / self._rate
            self._timer = asyncio.get_running_loop().call_later(max(0.0, left_s), self.advance)


@dataclass(frozen=True)
class Request:
    problem: str
    session: str
    sizes: tuple[int, ...]

    @property
    def num_sequences(self) -> int:
        return len(self.sizes)

    @property
    def num_tokens(self) -> int:
        return sum(self.sizes)


@dataclass(frozen=True)
class Outcome:
    """Means over the last part of a run: tokens a second, sequences in flight; what went wrong."""

    tokens_per_s: float
    in_flight: float
    num_failed: int
    retries_left: float
    levels: tuple[int, ...]


class Load:
    """Problems of `n` candidates in groups of `m`, each group some steps one after the other.

    As many problems are open as a benchmark opens. With a PRM, each step is scored.
    """

    def __init__(
        self,
        policies: Sequence[Server],
        concurrency: int | None = None,
        *,
        prms: Sequence[Server] = (),
        n: int = 16,
        m: int = 4,
        spread: float = 0.8,
        num_problems: int = ENDLESS,
        seed: int = 0,
    ) -> None:
        self._rng = random.Random(seed)
        self._n, self._m, self._spread = n, m, spread
        self._left = num_problems
        self._budget = RetryBudget()
        self._policies = policies
        self.sample, self.limiters = self._stack(policies, concurrency)
        self.score, self.prm_limiters = self._stack(prms, concurrency)
        self._has_prm = bool(prms)
        self._room = Limiter(self._most_open)
        self.num_failed = 0
        self.finished: list[int] = []

    @property
    def _most_open(self) -> int:
        return 2 * sum(limiter.capacity for limiter in self.limiters)

    def _stack(self, servers, concurrency):
        limiters, ports, members, peers = [], [], [], Peers()
        for i, server in enumerate(servers):
            level = Level() if concurrency is None else None
            limiter = Limiter(level.capacity if level else concurrency, peers=peers)
            replica = Replica(f"http://r{i}", limiter)

            async def port(request: Request, server=server) -> int:
                await server.answer(request.sizes)
                return request.num_tokens

            port = unless_gone(port, replica)
            bounded = levelled(port, limiter, level, int) if level else limited(port, limiter)
            limiters.append(limiter)
            ports.append(bounded)
            members.append(replica)
        replicas = Replicas(members)
        call = balanced(replicas, dict(zip(members, ports, strict=True)).__getitem__)
        return retrying(call, 600.0, self._budget, lambda _: None), limiters

    async def _group(self, problem: str, index: int) -> None:
        for _ in range(self._rng.randint(6, 14)):
            mu = math.log(60) - self._spread**2 / 2
            sizes = (self._rng.lognormvariate(mu, self._spread) for _ in range(self._m))
            sizes = tuple(max(1, round(size)) for size in sizes)
            session = f"{problem}/{index}"
            await self.sample(Request(problem, session, sizes))
            self._room.resize(self._most_open)
            if self._has_prm:
                await self.score(Request(problem, session, (1,) * self._m))

    async def _work(self, numbers: count) -> None:
        while (number := next(numbers)) < self._left:
            async with self._room.slots(self._n):
                try:
                    with taking_turns():
                        async with asyncio.TaskGroup() as group:
                            for index in range(self._n // self._m):
                                group.create_task(self._group(f"p{number}", index))
                except* TransientServerError:
                    self.num_failed += 1
                self.finished.append(number)

    async def run(
        self, until_s: float, measured_s: float, events: Sequence[tuple[float, Callable]] = ()
    ) -> Outcome:
        for at_s, event in events:
            asyncio.get_running_loop().call_later(at_s, event)
        numbers, started_s = count(), now()
        workers = [asyncio.create_task(self._work(numbers)) for _ in range(min(self._left, 1000))]
        await asyncio.sleep(until_s - measured_s)
        before = sum(server.num_tokens for server in self._policies)
        in_flight = []
        while now() - started_s < until_s - 1e-6:
            await asyncio.sleep(measured_s / 200)
            in_flight.append(sum(limiter.in_flight for limiter in self.limiters))
        tokens = sum(server.num_tokens for server in self._policies) - before
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        return Outcome(
            tokens / measured_s,
            sum(in_flight) / len(in_flight),
            self.num_failed,
            self._budget.left,
            tuple(limiter.capacity for limiter in self.limiters),
        )


def simulate(
    policies: Callable[[], Sequence[Server]],
    until_s: float,
    measured_s: float,
    concurrency: int | None = None,
    events: Callable[[Sequence[Server]], Sequence[tuple[float, Callable]]] = lambda _: (),
    prms: Callable[[], Sequence[Server]] = lambda: (),
    **load,
) -> Outcome:
    """Run a load against new servers, at a fixed concurrency or an automatic one (None)."""
    random.seed(0)  # of the pauses between retries

    async def run() -> Outcome:
        servers = policies()
        return await Load(servers, concurrency, prms=prms(), **load).run(
            until_s, measured_s, events(servers)
        )

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())
