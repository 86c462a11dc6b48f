"""Count the bytes that a search sends and receives for each step that is scored.

Run it from a checkout: `python -m scripts.bench.traffic`. The scripted policy and PRM speak as vLLM
does, ids of the prompt in every choice included; each solution has 10 steps of 50 tokens, some 200
characters, after a prompt of 300 tokens. Headers count; TCP's and TLS's own bytes do not. What
opens the servers, once in a run, counts in the sums alone. A scored step is one that the PRM
scored, of which an expansion has M.
"""

import argparse
import asyncio
import gzip
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from tests.fakes.scripted_process import Replies, Script, print_table
from ttc_client import Client, SearchParams, Servers

SCRIPT = Script(min_steps=10, max_steps=10, step_tokens=50, step_words=26)
PROBLEM = "How many ways are there to seat nine guests? " * 9
"""300 tokens of four characters each, with the task's prompt and the template's marks."""


@dataclass(slots=True)
class Traffic:
    """What went over the connections: bytes, and how many steps were scored.

    `opening` are the bytes up and down of opening the servers, which a run does once.
    """

    up: int = 0
    down: int = 0
    scored: int = 0
    opening: tuple[int, int] = 0, 0

    @property
    def per_step(self) -> tuple[float, float]:
        """Bytes up and down for a scored step, without opening the servers."""
        up, down = self.opening
        return (self.up - up) / self.scored, (self.down - down) / self.scored


@asynccontextmanager
async def counting_server(
    traffic: Traffic, *, zipped: bool, script: Script = SCRIPT
) -> AsyncGenerator[str]:
    """Serve both models in this process, with replies as a proxy in front compresses them."""
    replies = Replies(script)
    routes: dict[bytes, Callable[[bytes], tuple[bytes, float, int]]] = {
        b"/v1/completions": replies.completion,
        b"/generative_scoring": replies.scores,
        b"/tokenize": replies.tokens,
    }

    handlers: set[asyncio.Task[None] | None] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r")[0]
                body = await reader.readexactly(int(length or 0))
                traffic.up += len(head) + len(body)
                path = head.split(b" ")[1]
                status, answer = b"200 OK", replies.get(path) or b"{}"
                try:
                    answer = routes[path](body)[0] if path in routes else answer
                except (msgspec.MsgspecError, ValueError):  # as the client finds out what there is
                    status, answer = (
                        b"400 Bad Request",
                        b'{"error":{"message":"a field is missing"}}',
                    )
                encoding = b""
                if zipped:
                    answer, encoding = gzip.compress(answer, 6), b"Content-Encoding: gzip\r\n"
                said = (
                    b"HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n"
                )
                whole = said % (status, encoding, len(answer)) + answer
                traffic.down += len(whole)
                writer.write(whole)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*(task for task in handlers if task))
    traffic.scored = replies.stats.steps_scored


async def measure(n: int, *, zipped: bool, strategy: str = "dvts") -> Traffic:
    """Search once, and return what that took."""
    traffic = Traffic()
    async with counting_server(traffic, zipped=zipped) as url:
        servers = Servers(policy=url, prm=url, check=False)
        async with Client(servers) as client:
            traffic.opening = traffic.up, traffic.down
            await client.solve(PROBLEM, SearchParams(strategy=strategy, n=n))
    return traffic


def main() -> None:
    """Print the bytes of a scored step, for a few strategies, with gzip and without."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=64, help="the budget N (default: 64)")
    args = parser.parse_args()
    rows: list[list[str]] = []
    for strategy in ("dvts", "beam", "best-of-n"):
        for zipped in (False, True):
            found = asyncio.run(measure(args.n, zipped=zipped, strategy=strategy))
            per_step = [f"{count:,.0f}" for count in found.per_step]
            whole = [f"{count / 1e6:.2f}" for count in (found.up, found.down)]
            rows.append([strategy, "gzip" if zipped else "plain", *per_step, *whole])
    head = ("strategy", "replies", "B up/step", "B down/step", "MB up", "MB down")
    print_table(head, rows)


if __name__ == "__main__":
    main()
