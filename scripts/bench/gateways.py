"""What gateways honour of a request: ours, optillm's best-of-n and its_hub's, on the same policy.

    python -m venv DIR && DIR/bin/pip install optillm==0.4.0 'its_hub[iaas]==1.2.0'
    python -m scripts.bench.gateways DIR

The policy is scripted: it records what reaches it, and says what it wrote. Each gateway samples
four completions a request. Prints a table in Markdown.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.ports import free_port
from tests.fakes.scripted_server import (
    Reply,
    ScriptedServer,
    completions,
    models,
    scripted_server,
    tokenize,
)
from tests.gateway.serving import events, serving
from tests.gateway.test_life import until

SAMPLES = 4
HELD = "hold this back"
TEXTS = tuple(rf"It is \boxed{{{i}}}." for i in (1, 2, 1, 3))
FIELDS: dict[str, Any] = {
    "temperature": 0.31,
    "top_p": 0.57,
    "max_tokens": 99,
    "stop": ["END"],
    "seed": 7,
}
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "First?"},
    {"role": "assistant", "content": "Yes."},
    {"role": "user", "content": "How many?"},
]
TOOL = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
START_S, CANCEL_S = 120.0, 5.0

Ask = Callable[..., Awaitable[tuple[int, bytes]]]


async def chat(payload: dict[str, Any]) -> Reply:
    """Answer a chat as OpenAI does, and hold back where the last turn asks for it."""
    if HELD in payload["messages"][-1]["content"]:
        await asyncio.sleep(60)
    n = payload.get("n") or 1
    usage = {"prompt_tokens": 11, "completion_tokens": 13 * n, "total_tokens": 11 + 13 * n}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "model",
        "choices": [_choice(i) for i in range(n)],
        "usage": usage,
    }


async def complete(payload: dict[str, Any]) -> Reply:
    """Answer a completion as vLLM does, and hold back where the prompt asks for it."""
    if HELD in "".join(map(chr, payload["prompt"])):
        await asyncio.sleep(60)
    found: Any = completions(lambda _, i: (TEXTS[i], "stop", None))(payload)
    found["usage"]["completion_tokens"] = 13 * payload["n"]
    return found


def _choice(i: int) -> dict[str, Any]:
    message = {"role": "assistant", "content": TEXTS[i % SAMPLES]}
    return {"index": i, "message": message, "finish_reason": "stop", "logprobs": None}


def reached(policy: ScriptedServer) -> list[dict[str, Any]]:
    """Return what has been asked of the policy."""
    return policy.payloads("/v1/completions") + policy.payloads("/v1/chat/completions")


def samples(policy: ScriptedServer) -> int:
    """Return how many completions the policy was asked for."""
    return sum(payload.get("n") or 1 for payload in reached(policy))


async def findings(policy: ScriptedServer, model: str, ask: Ask) -> dict[str, str]:
    """Return what a gateway makes of requests of each kind."""
    found: dict[str, str] = {}

    async def asked(**fields: Any) -> tuple[int, bytes]:
        policy.requests.clear()
        return await ask({"model": model, "messages": [TURNS[1]], **fields})

    for name, value in FIELDS.items():
        status, _ = await asked(**{name: value})
        seen = [payload.get(name) for payload in reached(policy)]
        ok = bool(seen) and (value in seen or (name == "seed" and None not in seen))
        found[f"`{name}`"] = "honoured" if ok else _otherwise(status)
    status, _ = await asked(messages=TURNS)
    texts = [json.dumps(payload.get("messages") or payload) for payload in reached(policy)]
    kept = any(json.loads(text) == TURNS for text in texts if text.startswith("["))
    kept = kept or any(_spelled(payload) for payload in reached(policy))
    found["turns of a conversation"] = "kept" if kept else "flattened"
    status, body = await asked(n=2)
    told = len(json.loads(body).get("choices", [])) if status == 200 else 0
    found["choices for `n`: 2"] = f"{told} of 2" if told else _otherwise(status)
    status, _ = await asked(tools=[TOOL])
    found["`tools`"] = "reach the policy" if any("tools" in p for p in reached(policy)) else "lost"
    status, _ = await asked(bogus=1)
    found["a field that nobody knows"] = "ignored" if status == 200 else f"{status}"
    status, body = await asked()
    usage, num = json.loads(body).get("usage") or {}, samples(policy)
    found["completions asked for, unstreamed"] = str(num)
    found["`usage` of them"] = (
        "their sum"
        if usage.get("completion_tokens") == 13 * num
        else (f"{usage.get('completion_tokens')} of {13 * num}")
    )
    found |= await _streamed(policy, asked)
    return found | {"cancelled with its caller": await _cancelled(policy, asked)}


async def _streamed(policy: ScriptedServer, asked: Ask) -> dict[str, str]:
    _, body = await asked(stream=True, stream_options={"include_usage": True})
    lines = [data for _, data in events(body.decode())]
    chunks = [json.loads(data) for data in lines if data != "[DONE]"]
    choices = [chunk["choices"][0] for chunk in chunks if chunk.get("choices")]
    is_sound = (
        lines[-1] == "[DONE]"
        and len({chunk.get("id") for chunk in chunks}) == 1
        and any(choice["delta"].get("role") for choice in choices)
        and any(choice.get("finish_reason") for choice in choices)
    )
    usage = any(chunk.get("usage") for chunk in chunks)
    return {
        "completions asked for, streamed": str(samples(policy)),
        "chunks": "OpenAI's" if is_sound else "lack an id, a role or an end",
        "usage at the end of a stream": "yes" if usage else "no",
    }


async def _cancelled(policy: ScriptedServer, asked: Ask) -> str:
    before = policy.closed_early
    policy.requests.clear()
    asking = asyncio.ensure_future(asked(messages=[{"role": "user", "content": HELD}]))
    await until(lambda: bool(reached(policy)), 30)
    asking.cancel()
    with suppress(asyncio.CancelledError):
        await asking
    began_s = time.monotonic()
    try:
        await until(lambda: policy.closed_early > before, CANCEL_S)
    except TimeoutError:
        return "no"
    return f"after {time.monotonic() - began_s:.1f} s"


def _otherwise(status: int) -> str:
    return "dropped in silence" if status == 200 else f"refused ({status})"


def _spelled(payload: dict[str, Any]) -> bool:
    """Whether a prompt of characters, as the scripted tokenizer reads them, holds all turns."""
    text = "".join(chr(token) for token in payload.get("prompt", ()))
    return all(turn["content"] in text for turn in TURNS)


@asynccontextmanager
async def started(*command: str, url: str, **environment: str) -> AsyncGenerator[None]:
    """Run a server until the block ends; waits until it listens."""
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    host, port = url.removeprefix("http://").split(":")
    try:
        async with asyncio.timeout(START_S):
            while process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection(host, int(port))
                    writer.close()
                    break
                await asyncio.sleep(0.2)
        yield
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def table(peers: Path) -> dict[str, dict[str, str]]:
    """Return the findings by gateway."""
    found: dict[str, dict[str, str]] = {}
    answers = {
        "/v1/models": models(),
        "/tokenize": tokenize,
        "/v1/completions": complete,
        "/v1/chat/completions": chat,
    }
    async with scripted_server(answers) as policy, aiohttp.ClientSession() as session:

        def at(url: str) -> Ask:
            async def ask(body: dict[str, Any]) -> tuple[int, bytes]:
                path = url + "/v1/chat/completions"
                async with session.post(path, json=body, headers=headers) as reply:
                    return reply.status, await reply.read()

            return ask

        headers = {"Authorization": "Bearer none"}
        async with serving(policy.url, profiles=(f"vote=majority:{SAMPLES}",)) as caller:
            found["ttc"] = await findings(policy, f"{caller.model}:vote", at(caller.url))
        url = f"http://127.0.0.1:{(port := free_port())}"
        flags = ("--approach", "bon", "--best-of-n", str(SAMPLES), "--port", str(port))
        base = ("--base-url", f"{policy.url}/v1")
        optillm = str(peers / "bin" / "optillm")
        async with started(optillm, *flags, *base, url=url, OPENAI_API_KEY="none"):
            found["optillm 0.4.0"] = await findings(policy, "bon-model", at(url))
        url = f"http://127.0.0.1:{(port := free_port())}"
        async with started(str(peers / "bin" / "its-iaas"), "--port", str(port), url=url):
            configured = {
                "endpoint": f"{policy.url}/v1",
                "api_key": "none",
                "model": "model",
                "alg": "self-consistency",
                "regex_patterns": [r"boxed\{(.*)\}"],
                "budget": SAMPLES,
            }
            async with session.post(url + "/configure", json=configured) as reply:
                assert reply.status == 200, await reply.text()
            found["its_hub 1.2.0"] = await findings(policy, "model", at(url))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peers", type=Path, help="an environment with the two others")
    found = asyncio.run(table(parser.parse_args().peers))
    print("|", " | ".join(["", *found]), "|")
    print("|" + "---|" * (len(found) + 1))
    for row in found["ttc"]:
        print("|", " | ".join([row, *(of[row] for of in found.values())]), "|")


if __name__ == "__main__":
    main()
