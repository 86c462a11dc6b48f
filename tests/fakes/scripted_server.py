"""A scripted HTTP server on the loopback interface, which records every request."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trustme
from aiohttp import web

from ttc_client.clients.prompts import LLAMA3_ASSISTANT

Reply = dict[str, Any] | web.StreamResponse
Handler = Callable[[Any], Reply | Awaitable[Reply]]


@dataclass
class ScriptedServer:
    """Answer a path with `replies[path](payload)`; 404 for all others."""

    replies: dict[str, Handler]
    url: str = ""
    requests: list[tuple[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    closed_early: int = 0

    def payloads(self, path: str) -> list[Any]:
        return [payload for asked, payload in self.requests if asked == path]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        payload = await request.json() if request.can_read_body else None
        self.requests.append((request.path, payload))
        self.headers.append(dict(request.headers))
        handler = self.replies.get(request.path)
        if handler is None:
            return web.json_response({"detail": "Not Found"}, status=404)
        try:
            reply = handler(payload)
            if isinstance(reply, Awaitable) and not isinstance(reply, web.StreamResponse):
                reply = await reply
        except asyncio.CancelledError:
            self.closed_early += 1
            raise
        if isinstance(reply, dict) and "choices" in reply:  # no two are alike, as with real servers
            reply = {"created": len(self.requests), **reply}
        return reply if isinstance(reply, web.StreamResponse) else web.json_response(reply)


@asynccontextmanager
async def scripted_server(
    replies: dict[str, Handler], tls: ssl.SSLContext | None = None
) -> AsyncGenerator[ScriptedServer]:
    server = ScriptedServer(replies)
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    scheme = "https" if tls else "http"
    server.url = "{}://{}:{}".format(scheme, *runner.addresses[0])
    try:
        yield server
    finally:
        await runner.cleanup()


def own_ca(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Return a server's side of TLS on localhost, and the file of the CA that signed for it."""
    authority = trustme.CA()
    bundle = directory / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    return tls, bundle


def tokenize(payload: dict[str, Any]) -> Reply:
    """Read each character as a token, after a BOS (1) if asked for; a Llama 3 header is one."""
    if "messages" in payload:
        text, special = "".join(m["content"] for m in payload["messages"]), False
        text += LLAMA3_ASSISTANT if payload.get("add_generation_prompt", True) else ""
    else:
        text, special = payload["prompt"], payload.get("add_special_tokens", True)
    text = text.replace("<|start_header_id|>", "\x02")
    tokens = [1] * special + [ord(character) % 1000 for character in text]
    return {"count": len(tokens), "max_model_len": 4096, "tokens": tokens}


def models(name: str = "model", max_model_len: int = 4096) -> Handler:
    """Offer one model."""
    return lambda _: {"data": [{"id": name, "max_model_len": max_model_len}]}


def logprobs(text: str, top: int | None) -> dict[str, Any] | None:
    """Say that each character had -0.5, and of `top` alternatives the likeliest too, then -1.5 …

    As vLLM does, it adds what was sampled to the alternatives.
    """
    if top is None:
        return None
    likeliest = {f"token_id:{rank}": -0.5 - rank for rank in range(max(top, 1))}
    return {
        "token_logprobs": [-0.5 for _ in text],
        "tokens": [*text],
        "top_logprobs": [likeliest for _ in text],
        "text_offset": [*range(len(text))],
    }


def completions(write: Callable[[dict[str, Any], int], tuple[str, str, Any]]) -> Handler:
    """Answer like vLLM; `write(payload, i)` gives text, finish_reason and stop_reason."""

    def reply(payload: dict[str, Any]) -> Reply:
        if payload["model"] != "model" and "n" not in payload:
            said = f"The model `{payload['model']}` does not exist."
            return web.json_response({"error": {"message": said}}, status=404)
        choices = []
        for i in range(payload["n"]):
            text, finish, stop = write(payload, i)
            choices.append(
                {
                    "index": i,
                    "text": text,
                    "finish_reason": finish,
                    "stop_reason": stop,
                    "token_ids": [ord(character) % 1000 for character in text],
                    "prompt_token_ids": payload["prompt"],
                    "logprobs": logprobs(text, payload.get("logprobs")),
                }
            )
        generated = sum(len(choice["token_ids"]) for choice in choices)
        usage = {
            "prompt_tokens": len(payload["prompt"]),
            "completion_tokens": generated,
            "total_tokens": len(payload["prompt"]) + generated,
            "prompt_tokens_details": {"cached_tokens": 16},
        }
        return {"id": "x", "object": "text_completion", "choices": choices, "usage": usage}

    return reply
