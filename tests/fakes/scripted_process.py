"""A policy and a PRM in one scripted server, cheap enough to measure a client against.

`python scripts/bench/scripted.py --port 8000` speaks what vLLM speaks, for token ids:
`/v1/models`, `/tokenize`, `/v1/completions` and `/generative_scoring`. What it answers, and after
how long, follows from the request alone (its seed, and the steps in its prompt), so that two
searches with the same seeds see the same tree. `GET /stats` counts what was asked for.

Benchmarks start it with `scripted_server`, in a process of its own.
"""

import argparse
import asyncio
import contextlib
import json
import random
import subprocess
import sys
import zlib
from collections.abc import Generator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import BinaryIO

import msgspec

DELIMITER_ID = 271
"""Llama 3's token for a blank line. No other id here holds these digits: a prompt's steps are
counted in its JSON."""
_DELIMITER = b"%d" % DELIMITER_ID
_IDS = [i for i in range(1000, 60_000) if str(DELIMITER_ID) not in str(i)]
_NUM_TEXTS = 509
"""Different steps, so many that siblings, whose seeds follow each other, never repeat one."""
_NUM_DELAYS = 4096
_WORDS = ("so", "we", "have", "the", "sum", "of", "both", "sides", "then", "divide", "by", "two")


@dataclass(frozen=True, slots=True)
class Script:
    """How the servers behave.

    A solution ends after `min_steps` to `max_steps` steps of about `step_tokens` tokens, and of
    `step_words` words if that is set, beside a formula of some 65 characters. A
    sequence takes the policy `step_ms` at the median, log-normally with `sigma`, and a request as
    long as its longest; the PRM always takes `score_ms`.
    """

    step_ms: float = 0.0
    sigma: float = 0.0
    score_ms: float = 0.0
    min_steps: int = 8
    max_steps: int = 12
    step_tokens: int = 60
    step_words: int = 0
    context_length: int = 1 << 20

    def policy_s(self, seed: int, n: int) -> float:
        """Return how long a request takes the policy, in seconds."""
        if not self.step_ms:
            return 0.0
        factors = _delay_factors(self.sigma)
        return self.step_ms / 1000 * max(factors[_dice(seed + i) % _NUM_DELAYS] for i in range(n))

    def ends(self, seed: int, depth: int) -> bool:
        """Say whether the step after `depth` others is the last: all lengths are as likely."""
        if depth + 1 < self.min_steps:
            return False
        return _dice(seed, depth) % max(1, self.max_steps - depth) == 0


def _dice(*numbers: int) -> int:
    """Return 32 bits that depend on these numbers alone."""
    return hash(numbers) & 0xFFFFFFFF


_factors: dict[float, list[float]] = {}


def _delay_factors(sigma: float) -> list[float]:
    if sigma not in _factors:
        rng = random.Random(0)
        _factors[sigma] = [rng.lognormvariate(0, sigma) for _ in range(_NUM_DELAYS)]
    return _factors[sigma]


@dataclass(slots=True)
class Stats:
    """What the server was asked for; sequences in flight are the policy's."""

    policy_requests: int = 0
    prm_requests: int = 0
    tokenize_requests: int = 0
    steps_sampled: int = 0
    steps_scored: int = 0
    closed_early: int = 0
    in_flight: int = 0
    most_in_flight: int = 0


class _Sampling(msgspec.Struct):
    prompt: msgspec.Raw
    n: int = 1
    max_tokens: int = 16
    seed: int | None = None
    stop: list[str] = []


class _Scoring(msgspec.Struct):
    items: list[msgspec.Raw]
    label_token_ids: list[int]


class _Tokenizing(msgspec.Struct):
    prompt: str
    add_special_tokens: bool = True


_read_sampling = msgspec.json.Decoder(_Sampling).decode
_read_scoring = msgspec.json.Decoder(_Scoring).decode
_read_tokenizing = msgspec.json.Decoder(_Tokenizing).decode


@dataclass(frozen=True, slots=True)
class _Text:
    """A step as it goes into a reply."""

    text: str
    ids: tuple[int, ...]


def _texts(script: Script) -> tuple[list[_Text], list[_Text]]:
    """Return the steps that go on and those that end a solution."""
    rng = random.Random(1)
    going_on: list[_Text] = []
    ending: list[_Text] = []
    for number in range(_NUM_TEXTS):
        words = " ".join(
            rng.choices(_WORDS, k=script.step_words or max(1, script.step_tokens - 12))
        )
        text = f"## Step: Compute part {number}\n{words}: ${number} + {number} = {2 * number}$"
        ids = tuple(rng.choices(_IDS, k=script.step_tokens - 1))
        going_on.append(_Text(f"{text}\n\n", (*ids, DELIMITER_ID)))
        answer = 42 if number % 5 < 2 else number % 50
        end = f"Therefore, the final answer is: $\\boxed{{{answer}}}$. I hope it is correct."
        ending.append(_Text(f"{text}. {end}", (*ids, 128_009)))
    return going_on, ending


class Replies:
    """Make the bodies of replies, mostly of parts that are made beforehand."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.stats = Stats()
        self._going_on, self._ending = _texts(script)
        self._choice = {
            False: [_choice(text, "stop", "\n\n") for text in self._going_on],
            True: [_choice(text, "stop", None) for text in self._ending],
        }

    def completion(self, body: bytes) -> tuple[bytes, float, int]:
        """Return the reply, how long it takes, and the sequences that it is."""
        call = _read_sampling(body)
        prompt = bytes(call.prompt)
        if not prompt.startswith(b"["):
            raise ValueError("this server takes token ids alone")
        seed = call.seed if call.seed is not None else self.stats.policy_requests << 12
        depth = prompt.count(_DELIMITER)
        choices: list[bytes] = []
        num_tokens = 0
        for i in range(call.n):
            written, count = self._write(call, seed + i, depth)
            choices.append(b'{"index":%d,%s%s}' % (i, written, prompt))
            num_tokens += count
        num_prompt = prompt.count(b",") + 1
        self.stats.policy_requests += 1
        self.stats.steps_sampled += call.n
        reply = (
            b'{"id":"cmpl-0","object":"text_completion","created":1,"model":"scripted",'
            b'"choices":[%s],"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":%d,'
            b'"prompt_tokens_details":null}}'
        ) % (b",".join(choices), num_prompt, num_prompt + num_tokens, num_tokens)
        return reply, self.script.policy_s(seed, call.n), call.n

    def _write(self, call: _Sampling, seed: int, depth: int) -> tuple[bytes, int]:
        """Return a choice's text, ids and finish, as JSON, and how many tokens it has."""
        number = seed % _NUM_TEXTS
        ends = self.script.ends(seed, depth)
        if call.stop and call.max_tokens >= self.script.step_tokens:
            return self._choice[ends][number], self.script.step_tokens
        steps: list[_Text] = []
        while call.stop == [] and not ends:
            steps.append(self._going_on[(number + len(steps)) % _NUM_TEXTS])
            ends = self.script.ends(seed + len(steps), depth + len(steps))
        steps.append((self._ending if ends else self._going_on)[number])
        whole = _Text("".join(s.text for s in steps), tuple(i for s in steps for i in s.ids))
        if len(whole.ids) <= call.max_tokens:
            return _choice(whole, "stop", None if ends else "\n\n"), len(whole.ids)
        share = call.max_tokens / len(whole.ids)
        text = whole.text[: int(share * len(whole.text))].rstrip()
        return _choice(_Text(text, whole.ids[: call.max_tokens]), "length", None), call.max_tokens

    def scores(self, body: bytes) -> tuple[bytes, float, int]:
        """Return a score for each item: by its text, and so the same at any time."""
        call = _read_scoring(body)
        data = b",".join(
            b'{"index":%d,"object":"score","score":%.6f}' % (i, zlib.crc32(item) / (1 << 32))
            for i, item in enumerate(call.items)
        )
        self.stats.prm_requests += 1
        self.stats.steps_scored += len(call.items)
        reply = (
            b'{"id":"score-0","object":"list","created":1,"model":"scripted","data":[%s],'
            b'"usage":{"prompt_tokens":%d,"total_tokens":%d,"completion_tokens":0,'
            b'"prompt_tokens_details":null}}'
        ) % (data, len(body) // 4, len(body) // 4)
        return reply, self.script.score_ms / 1000, 0

    def tokens(self, body: bytes) -> tuple[bytes, float, int]:
        """Read a text as one id for four characters, after a BOS if asked for."""
        call = _read_tokenizing(body)
        pieces = [call.prompt[i : i + 4] for i in range(0, len(call.prompt), 4)]
        if call.prompt.startswith("<|") and call.prompt.endswith("|>"):
            pieces = [call.prompt]
        ids = [_IDS[zlib.crc32(piece.encode()) % len(_IDS)] for piece in pieces]
        ids = [128_000] * call.add_special_tokens + ids
        self.stats.tokenize_requests += 1
        reply = {"count": len(ids), "max_model_len": self.script.context_length, "tokens": ids}
        return msgspec.json.encode(reply), 0.0, 0

    def get(self, path: bytes) -> bytes | None:
        """Answer what is asked without a body."""
        if path == b"/v1/models":
            model = {"id": "scripted", "max_model_len": self.script.context_length}
            return msgspec.json.encode({"object": "list", "data": [model]})
        return msgspec.json.encode(asdict(self.stats)) if path == b"/stats" else None


def _choice(text: _Text, finish: str, stop: str | None) -> bytes:
    """Return a choice as vLLM writes it, without its index and up to the prompt's ids."""
    choice = {
        "text": text.text,
        "logprobs": None,
        "finish_reason": finish,
        "stop_reason": stop,
        "token_ids": text.ids,
        "prompt_logprobs": None,
    }
    return msgspec.json.encode(choice)[1:-1] + b',"prompt_token_ids":'


class Connection(asyncio.Protocol):
    """One client's connection: a request at a time, kept alive."""

    def __init__(self, replies: Replies, record: BinaryIO | None) -> None:
        self._replies = replies
        self._record = record
        self._routes = {
            b"/v1/completions": replies.completion,
            b"/generative_scoring": replies.scores,
            b"/tokenize": replies.tokens,
        }
        self._received = b""
        self._pending: asyncio.TimerHandle | None = None
        self._num_sequences = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = _content_length(head)
        if len(body) < length:
            return
        self._received = b""
        method, path, _ = head.split(b" ", 2)
        if method == b"GET":
            self._send(self._replies.get(path), 200)
            return
        self._post(path, body)

    def _post(self, path: bytes, body: bytes) -> None:
        if self._record:
            self._record.write(b"%s %s\n" % (path, body))
        route = self._routes.get(path)
        if route is None:
            self._send(None, 404)
            return
        try:
            reply, seconds, self._num_sequences = route(body)
        except (msgspec.MsgspecError, ValueError) as error:
            said = {"error": {"message": str(error), "type": "BadRequestError", "code": 400}}
            self._send(msgspec.json.encode(said), 400)
            return
        stats = self._replies.stats
        stats.in_flight += self._num_sequences
        stats.most_in_flight = max(stats.most_in_flight, stats.in_flight)
        if seconds:
            later = asyncio.get_running_loop().call_later
            self._pending = later(seconds, self._answer, reply)
        else:
            self._answer(reply)

    def _answer(self, reply: bytes) -> None:
        self._pending = None
        self._leave()
        self._send(reply, 200)

    def _leave(self) -> None:
        self._replies.stats.in_flight -= self._num_sequences
        self._num_sequences = 0

    def _send(self, body: bytes | None, status: int) -> None:
        if body is None:
            body, status = b'{"detail":"Not Found"}', 404
        self._transport.write(
            b"HTTP/1.1 %d Scripted\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (status, len(body), body)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        if self._pending:
            self._pending.cancel()
            self._replies.stats.closed_early += 1
            self._leave()


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    return int(rest.partition(b"\r\n")[0]) if found else 0


async def serve(
    script: Script, port: int = 0, *, until_input_ends: bool = False, record: Path | None = None
) -> None:
    """Serve, and print the URL once it works; for ever, or until the standard input ends.

    `record` is written a line for each POST: its path and its body, which has no line breaks.
    """
    replies = Replies(script)
    loop = asyncio.get_running_loop()
    with record.open("wb") if record else contextlib.nullcontext() as file:
        server = await loop.create_server(
            lambda: Connection(replies, file), "127.0.0.1", port, backlog=4096
        )
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        if until_input_ends:
            await asyncio.to_thread(sys.stdin.read)
        else:
            await asyncio.Event().wait()


@contextlib.contextmanager
def scripted_server(script: Script, record: Path | None = None) -> Generator[str]:
    """Run a server in a process of its own, which ends with this one at the latest."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in asdict(script).items()]
    flags += [f"--record={record}"] * bool(record)
    with subprocess.Popen(
        [sys.executable, __file__, "--until-input-ends", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError("the scripted server did not start")
        try:
            yield url
        finally:
            process.stdin.close()


def print_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of cells in columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    for row in (head, *rows):
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells))


def write_json(path: Path | None, figures: object) -> None:
    """Write figures to a file, if one was named."""
    if path:
        path.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    """Serve from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--until-input-ends", action="store_true", help="for a parent process")
    parser.add_argument("--record", type=Path, help="write all POST requests to this file")
    for setting in fields(Script):
        flag = "--" + setting.name.replace("_", "-")
        default: object = setting.default
        parser.add_argument(flag, type=type(default), default=default)
    args = parser.parse_args()
    script = Script(**{setting.name: getattr(args, setting.name) for setting in fields(Script)})
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(
            serve(script, args.port, until_input_ends=args.until_input_ends, record=args.record)
        )


if __name__ == "__main__":
    main()
