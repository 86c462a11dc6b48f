"""Scripted servers whose models answer by chance: the same request always gets the same answer."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.scripted_server import (
    Handler,
    Reply,
    ScriptedServer,
    completions,
    models,
    scripted_server,
    tokenize,
)


def chance(*key: object) -> random.Random:
    return random.Random(repr(key))


def write(payload: dict[str, Any], i: int) -> tuple[str, str, Any]:
    """Go on for a step, or come to an answer from 0 to 2."""
    luck = chance(payload["seed"] + i)
    if payload.get("stop") and luck.random() < 0.6:
        return f"step {luck.randrange(4)}\n\n", "stop", "\n\n"
    return f"so \\boxed{{{luck.randrange(3)}}}", "stop", None


def score(payload: dict[str, Any]) -> Reply:
    """Score each step by what stands before it."""
    prefix = payload["prefix"]
    return {
        "scores": [
            [chance(*prefix, *item[: j + 1]).random() for j in range(len(item))]
            for item in payload["items"]
        ]
    }


@asynccontextmanager
async def chance_servers(**replies: Handler) -> AsyncGenerator[ScriptedServer]:
    """Serve policy and PRM at one URL; `completions` and `score` may be replaced."""
    async with scripted_server(
        {
            "/v1/models": models(),
            "/tokenize": tokenize,
            "/v1/completions": replies.get("completions", completions(write)),
            "/score": replies.get("score", score),
        }
    ) as server:
        yield server
