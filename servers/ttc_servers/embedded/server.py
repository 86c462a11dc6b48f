"""The HTTP server around one engine: vLLM's endpoints, errors and counters.

Knows the routes and the model's files; nothing of how tokens come about.
"""

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from aiohttp import web

from ttc_client.clients import wire
from ttc_servers.embedded import completions, metrics, scoring
from ttc_servers.embedded.chat import ChatCall, chat_reply, chat_stream
from ttc_servers.embedded.engine import Engine
from ttc_servers.embedded.jobs import Job
from ttc_servers.embedded.llama import Llama
from ttc_servers.embedded.protocol import (
    CompletionCall,
    DetokenizeCall,
    RequestError,
    ScoringCall,
    TokenizeCall,
    chat_text,
)
from ttc_servers.embedded.tokenizer import Tokenizer

MAX_BODY_BYTES = 16 * 2**20
NUM_BLOCKS = 2048
"""Blocks of the key-value cache; memory is taken as they are first used."""

Call = TypeVar("Call")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class ModelServer:
    """One model behind HTTP; its application starts and stops the engine."""

    def __init__(self, directory: Path, name: str, api_key: str | None = None) -> None:
        self._name = name
        self._api_key = api_key
        self._created = int(time.time())
        self._model = Llama(directory, NUM_BLOCKS)
        self._config = self._model.config
        limit = self._config.max_position_embeddings
        self._tokenizer = Tokenizer(directory / "tokenizer.json", limit)
        self._engine = Engine(self._model, self._tokenizer.token_bytes, NUM_BLOCKS)

    def app(self) -> web.Application:
        """Return the application with all routes."""
        app = web.Application(
            client_max_size=MAX_BODY_BYTES, middlewares=[_translate_errors, self._authorize]
        )
        app.add_routes(
            [
                web.get("/health", self._health),
                web.get("/version", self._version),
                web.get("/metrics", self._metrics),
                web.get("/openapi.json", self._openapi),
                web.get("/v1/models", self._models),
                web.post("/tokenize", self._tokenize),
                web.post("/detokenize", self._detokenize),
                web.post("/v1/completions", self._completions),
                web.post("/v1/chat/completions", self._chat),
                web.post("/generative_scoring", self._generative_scoring),
                web.post("/score", self._score),
            ]
        )
        app.cleanup_ctx.append(self._run_engine)
        return app

    async def _run_engine(self, _: web.Application) -> AsyncIterator[None]:
        self._engine.start()
        yield
        await asyncio.to_thread(self._engine.stop)

    @web.middleware
    async def _authorize(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        expected = f"Bearer {self._api_key}".encode()
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if self._api_key and request.path != "/health" and not hmac.compare_digest(given, expected):
            return _json({"error": "Unauthorized"}, 401)
        return await handler(request)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self._engine.alive else 503)

    async def _version(self, _: web.Request) -> web.Response:
        return _json({"version": f"ttc-embedded-{wire.VERSION}"})

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=metrics.render(self._engine, self._name))

    async def _openapi(self, _: web.Request) -> web.Response:
        return _json(wire.openapi())

    async def _models(self, _: web.Request) -> web.Response:
        model = {
            "id": self._name,
            "object": "model",
            "created": self._created,
            "owned_by": "ttc",
            "root": self._name,
            "max_model_len": self._config.max_position_embeddings,
        }
        return _json({"object": "list", "data": [model]})

    async def _tokenize(self, request: web.Request) -> web.Response:
        call = await self._read(request, TokenizeCall)
        if (call.prompt is None) == (call.messages is None):
            raise RequestError("Give either a prompt or messages.")
        if call.messages is None:
            text, special = call.prompt or "", call.add_special_tokens is not False
        else:
            text = chat_text(call.messages, call.add_generation_prompt)
            special = call.add_special_tokens is True
        tokens = self._tokenizer.encode(text, special)
        limit = self._config.max_position_embeddings
        return _json({"count": len(tokens), "max_model_len": limit, "tokens": tokens})

    async def _detokenize(self, request: web.Request) -> web.Response:
        call = await self._read(request, DetokenizeCall)
        completions.check_ids(call.tokens, self._config, "tokens")
        return _json({"prompt": self._tokenizer.decode(call.tokens)})

    async def _completions(self, request: web.Request) -> web.Response:
        call = await self._read(request, CompletionCall)
        jobs = completions.to_jobs(call, self._tokenizer, self._config)
        await self._run(jobs)
        return _json(completions.reply(call, jobs, self._name, self._tokenizer))

    async def _chat(self, request: web.Request) -> web.Response:
        chat = await self._read(request, ChatCall)
        call = chat.completion()
        jobs = completions.to_jobs(call, self._tokenizer, self._config)
        await self._run(jobs)
        reply = chat_reply(completions.reply(call, jobs, self._name, self._tokenizer))
        if not chat.stream:
            return _json(reply)
        return web.Response(
            body=b"".join(chat_stream(chat, reply)), content_type="text/event-stream"
        )

    async def _generative_scoring(self, request: web.Request) -> web.Response:
        call = await self._read(request, ScoringCall)
        job = scoring.generative_job(call, self._tokenizer, self._config)
        await self._run([job])
        return _json(scoring.generative_reply(call, job, self._name))

    async def _score(self, request: web.Request) -> web.Response:
        call = await self._read(request, wire.ScoreCall)
        job = scoring.score_job(call, self._tokenizer, self._config)
        if job.sequences:
            await self._run([job])
        return _json(scoring.score_reply(call, job))

    async def _read(self, request: web.Request, kind: type[Call]) -> Call:
        try:
            call = msgspec.json.decode(await request.read(), type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise RequestError(str(error)) from error
        model = getattr(call, "model", None)
        if model not in (None, self._name):
            raise RequestError(
                f"The model `{model}` does not exist.",
                status=404,
                kind="NotFoundError",
                param="model",
            )
        return call

    async def _run(self, jobs: list[Job]) -> None:
        if not self._engine.has_room(sum(len(job.sequences) for job in jobs)):
            raise RequestError("The queue is full.", status=503, kind="ServiceUnavailableError")
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(self._engine.run(job))
        if any(job.num_unfinished for job in jobs):
            raise RequestError("The engine is dead.", status=500, kind="InternalServerError")


@web.middleware
async def _translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _json(error.body, error.status)
    except web.HTTPException as error:
        return _json(RequestError(error.reason, status=error.status).body, error.status)


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )
