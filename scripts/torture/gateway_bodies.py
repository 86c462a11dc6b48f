"""Ask a gateway ten thousand things that are not quite right.

    python -m scripts.torture.gateway_bodies

Bodies begin as right requests of each kind and are spoiled. Each must be answered as asked, or
with a 4xx in OpenAI's shape; never with a 500, and never with an empty success. Exits with 1
otherwise, and prints the seed of each case that went wrong.
"""

import argparse
import asyncio
import logging
import random
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from scripts.torture.mutations import spoiled_body, spoiled_value
from tests.gateway.conftest import as_asked, by_word
from tests.gateway.serving import Answer, Caller, serving
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier

AT_ONCE = 16
ERROR = {"message", "type", "param", "code"}
PATHS = ("/v1/chat/completions", "/v1/responses", "/ttc/searches")


def right(caller: Caller, rng: random.Random) -> tuple[str, dict[str, Any]]:
    """Return a request that is as it should be."""
    path = rng.choice(PATHS)
    profile = rng.choice(("fast", "hard", "vote", "best"))
    body = caller.body(profile, r"\boxed{1}|It is \boxed{2}", temperature=0.7, top_p=0.9)
    body["stream"] = rng.random() < 0.3
    body["ttc"] = {"n": 4, "vote": None, "return": ["tree"]}
    if path == "/v1/responses":
        body["input"] = body.pop("messages")
        return path, body | {"max_output_tokens": 99, "instructions": "x"}
    body |= {"n": 2, "seed": 7, "stop": ["END"], "max_tokens": 99, "user": "u"}
    body["messages"] = [{"role": "developer", "content": [{"type": "text", "text": "x"}]}] + body[
        "messages"
    ]
    if rng.random() < 0.2:
        body["response_format"] = {"type": "json_object"}
    if rng.random() < 0.2:
        function = {"name": "add", "parameters": {"type": "object"}}
        body["tools"] = [{"type": "function", "function": function}]
        body["tool_choice"] = "auto"
    return path, body


def problem(answer: Answer) -> str:
    """Return what is wrong with an answer, "" for nothing."""
    if answer.status >= 500:
        known = answer.status in (502, 503, 504)
        return "" if known and _is_error(answer.body) else f"status {answer.status}"
    if answer.status >= 400:
        return "" if _is_error(answer.body) else "an error in another shape"
    if not answer.body:
        return "an empty success"
    return "a crash in a stream" if b"an error in the gateway" in answer.body else ""


def _is_error(body: bytes) -> bool:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return False
    return found.keys() == {"error"} and found["error"].keys() == ERROR


async def fuzz(seeds: Iterable[int]) -> tuple[Counter[str], dict[int, str]]:
    """Return how the cases ended, and what was wrong by seed."""
    ends, wrong = Counter[str](), dict[int, str]()
    policy, verifier = ScriptedPolicy(as_asked, tokens=len), ScriptedVerifier(by_word)
    async with serving(policy, verifier) as caller:
        waiting = iter(seeds)

        async def work() -> None:
            for seed in waiting:
                rng = random.Random(seed)
                path, body = right(caller, rng)
                raw = msgspec.json.encode(body)
                if rng.random() < 0.8:
                    raw = _encoded(spoiled_value(body, rng), raw)
                else:
                    raw = spoiled_body(raw, rng)
                answer = await caller.post(path, raw)
                ends[str(answer.status)] += 1
                if found := problem(answer):
                    wrong[seed] = f"{path}: {found}: {raw[:300]!r}"

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return ends, wrong


def _encoded(value: Any, otherwise: bytes) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, UnicodeEncodeError):
        return otherwise


def main() -> int:
    """Run the cases, and print what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="seed of the first case")
    args = parser.parse_args()
    logging.disable(logging.WARNING)  # of what is refused, which is the point
    ends, wrong = asyncio.run(fuzz(range(args.first, args.first + args.cases)))
    print(", ".join(f"{status}: {count}" for status, count in sorted(ends.items())))
    for seed, found in wrong.items():
        print(f"seed {seed}: {found}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
