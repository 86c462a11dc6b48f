"""One connection, byte by byte: what is a reply, and when the connection may be used again."""

import asyncio
import random
import tracemalloc
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest

from ttc_client.clients import connection
from ttc_client.clients.connection import (
    TURN_BYTES,
    BrokenOffError,
    Connection,
    Reply,
    TooLongError,
)
from ttc_client.deadlines import Clock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n"
ENDS = b"0\r\n\r\n"
REPLIES = (
    OK,
    b"HTTP/1.1 503 No\r\nRetry-After: 1\r\nContent-Length: 3\r\n\r\nwhy",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
    b"HTTP/1.0 200 OK\r\n\r\nhi",
)


@asynccontextmanager
async def connected(*pieces: bytes, pause_s: float = 0.0, closes: bool = False):
    """Open a connection to a server that answers the first bytes it gets with these pieces."""
    gone = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause_s)
        if closes:
            writer.close()
        with suppress(ConnectionError):
            while await reader.read(1000):
                pass
        gone.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    buffer = memoryview(bytearray(1 << 10))
    async with server:
        loop = asyncio.get_running_loop()
        _, opened = await loop.create_connection(lambda: Connection(buffer, Clock()), host, port)
        opened.gone = gone
        try:
            yield opened
        finally:
            opened.close()
            await asyncio.wait_for(gone.wait(), 5)


async def stream(opened: Connection, timeout_s: float = 5.0, silence_s: float = 5.0):
    return await opened.send(b"GET / HTTP/1.1\r\n\r\n", timeout_s, silence_s, is_streamed=True)


async def ask(opened: Connection, timeout_s: float = 5.0, silence_s: float = 5.0):
    return await opened.send(b"GET / HTTP/1.1\r\n\r\n", timeout_s, silence_s)


@pytest.mark.parametrize("pause_s", [0.0, 0.02])
@pytest.mark.parametrize(
    "pieces",
    [
        (OK,),
        (OK[:10], OK[10:25], OK[25:]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n",
        ),
        (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n", OK),
    ],
)
async def test_a_reply_comes_in_pieces(pieces, pause_s):
    async with connected(*pieces, pause_s=pause_s) as opened:
        reply = await ask(opened)
        assert (reply.status, reply.body) == (200, b"hi")
        assert "x" not in reply.headers
        assert opened.usable


async def test_a_body_larger_than_the_buffer_is_whole():
    body = bytes(range(256)) * 40
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with connected(head + body) as opened:
        assert (await ask(opened)).body == body


async def test_a_reply_of_unknown_length_ends_with_the_connection():
    async with connected(b"HTTP/1.1 200 OK\r\n\r\n", b"hi", closes=True) as opened:
        assert (await ask(opened)).body == b"hi"
        assert not opened.usable


@pytest.mark.parametrize(
    "first",
    [
        OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        OK.replace(b"1.1", b"1.0"),
        OK + OK,
        OK + OK[:20],
        OK + OK + OK,
        OK + b"\x00",
    ],
)
async def test_after_some_replies_the_connection_is_not_used_again(first):
    async with connected(first) as opened:
        reply = await ask(opened)
        assert (reply.body, reply.headers["content-length"]) == (b"hi", "2")
        assert not opened.usable
        assert opened.repeats == (first != OK and first.startswith(OK))


@pytest.mark.parametrize("unasked", [OK, b"HTTP/1.1 408 Closing\r\n\r\n", b"\r\n"])
async def test_what_comes_unasked_closes_the_connection(unasked):
    async with connected(OK, unasked, pause_s=0.1) as opened:
        await ask(opened)
        assert opened.usable
        await asyncio.wait_for(opened.gone.wait(), 5)
        assert not opened.usable
        assert opened.repeats == (unasked == OK)


@pytest.mark.parametrize(
    "pieces",
    [
        (),
        (b"\x15\x03\x01",),
        (OK[:-1],),
        (b"HTTP/1.1 200 OK\r\nContent-",),
        (b"HTTP/1.1 102 Processing\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nhi",),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi!",),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhi",),
    ],
)
async def test_what_is_no_whole_reply_is_broken_off(pieces):
    async with connected(*pieces, closes=True) as opened:
        with pytest.raises(BrokenOffError):
            await ask(opened)
        assert not opened.usable


async def test_a_body_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 1000)
    async with connected(OK.replace(b"2", b"2000"), b" " * 1999) as opened:
        with pytest.raises(TooLongError, match=r"more than 1000 bytes$"):
            await ask(opened)


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 11_000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 70_000),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 3000,),
    ],
)
async def test_headers_without_end_are_refused(pieces):
    async with connected(*pieces) as opened:
        with pytest.raises(TooLongError, match="more than 65536 bytes of headers"):
            await ask(opened)


async def test_what_stands_behind_a_body_is_not_kept():
    trailers = b"".join(b"X%d: y\r\n" % number for number in range(1000))
    async with connected(CHUNKED + b"2\r\nhi\r\n0\r\n" + trailers + b"\r\n") as opened:
        reply = await ask(opened)
        assert (reply.body, reply.headers) == (b"hi", {"transfer-encoding": "chunked", "x": "y"})
        assert opened.usable


async def test_a_body_in_small_chunks_takes_no_more_memory_than_in_one():
    chunks = b"2\r\nhi\r\n" * 100_000
    async with connected(CHUNKED, chunks, ENDS) as opened:
        tracemalloc.start()
        try:
            reply = await ask(opened)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert len(reply.kept) == 200_000
        assert peak < 1_000_000


async def test_other_tasks_get_their_turn_while_much_of_a_stream_is_read():
    async with connected(CHUNKED, b"100000\r\n" + b"x" * (1 << 20) + b"\r\n", ENDS) as opened:
        reply = await stream(opened)
        while not reply.is_over:
            await asyncio.sleep(0.01)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        sizes = [len(piece) async for piece in reply]
        beside.cancel()
        assert sum(sizes) == 1 << 20
        assert max(sizes) == TURN_BYTES
        assert turns >= len(sizes) - 1


async def test_silence_is_borne_for_a_while_only_and_talk_not_for_ever():
    async with connected() as opened:
        with pytest.raises(TimeoutError):
            await ask(opened, silence_s=0.05)
        assert not opened.usable
    slow = [OK[i : i + 5] for i in range(0, len(OK), 5)]
    async with connected(*slow, pause_s=0.01) as opened:
        assert (await ask(opened, silence_s=0.3)).body == b"hi"
    async with connected(*slow, pause_s=0.1) as opened:
        started_s = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await ask(opened, timeout_s=0.5, silence_s=0.3)
        assert 0.4 < asyncio.get_running_loop().time() - started_s < 2


async def test_the_server_sees_that_an_exchange_is_cancelled():
    async with connected() as opened:
        exchange = asyncio.create_task(ask(opened))
        await asyncio.sleep(0.01)
        exchange.cancel()
        await asyncio.wait([exchange])
        await asyncio.wait_for(opened.gone.wait(), 5)
        assert exchange.cancelled()
        assert not opened.usable


async def test_the_pieces_of_a_stream_are_handed_on_as_they_come():
    send = asyncio.Queue()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        while piece := await send.get():
            writer.write(piece)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        loop, buffer = asyncio.get_running_loop(), memoryview(bytearray(1 << 10))
        _, opened = await loop.create_connection(
            lambda: Connection(buffer, Clock()), *server.sockets[0].getsockname()
        )
        send.put_nowait(b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED)
        reply = await stream(opened)
        assert (reply.status, reply.headers["x"]) == (200, "y")
        pieces = aiter(reply)
        for piece in (b"one", b"more"):
            send.put_nowait(b"%d\r\n%s\r\n" % (len(piece), piece))
            assert await asyncio.wait_for(anext(pieces), 5) == piece
        assert not opened.usable
        send.put_nowait(ENDS)
        assert [piece async for piece in pieces] == []
        assert opened.usable
        send.put_nowait(b"")
        opened.close()


@pytest.mark.parametrize(
    "pieces",
    [
        (OK,),
        (OK[:10], OK[10:-1], OK[-1:]),
        (CHUNKED, b"1\r\nh\r\n1\r\ni\r\n", ENDS),
        (b"HTTP/1.1 200 OK\r\n\r\nh", b"i"),
    ],
)
@pytest.mark.parametrize("pause_s", [0.0, 0.02])
async def test_a_stream_has_the_body_of_the_exchange(pieces, pause_s):
    unknown_length = b"Length" not in b"".join(pieces) and pieces[0] != CHUNKED
    async with connected(*pieces, pause_s=pause_s, closes=unknown_length) as opened:
        assert b"".join([piece async for piece in await stream(opened)]) == b"hi"
        assert opened.usable != unknown_length
    async with connected(*pieces, pause_s=pause_s, closes=unknown_length) as opened:
        reply = await stream(opened)
        await asyncio.sleep(0.1)  # whoever reads late finds all of it
        assert b"".join([piece async for piece in reply]) == b"hi"


async def test_what_comes_after_the_end_of_a_stream_is_not_its_own():
    async with connected(OK + OK) as opened:
        assert [piece async for piece in await stream(opened)] == [b"hi"]
        assert not opened.usable


async def test_closing_a_stream_is_seen_by_the_server_at_once():
    async with connected(CHUNKED, b"2\r\nhi\r\n") as opened:
        reply = await stream(opened)
        assert await anext(aiter(reply)) == b"hi"
        opened.close()
        await asyncio.wait_for(opened.gone.wait(), 5)
        with pytest.raises(BrokenOffError, match="closed by the client"):
            await anext(aiter(reply))


async def test_a_stream_is_closed_whether_it_is_cancelled_before_its_head_or_after():
    for head in ((), (CHUNKED, b"2\r\nhi\r\n")):
        async with connected(*head) as opened:
            task = asyncio.create_task(stream(opened))
            done, _ = await asyncio.wait([task], timeout=0.1)
            assert bool(done) == bool(head)
            if not done:
                task.cancel()
                await asyncio.wait([task])
                assert not opened.usable
            else:
                opened.close()
            await asyncio.wait_for(opened.gone.wait(), 5)


@pytest.mark.parametrize("rest", [b"", b"9\r\nmor", b"x"])
async def test_a_stream_that_is_broken_off_gives_first_what_came_before(rest):
    async with connected(CHUNKED + b"2\r\nhi\r\n" + rest, closes=True) as opened:
        pieces = aiter(await stream(opened))
        assert (await anext(pieces)).startswith(b"hi")
        with pytest.raises(BrokenOffError):
            assert [piece async for piece in pieces]
        assert not opened.usable


async def test_a_stream_ends_when_it_is_silent_for_too_long_or_time_is_over():
    async with connected(CHUNKED, b"2\r\nhi\r\n") as opened:
        reply = await stream(opened, silence_s=0.1)
        with pytest.raises(TimeoutError):
            assert [piece async for piece in reply]
        await asyncio.wait_for(opened.gone.wait(), 5)
    async with connected(CHUNKED, *[b"2\r\nhi\r\n"] * 50, pause_s=0.05) as opened:
        with pytest.raises(TimeoutError):
            assert [piece async for piece in await stream(opened, 0.5, 0.3)]


async def test_a_stream_that_nobody_reads_is_bounded(monkeypatch):
    monkeypatch.setattr(connection, "MAX_BODY_BYTES", 1000)
    async with connected(CHUNKED, *[b"64\r\n" + b"x" * 100 + b"\r\n"] * 20) as opened:
        reply = await stream(opened)
        await asyncio.wait_for(opened.gone.wait(), 5)
        assert len(reply.kept) <= 1000
        with pytest.raises(TooLongError, match="more than 1000 bytes"):
            assert [piece async for piece in reply]


class NoTransport:
    """Send nothing."""

    closed = False

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        self.closed = True


def spoiled(luck: random.Random) -> bytes:
    """Return a reply with bytes changed, left out, doubled or put in."""
    reply = bytearray(luck.choice(REPLIES))
    for _ in range(luck.randrange(4)):
        at = luck.randrange(len(reply))
        some = reply[at : at + luck.randrange(1, 12)]
        what = luck.choice((b"", some * 2, luck.randbytes(len(some)), b"\r\n", b"99", b":"))
        reply[at : at + len(some)] = what
        reply = reply or bytearray(b"H")
    return bytes(reply)


async def streamed(opened: Connection) -> Reply:
    reply = await stream(opened)
    reply.kept += b"".join([piece async for piece in reply])
    return reply


@pytest.mark.parametrize("how", [ask, streamed])
async def test_whatever_comes_ends_in_a_reply_or_an_error_of_ours(how):
    ends = Counter()
    buffer = memoryview(bytearray(1 << 10))
    for seed in range(3000):
        luck = random.Random(seed)
        opened = Connection(buffer, Clock())
        transport = NoTransport()
        opened.connection_made(transport)
        asking = asyncio.create_task(how(opened))
        await asyncio.sleep(0)
        left = spoiled(luck)
        while left and not transport.closed:
            count = luck.randrange(1, len(left) + 1)
            buffer[:count], left = left[:count], left[count:]
            opened.buffer_updated(count)
            if luck.random() < 0.5:
                await asyncio.sleep(0)
        opened.connection_lost(None)
        await asyncio.wait([asking])
        error = asking.exception()
        ends[type(error)] += 1
        assert error is None or isinstance(error, BrokenOffError), seed
        assert not opened.usable
        if error is None and (length := asking.result().headers.get("content-length")):
            assert len(asking.result().body) == int(length), seed
    assert set(ends) == {type(None), BrokenOffError}
