"""The engine batches across clients, bounds what it takes, and drops what nobody awaits."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from ttc_client.clients.wire import ScoreCall
from ttc_servers.prm.encoded import Encoded
from ttc_servers.prm.engine import CallTooLargeError, Engine, QueueFullError, ReplicaError
from ttc_servers.prm.replica import Scored


class Characters:
    """An adapter of one token per character; a step is read at its last one."""

    def encode(self, problem: str, prefix: Sequence[str], item: Sequence[str]) -> list[Encoded]:
        text, reads = problem, []
        for step in (*prefix, *item):
            text += step
            reads.append(len(text) - 1)
        return [Encoded([ord(c) for c in text], reads[len(prefix) :])]


class Recorder:
    """A replica that scores a position by its token, records its batches, and can be held."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.held = threading.Event()
        self.held.set()
        self.started = threading.Event()
        self.error: Exception | None = None
        self.known = ""

    def num_new(self, sequence: Encoded) -> int:
        text = "".join(map(chr, sequence.ids))
        return len(text) - (len(self.known) if self.known and text.startswith(self.known) else 0)

    def score(self, sequences: Sequence[Encoded]) -> list[Scored]:
        self.started.set()
        assert self.held.wait(10)
        self.batches.append([len(sequence.ids) for sequence in sequences])
        if self.error:
            self.held.clear()
            raise self.error
        return [Scored([s.ids[read] / 1000 for read in s.reads], 0) for s in sequences]

    async def hold(self, engine: Engine, group: asyncio.TaskGroup) -> asyncio.Task:
        """Keep the engine busy with one call until `held` is set."""
        self.held.clear()
        task = group.create_task(engine.score(ScoreCall("busy", [["x"]])))
        await asyncio.to_thread(self.started.wait, 10)
        return task


def make_engine(*replicas: Recorder, max_batch_tokens: int = 1000, max_queue: int = 1000) -> Engine:
    return Engine(
        Characters(),
        replicas,
        max_tokens=500,
        max_batch_tokens=max_batch_tokens,
        max_queue=max_queue,
    )


async def queue(engine: Engine, group: asyncio.TaskGroup, calls: list[ScoreCall]):
    """Send calls, one after the other, and return when all of them are in the queue."""
    tasks = []
    for call in calls:
        before = engine.num_waiting
        tasks.append(group.create_task(engine.score(call)))
        while engine.num_waiting < before + len(call.items):
            await asyncio.sleep(0)
    return tasks


async def test_each_item_has_its_own_scores():
    engine = make_engine(Recorder())
    async with engine.running():
        reply = await engine.score(ScoreCall("p", [["a", "b"], ["c"]], ["done"]))
    assert reply.scores == [[0.097, 0.098], [0.099]]
    assert reply.usage.prompt_tokens == len("pdoneab") + len("pdonec")


async def test_clients_share_a_batch_within_the_window():
    replica = Recorder()
    engine = make_engine(replica)
    async with engine.running():
        await asyncio.gather(*(engine.score(ScoreCall("p", [[c]])) for c in "abcdef"))
    assert replica.batches == [[2] * 6]


async def test_batches_hold_similar_lengths_and_a_bounded_number_of_tokens():
    replica = Recorder()
    engine = make_engine(replica, max_batch_tokens=100)
    lengths = [20, 300, 21, 3, 22, 23, 24, 2, 310]
    calls = [ScoreCall("p" * (length - 1), [["x"]]) for length in lengths]
    async with engine.running(), asyncio.TaskGroup() as group:
        await replica.hold(engine, group)
        await queue(engine, group, calls)
        replica.held.set()
    assert replica.batches[1:] == [[20, 21, 22, 23], [300], [3, 2], [24], [310]]


async def test_work_that_nobody_awaits_is_dropped():
    replica = Recorder()
    engine = make_engine(replica)
    async with engine.running(), asyncio.TaskGroup() as group:
        await replica.hold(engine, group)
        left, stayed = await queue(
            engine, group, [ScoreCall("left", [["a"], ["b"]]), ScoreCall("stay", [["a"]])]
        )
        left.cancel()
        await asyncio.wait([left])
        replica.held.set()
        await stayed
        assert engine.num_open == 0
    assert replica.batches == [[5], [5]]


async def test_a_full_queue_refuses_and_says_when_to_come_back():
    replica = Recorder()
    engine = make_engine(replica, max_queue=3)
    async with engine.running(), asyncio.TaskGroup() as group:
        await replica.hold(engine, group)
        with pytest.raises(QueueFullError) as refusal:
            await engine.score(ScoreCall("p", [["a"], ["b"], ["c"]]))
        assert refusal.value.retry_after_s >= 1
        [accepted] = await queue(engine, group, [ScoreCall("p", [["a"], ["b"]])])
        replica.held.set()
        assert (await accepted).scores == [[0.097], [0.098]]
        await engine.score(ScoreCall("p", [["a"]] * 3))  # alone, it may be as large as the queue
        with pytest.raises(CallTooLargeError, match="4 items, and the server takes 3"):
            await engine.score(ScoreCall("p", [["a"]] * 4))


async def test_a_failed_batch_fails_its_calls_and_no_others():
    replica = Recorder()
    engine = make_engine(replica)
    async with engine.running():
        replica.error = RuntimeError("device lost")
        with pytest.raises(ReplicaError, match="device lost"):
            await engine.score(ScoreCall("p", [["a"], ["b" * 40], ["c" * 200]]))
        assert not engine.healthy
        replica.error = None
        replica.held.set()
        assert (await engine.score(ScoreCall("p", [["a"]]))).scores == [[0.097]]
        assert engine.healthy
    assert replica.batches == [[2], [41], [2]]  # what was still queued of the call was dropped


async def test_a_call_goes_where_its_prefix_is_and_else_where_the_queue_is_short():
    first, second = Recorder(), Recorder()
    engine = make_engine(first, second)
    second.known = "a long prefix, "
    async with engine.running(), asyncio.TaskGroup() as group:
        await engine.score(ScoreCall("a long prefix, ", [["x"]]))
        assert (first.batches, second.batches) == ([], [[16]])
        await first.hold(engine, group)
        await engine.score(ScoreCall("other", [["x"]]))
        first.held.set()
    assert (first.batches, second.batches) == ([[5]], [[16], [6]])
