"""Simulate a fleet of uneven replicas, and spread the same load over it in four ways.

Run it from a checkout: `python -m scripts.bench.fleet`. In virtual time: each replica decodes 32
sequences at once, each at 15 to 60 tokens a second, a speed of its own, and queues the others.
Searches of 16 candidates in subtrees of 4 go 6 to 14 steps of some 60 tokens, after a prompt of
300; a prefix that a replica does not hold is read again, 50 tokens in the time of one written.
Where a subtree is, and so what a replica holds of it, is counted; nothing is evicted.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, cycle

from tests.fakes.scripted_process import print_table
from tests.fakes.simulated import Load, Request, Server
from tests.fakes.virtual_time import VirtualLoop, now
from ttc_client.middleware.levels import START, Level
from ttc_client.middleware.limits import Limiter, Peers, levelled, limited
from ttc_client.middleware.replica import Replica, unless_gone
from ttc_client.middleware.replicas import Replicas, balanced

SLOTS, SLOWEST, FASTEST = 32, 15.0, 60.0
PROMPT_TOKENS, READ_PER_WRITTEN = 300, 50
TIMES_S = 30.0, 60.0
"""Before the measurement, and of it."""

Chooser = Callable[[Sequence[Limiter]], Callable[[], int]]
"""Given the replicas' limiters, what gives the place of the one that the next request goes to."""


def _at_random(limiters: Sequence[Limiter]) -> Callable[[], int]:
    return lambda: random.randrange(len(limiters))


def _in_turn(limiters: Sequence[Limiter]) -> Callable[[], int]:
    places = cycle(range(len(limiters)))
    return lambda: next(places)


def _least_loaded(limiters: Sequence[Limiter]) -> Callable[[], int]:
    def choose() -> int:
        loads = [one.in_flight + len(one._waiting) for one in limiters]
        least = min(loads)
        return random.choice([place for place, load in enumerate(loads) if load == least])

    return choose


OURS = "ours"
WAYS: dict[str, Chooser | None] = {
    "random": _at_random,
    "round-robin": _in_turn,
    "least-loaded": _least_loaded,
    OURS: None,
}


@dataclass
class Held:
    """What of each subtree's text one replica holds, in tokens; what it was asked to read."""

    tokens: Counter[str] = field(default_factory=Counter)
    hits: int = 0
    asked: int = 0


class FleetLoad(Load):
    """A load on replicas, spread in one of WAYS; counts what their prefix caches hold."""

    def __init__(self, servers: Sequence[Server], way: str, concurrency: int | None, share: float):
        self._way, self._share = way, share
        self.lengths: Counter[str] = Counter()
        self.held = [Held() for _ in servers]
        super().__init__(servers, concurrency)

    @property
    def _most_open(self) -> int:
        return round(self._share * SLOTS * len(self._policies))

    def _stack(self, servers, concurrency):
        chooser = WAYS[self._way]
        peers = Peers()
        limiters, replicas, ports = [], [], []
        for place, server in enumerate(servers):
            level = Level() if concurrency is None else None
            size = START if concurrency is None else concurrency
            limiter = Limiter(size) if chooser else Limiter(size, peers=peers)
            replica = Replica(f"http://r{place}", limiter)
            port = unless_gone(self._port(server, self.held[place]), replica)
            ports.append(levelled(port, limiter, level, int) if level else limited(port, limiter))
            limiters.append(limiter)
            replicas.append(replica)
        if chooser:
            choose = chooser(limiters)
            return (lambda request: ports[choose()](request)), limiters
        port_of = dict(zip(replicas, ports, strict=True))
        return balanced(Replicas(replicas), port_of.__getitem__), limiters

    def _port(self, server: Server, held: Held) -> Callable[[Request], Awaitable[int]]:
        async def port(request: Request) -> int:
            length = PROMPT_TOKENS + self.lengths[request.session]
            known = held.tokens[request.session]
            held.asked += length
            held.hits += known
            first, *others = request.sizes
            await server.answer((first + (length - known) // READ_PER_WRITTEN, *others))
            self.lengths[request.session] += first
            held.tokens[request.session] = length + first
            return request.num_tokens

        return port


@dataclass(frozen=True)
class Found:
    """What was written, as a share of what the fleet can write; and means over the time measured.

    `free` is the share of the slots that were free while a request queued anywhere, `idle` the
    number of replicas with room for a request that waited in the client for another replica.
    `imbalance` is the fullest replica's sequences, running and queued, over the mean, and `hits`
    the share of the prompts' tokens that the replica held.
    """

    written: float
    free: float
    idle: float
    imbalance: float
    hits: float


async def _measure(
    num: int, way: str, concurrency: int | None, share: float, times: tuple[float, float]
):
    rng = random.Random(1)
    speeds = [rng.uniform(SLOWEST, FASTEST) for _ in range(num)]
    servers = [Server(lambda _, speed=speed: speed, slots=SLOTS) for speed in speeds]
    load = FleetLoad(servers, way, concurrency, share)
    numbers = count()
    workers = [
        asyncio.create_task(load._work(numbers)) for _ in range(round(share * num * SLOTS / 16))
    ]
    warm_s, for_s = times
    await asyncio.sleep(warm_s)
    before, began_s = sum(server.num_tokens for server in servers), now()
    for held in load.held:
        held.hits = held.asked = 0
    free, idle, most = [], [], []
    while now() < began_s + for_s:
        await asyncio.sleep(0.25)
        running = [len(server._running) for server in servers]
        waiting = [sum(one[2] for one in limiter._waiting) for limiter in load.limiters]
        roomy = [one for one in load.limiters if not one._waiting and one.fits(load._m)]
        idle.append(len(roomy) if any(waiting) else 0)
        queued = [w + len(server._waiting) for w, server in zip(waiting, servers, strict=True)]
        free.append(1 - sum(running) / num / SLOTS if any(queued) else 0.0)
        loads = [r + q for r, q in zip(running, queued, strict=True)]
        most.append(max(loads) * num / max(1, sum(loads)))
    tokens = sum(server.num_tokens for server in servers) - before
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return Found(
        tokens / (now() - began_s) / (SLOTS * sum(speeds)),
        sum(free) / len(free),
        sum(idle) / len(idle),
        sum(most) / len(most),
        sum(held.hits for held in load.held) / sum(held.asked for held in load.held),
    )


def simulated(
    num: int, way: str, concurrency: int | None, share: float, times: tuple[float, float] = TIMES_S
) -> Found:
    """Spread a load over `num` replicas; `share` says how many sequences are open for each slot."""
    random.seed(0)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_measure(num, way, concurrency, share, times))


async def _choosing_us(num: int) -> float:
    """Return the CPU time of sending a request to one of `num` replicas that answer at once."""
    replicas = Replicas(Replica(f"http://r{place}", Limiter(256)) for place in range(num))

    async def answer(request: Request) -> int:
        await asyncio.sleep(0)
        return request.num_tokens

    call = balanced(replicas, lambda _: answer)
    rng = random.Random(0)
    requests = [
        Request("", f"s{place % 2000}", (rng.randint(100, 3000),)) for place in range(20_000)
    ]

    async def work(place: int) -> None:
        for request in requests[place::500]:
            await call(request)

    began_s = time.process_time()
    await asyncio.gather(*map(work, range(500)))
    return 1e6 * (time.process_time() - began_s) / len(requests)


def main() -> None:
    """Print a line for each way and load."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=128, help="(default: 128)")
    parser.add_argument(
        "--concurrency", type=int, help="sequences in flight at each (default: found, as by auto)"
    )
    parser.add_argument("--cost", action="store_true", help="what choosing a replica takes")
    args = parser.parse_args()
    if args.cost:
        for num in (2, 8, args.replicas):
            print(f"{num} replicas: {asyncio.run(_choosing_us(num)):.1f} µs of CPU a request")
        return
    rows = []
    for share in (2.0, 4.0, 8.0):
        for way in WAYS:
            found = simulated(args.replicas, way, args.concurrency, share)
            written, free, hits = (f"{x:.0%}" for x in (found.written, found.free, found.hits))
            numbers = (f"{found.idle:.1f}", f"{found.imbalance:.2f}", hits)
            rows.append([f"{share:g}", way, written, free, *numbers])
    print_table(("open/slot", "way", "written", "free", "idle", "imbalance", "hits"), rows)


if __name__ == "__main__":
    main()
