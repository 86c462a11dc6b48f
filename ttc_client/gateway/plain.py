"""Requests for the policy itself, passed on to its server: no search, nothing added."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from ttc_client.errors import TransientServerError
from ttc_client.gateway.bodies import Fields, same_cap
from ttc_client.gateway.refusals import RefusedError
from ttc_client.runtime.client import Client

_CAPS = "max_tokens and max_completion_tokens"


class _Event(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: Fields | None = None
    error: Any = None


def plain_payload(fields: Fields, model: str) -> Fields:
    """Return what is sent to the policy's chat; raises RefusedError for what must not be.

    Both names of the cap become the one that every server knows, and `developer` is `system`.
    """
    payload = {**fields, "model": model}
    if "ttc" in payload:
        raise RefusedError(f"ttc needs a profile, such as {model}:fast", param="ttc")
    turns = payload.get("messages")
    if not isinstance(turns, list) or not turns:
        raise RefusedError("messages must be a list of turns, and not empty", param="messages")
    payload["messages"] = [_turn(turn) for turn in cast(list[object], turns)]
    caps: list[int | None] = []
    for name in ("max_tokens", "max_completion_tokens"):
        found: Any = payload.pop(name, None)
        caps.append(found)
        if caps[-1] is not None and not _is_count(caps[-1]):
            raise RefusedError(f"{name} must be 1 or more", param=name)
    cap = same_cap(caps[0], caps[1], _CAPS)
    if not _is_count(payload.get("n", 1)):
        raise RefusedError("n must be 1 or more", param="n")
    if not isinstance(payload.get("stream", False), bool):
        raise RefusedError("stream must be true or false", param="stream")
    options = payload.get("stream_options", {})
    if not isinstance(options, dict):
        raise RefusedError("stream_options must be an object", param="stream_options")
    return payload if cap is None else {**payload, "max_tokens": cap}


def _turn(turn: object) -> object:
    if not isinstance(turn, dict):
        raise RefusedError("messages must hold objects", param="messages")
    fields = cast(Fields, turn)
    return {**fields, "role": "system"} if fields.get("role") == "developer" else fields


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 2**31


async def whole_reply(client: Client, path: str, payload: Fields) -> Fields:
    """Return the policy's reply; raises ServerError, and RefusedError for an error within."""
    async with aclosing(client.relay(path, payload)) as pieces:
        body = b"".join([piece async for piece in pieces])
    try:
        reply = msgspec.json.decode(body, type=Fields)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("the policy's reply is not JSON", status=502) from error
    if reply.get("error"):
        raise RefusedError("the policy's server answered with an error", status=502)
    return reply


async def events(client: Client, path: str, payload: Fields) -> AsyncGenerator[tuple[bytes, int]]:
    """Yield the policy's events, each whole, and the tokens that it says were generated so far.

    Its usage is read from whichever event has it; an event of usage alone is passed on only to
    those who asked. Raises RefusedError for an error in the stream, and TransientServerError for a
    stream that ends before its end.
    """
    options = cast(Fields, payload.get("stream_options", {}))
    is_chat = path == "/chat/completions"
    if is_chat:
        payload = {**payload, "stream_options": {**options, "include_usage": True}}
    tokens, ended = 0, not is_chat
    async with aclosing(client.relay(path, payload)) as pieces:
        async for event in _split(pieces):
            data = _data(event)
            if data == b"[DONE]":
                ended = True
            elif data and is_chat:
                read = _read(data)
                tokens = tokens_of(read.usage) or tokens
                if read.usage and not read.choices and not options.get("include_usage"):
                    continue
            yield event, tokens
    if not ended:
        raise TransientServerError("the policy's stream ended before its end", url="")


def tokens_of(usage: object) -> int:
    """Return the tokens that were generated, 0 where a usage does not say."""
    found: Any = usage
    tokens = found.get("completion_tokens") if isinstance(usage, dict) else 0
    return tokens if isinstance(tokens, int) else 0


def _read(data: bytes) -> _Event:
    try:
        read = msgspec.json.decode(data, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RefusedError(
            "the policy's stream holds an event that is not JSON", status=502
        ) from None
    if read.error:
        raise RefusedError("the policy's server failed in the middle of its stream", status=502)
    return read


async def _split(pieces: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """Yield the events of a stream, without ids and comments, each with its empty line."""
    left = b""
    async for piece in pieces:
        *whole, left = (left + piece).replace(b"\r\n", b"\n").split(b"\n\n")
        for event in whole:
            lines = [line for line in event.split(b"\n") if line[:5] in (b"data:", b"event")]
            if lines:
                yield b"\n".join(lines) + b"\n\n"


def _data(event: bytes) -> bytes:
    lines = [line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines)
