"""Feed the client ten thousand answers and ten thousand server bodies that are not quite right.

    python -m scripts.torture.fuzz

Answers go through extraction, canonical keys and grading; bodies, which begin as each kind of
server's right answer, through its client. Nothing may hang or crash, and what is accepted must be
what was asked for. Exits with 1 otherwise, and prints the seed of each case that went wrong.
"""

import argparse
import asyncio
import gzip
import json
import logging
import math
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

from aiohttp import web

from scripts.torture.mutations import spoiled_body, spoiled_text, spoiled_value
from tests.answers.latexish import HOSTILE, random_answer
from tests.fakes.policy_servers import POLICY_SERVERS
from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import Handler, scripted_server
from ttc_client.answers import AnswerPool, extract_answer
from ttc_client.answers.grading import grade
from ttc_client.clients.connect import connect_policy, connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError, ServerError
from ttc_client.middleware.parts import in_parts
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Finish, Problem, Usage

T = TypeVar("T")

PATIENCE_S = 60.0
"""More than any case may take on a busy machine, twice what a pool gives a problem's answers."""
LONGEST_TURN_S = 0.2
"""How much CPU time the event loop may take at a time, and the extraction of one answer."""
AT_ONCE = 20
GOLD = "a sentinel"

RIGHT = (
    *(r"\frac{1}{2}", "0.5", r"x^2+2x+1", r"(3,\frac{\pi}{2}]", r"\{1,2,3\}", r"1\pm\sqrt{19}"),
    *("10{,}000", r"\text{east}", "11_2", r"6-5i", r"\begin{pmatrix}1\\2\end{pmatrix}", "x+2y=3"),
    *(r"\sqrt{5+2\sqrt{6}}", r"5.4\text{ cents}", r"x\in[-2,7]", r"\binom{10}{3}", "2024^{4046}"),
)
WRITTEN: dict[int | None, tuple[str, Finish]] = {
    5: ("a step\n\n", "stop"),
    6: ("the end", "eos"),
    7: ("cut", "length"),
}
SCORED = ScoreRequest(
    Problem(question="What?"), ("zero",), (("alpha", "beta"), ("gamma",), ()), path=(0,)
)
MAX_TOKENS = 64
PACKED = 0.2
"""The share of bodies and streams that come as gzip; half of these are spoiled once more."""


@dataclass
class Tally:
    """How cases ended; `wrong` names those that should not have ended so."""

    ends: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    longest_s: float = 0.0

    def case(self, name: str, end: str, started_s: float) -> None:
        self.ends[end] += 1
        self.longest_s = max(self.longest_s, time.monotonic() - started_s)
        if end.startswith("WRONG"):
            self.wrong.append(f"{name}: {end}")


def fuzzed_answer(seed: int) -> str:
    """Return an answer that a model might write, or one that it should not."""
    luck = random.Random(seed)
    answer = luck.choice((luck.choice(RIGHT), luck.choice(HOSTILE), random_answer(seed)))
    for _ in range(luck.randrange(4)):
        answer = spoiled_text(answer, luck)
    if luck.random() < 0.002:
        answer *= 10_000_000 // max(1, len(answer))
    return answer


def fuzzed_solution(seed: int) -> str:
    """Return a text that ends with a fuzzed answer, announced in one way or another."""
    luck = random.Random(seed)
    announced = luck.choice(("so \\boxed{%s}", "the answer is $%s$.", "= %s", "\\boxed{%s", "%s"))
    return announced.replace("%s", fuzzed_answer(seed))


async def fuzz_answers(seeds: Sequence[int]) -> Tally:
    """Extract, key and grade; all of it while the event loop goes on."""
    tally = Tally()
    watching = asyncio.create_task(_watch(turns := [0.0]))
    async with AnswerPool() as pool:
        await pool.canonical_keys(["x+1", "x+2"])
        for start in range(0, len(seeds), AT_ONCE):
            chunk = seeds[start : start + AT_ONCE]
            answers = [await asyncio.to_thread(_extracted, tally, seed) for seed in chunk]
            started_s = time.monotonic()
            grades = await asyncio.wait_for(grade(pool, answers, GOLD), PATIENCE_S)
            again = await asyncio.wait_for(pool.canonical_keys(answers), PATIENCE_S)
            for seed, answer, key, second, correct in zip(
                chunk, answers, grades.keys, again, grades.correct, strict=True
            ):
                tally.case(f"answer {seed}", _judged(answer, key, second, correct), started_s)
            tally.ends["out of time"] += sum(grades.timed_out)
    watching.cancel()
    await asyncio.wait([watching])
    tally.ends["ms in the longest turn of the loop"] = round(1000 * turns[0])
    if turns[0] > LONGEST_TURN_S:
        tally.wrong.append(f"a turn of the event loop took {turns[0]:.2f} s")
    return tally


async def _watch(turns: list[float]) -> None:
    while True:
        before_s = time.thread_time()
        await asyncio.sleep(0.001)
        turns[0] = max(turns[0], time.thread_time() - before_s)


def _extracted(tally: Tally, seed: int) -> str:
    text = fuzzed_solution(seed)
    started_s = time.thread_time()
    answer = extract_answer(text)
    took_s = time.thread_time() - started_s
    if took_s > LONGEST_TURN_S:
        tally.wrong.append(f"answer {seed}: extraction took {took_s:.1f} s")
    return answer


def _judged(answer: str, key: str, again: str, correct: bool) -> str:
    if correct:
        return "WRONG: graded as right"
    if not isinstance(key, str) or bool(answer.strip()) < bool(key):
        return "WRONG: no key"
    if key != again and not key.startswith("text:"):  # a time-out is not remembered
        return "WRONG: two keys"
    return "a string" if key.startswith("text:") else "a value" if key else "empty"


def spoiled(handler: Handler, luck: random.Random) -> Handler:
    """Answer as a server does, but for a change or three."""

    def answer(payload: Any) -> web.Response:
        reply: Any = handler(payload)
        head: dict[str, Any] = {"content_type": "application/json"}
        if isinstance(reply, web.Response):
            head = {"status": reply.status, "content_type": reply.content_type}
            reply = reply.body or b""
            reply = json.loads(reply) if head["content_type"] == "application/json" else reply
        if isinstance(reply, bytes):
            body = spoiled_body(reply, luck)
        elif luck.random() < 0.3:
            body = spoiled_body(json.dumps(reply).encode(), luck)
        else:
            for _ in range(luck.randrange(1, 4)):
                reply = spoiled_value(reply, luck)
            body = json.dumps(reply).encode()
        if luck.random() < PACKED:
            head["headers"] = {"Content-Encoding": "gzip"}
            body = gzip.compress(body, mtime=0)
            body = spoiled_body(body, luck) if luck.random() < 0.5 else body
        return web.Response(body=body, **head)

    return answer


@asynccontextmanager
async def spoiling(replies: dict[str, Handler], path: str) -> AsyncGenerator[tuple[Server, Any]]:
    """Give a client's view of a server, and a function that spoils its main path from a seed on."""
    honest = replies[path]
    async with scripted_server(replies) as scripted, Session() as session:

        def spoil(seed: int) -> None:
            scripted.requests.clear()
            scripted.headers.clear()
            scripted.replies[path] = spoiled(honest, random.Random(seed))

        yield Server(session, scripted.url, timeout_s=10.0), spoil


async def fuzz_policy(name: str, seeds: Iterable[int]) -> Tally:
    """Let one kind of policy server answer a request wrongly, again and again."""
    kind, tally = POLICY_SERVERS[name], Tally()
    async with spoiling(kind.replies(lambda seed: WRITTEN[seed]), kind.path) as (server, spoil):
        client = await connect_policy(server, kind.api, None)
        root = await client.root(Problem(question="p").messages)
        request = SampleRequest(root, 3, 0.8, 1.0, MAX_TOKENS, ("\n\n",), seed=5)
        for seed in seeds:
            spoil(seed)
            forgetful = replace(cast(Any, client))  # one that has learnt nothing from earlier cases
            sample = in_parts(forgetful.sample, partial(getattr, forgetful, "most_choices"))
            await _case(tally, f"{name} {seed}", sample(request), _wrong_samples)
    return tally


async def fuzz_prm(name: str, seeds: Iterable[int]) -> Tally:
    """Let one kind of PRM server answer a request wrongly, again and again."""
    kind, tally = PRM_SERVERS[name], Tally()
    async with spoiling(kind.replies(lambda text: 0.25 + len(text) % 2 / 2), kind.path) as (
        server,
        spoil,
    ):
        client = await connect_prm(server, kind.api, kind.form)
        for seed in seeds:
            spoil(seed)
            await _case(tally, f"{name} {seed}", client.score(SCORED), _wrong_scores)
    return tally


async def _case(tally: Tally, name: str, call: Awaitable[T], wrong: Callable[[T], str]) -> None:
    started_s = time.monotonic()
    try:
        async with asyncio.timeout(PATIENCE_S):
            reply = await call
    except ServerError as error:
        end = type(error).__name__
        if isinstance(error, ProtocolError) and repr(error.body) not in f"{error} ''":
            end = "WRONG: the body is not quoted"
    except TimeoutError:
        end = "WRONG: it hangs"
    except Exception as error:
        end = f"WRONG: {type(error).__name__}: {error}"
    else:
        said = wrong(reply)
        end = f"WRONG: accepted {said}" if said else "accepted"
        if end == "accepted" and isinstance(reply, Samples) and None in reply.steps:
            end = "accepted in part"  # a request each: one that is refused costs itself
    tally.case(name, end, started_s)


def _wrong_samples(samples: Samples) -> str:
    """Say what is wrong with three continuations that were accepted, if anything."""
    if len(samples.steps) != len(WRITTEN):
        return f"{len(samples.steps)} steps"
    if not any(samples.steps):
        return "nothing but failures"
    for step in filter(None, samples.steps):
        if step.finish not in ("stop", "eos", "length"):
            return f"a step that ended by {step.finish}"
        if step.finish == "stop" and not step.text.endswith("\n\n"):
            return "a step without its delimiter"
        if not 0 <= step.num_tokens <= MAX_TOKENS:
            return f"{step.num_tokens} tokens"
        if step.token_ids and len(step.token_ids) != step.num_tokens:
            return "another number of ids than of tokens"
        if not all(0 <= token < 2**31 for token in (*step.token_ids, *samples.prompt_ids)):
            return "an id that is none"
        if not step.token_ids and samples.prompt_ids and step.text:
            return "a text without ids"
        step.text.encode()
    return _wrong_usage(samples.usage)


def _wrong_scores(scores: Scores) -> str:
    if [len(item) for item in scores.scores] != [len(item) for item in SCORED.items]:
        return "not one score per step"
    flat = [score for item in scores.scores for score in item]
    if not all(score is not None and 0 <= score <= 1 for score in flat):
        return f"the scores {flat}"
    return _wrong_usage(scores.usage)


def _wrong_usage(usage: Usage) -> str:
    counts = asdict(usage)
    counts |= {name: sum(counts[name].values()) for name in ("retries", "failures")}
    wrong = {name: count for name, count in counts.items() if not 0 <= count < 2**63}
    return f"the usage {wrong}" if wrong else ""


async def fuzz_bodies(num_cases: int) -> dict[str, Tally]:
    """Give each kind of server the same share of the cases."""
    kinds = [(fuzz_policy, name) for name in POLICY_SERVERS]
    kinds += [(fuzz_prm, name) for name in PRM_SERVERS]
    share = math.ceil(num_cases / len(kinds))
    return {
        f"{fuzz.__name__.removeprefix('fuzz_')}: {name}": await fuzz(name, range(share))
        for fuzz, name in kinds
    }


def main() -> None:
    """Parse the command line, fuzz, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="of each of the two")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    logging.disable()  # servers that are given nonsense for an answer
    tallies = {"answers": asyncio.run(fuzz_answers(range(args.cases)))}
    tallies |= asyncio.run(fuzz_bodies(args.cases))
    for name, tally in tallies.items():
        ends = ", ".join(f"{count} {end}" for end, count in sorted(tally.ends.items()))
        print(f"{name:<45}{tally.longest_s:6.2f} s at most  {ends}")
    wrong = [line for tally in tallies.values() for line in tally.wrong]
    for line in wrong[:50]:
        print(line)
    print(f"{len(wrong)} cases went wrong")
    if args.json:
        figures = {
            name: {**vars(tally), "ends": dict(tally.ends)} for name, tally in tallies.items()
        }
        args.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
