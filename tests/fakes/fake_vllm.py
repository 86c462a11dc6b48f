"""A scripted server that answers as vLLM does, save for the faults that it is given."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.scripted_server import (
    ScriptedServer,
    completions,
    models,
    scripted_server,
    tokenize,
)
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.doctor.prm import SOLUTIONS

BOS = 1
TEXT = "## Step 1: Add\n$17 + 25 = 42$.\n\nTherefore, the final answer is: $\\boxed{42}$."
WRONG = {step for _, _, wrong in SOLUTIONS for step in wrong}


@dataclass
class FakeVLLM:
    """`faults` names what is wrong; `judges` says whether the model is a PRM."""

    faults: frozenset[str]
    judges: bool
    name: str
    context_length: int = 4096
    reads: int = 0

    def replies(self) -> dict[str, Any]:
        generate = completions(self._write)

        def complete(payload: dict[str, Any]) -> Any:
            self.reads += "cache off" not in self.faults
            if self._has("ids refused"):  # as by LiteLLM before a vLLM
                if not isinstance(payload["prompt"], str):
                    said = {"error": {"message": "Unmapped prompt format"}}
                    return web.json_response(said, status=500)
                payload = payload | {"prompt": [BOS, *map(ord, payload["prompt"])]}
            if self._has("replies cached"):
                payload = payload | {"seed": 7}
            reply = generate(payload)
            self._spoil(reply)
            return reply

        replies = {
            "/health": lambda _: web.Response(),
            "/version": lambda _: {"version": "0.32.0"},
            "/metrics": lambda _: web.Response(text=self._metrics()),
            "/v1/models": models(self.name, self.context_length),
            "/tokenize": self._tokenize,
            "/v1/completions": complete,
            "/generative_scoring": self._score,
        }
        missing = {"/tokenize"} if self._has("ids refused") else set[str]()
        missing |= {path for path in replies if self._has(f"no {path}")}
        return {path: reply for path, reply in replies.items() if path not in missing}

    def _has(self, fault: str) -> bool:
        return fault in self.faults

    def _tokenize(self, payload: dict[str, Any]) -> Any:
        if self._has("one label") and payload.get("prompt") in ("+", "-"):
            return {"tokens": [7]}
        if "messages" in payload and self._has("template trims"):
            messages = [{"content": m["content"].strip()} for m in payload["messages"]]
            payload = {**payload, "messages": messages}
        reply: Any = tokenize(payload)
        template_bos = self._has("template BOS") and "messages" in payload
        doubled = self._has("BOS doubled") and reply["tokens"][:1] == [BOS]
        missing = self._has("BOS missing") and len(reply["tokens"]) > 2
        tokens = [BOS] * (template_bos or doubled) + reply["tokens"][missing:]
        return {**reply, "tokens": tokens}

    def _write(self, payload: dict[str, Any], i: int) -> tuple[str, str, Any]:
        text = TEXT
        if payload["temperature"]:
            seed = None if self._has("seeds ignored") else payload.get("seed")
            child = 0 if self._has("siblings alike") else i
            rng = random.Random(None if seed is None else seed + child)
            text = "".join(rng.choices("abcdefgh", k=payload["max_tokens"]))
        elif self._has("unsteady"):
            text = "".join(random.choices("abcdefgh", k=payload["max_tokens"]))
        elif self._has("silent"):
            return "", "stop", None
        for stop in payload["stop"] or ():
            end = text.find(stop)
            if end >= 0 and not self._has("stop ignored"):
                kept = text[: end + len(stop) * (not self._has("stop cut"))]
                return kept, "stop", None if self._has("stop unnamed") else stop
        return text[: payload["max_tokens"]], "length", None

    def _spoil(self, reply: Any) -> None:
        usage = reply["usage"]
        if self.reads <= 1 or self.faults & {"cache off", "cache untold"}:
            usage["prompt_tokens_details"] = None
        if self._has("no token ids"):
            for choice in reply["choices"]:
                choice["token_ids"] = None

    def _metrics(self) -> str:
        return f'vllm:prefix_cache_hits_total{{engine="0",model_name="m"}} {16.0 * self.reads}\n'

    def _score(self, payload: dict[str, Any]) -> Any:
        if "items" not in payload:
            return web.json_response({"error": {"message": "items?"}}, status=400)

        def score(item: str) -> float:
            wrong = any(step in payload["query"] + item for step in WRONG)
            return (0.1 if wrong else 0.9) if self.judges else 0.02

        data = [
            {"index": i, "object": "score", "score": score(item)}
            for i, item in enumerate(payload["items"])
        ]
        return {"data": data, "usage": {"prompt_tokens": 1}}


@asynccontextmanager
async def fake_vllm(
    *faults: str, judges: bool = False, name: str = "", context_length: int = 4096
) -> AsyncGenerator[tuple[ScriptedServer, Server]]:
    """Run the server; give it and the client's end of it."""
    name = name or ("prm" if judges else "policy")
    fake = FakeVLLM(frozenset(faults), judges, name, context_length)
    async with scripted_server(fake.replies()) as scripted, Session() as session:
        yield scripted, Server(session, scripted.url, timeout_s=5)
