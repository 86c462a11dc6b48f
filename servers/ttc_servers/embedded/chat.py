"""`POST /v1/chat/completions`: a conversation rendered, completed, and put into chat's shapes.

A stream is sent once the completion is there: the engine answers a request as a whole.
"""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from ttc_servers.embedded.protocol import CompletionCall, Message, RequestError, chat_text


class _Part(msgspec.Struct):
    text: str
    type: str = "text"


class _Turn(msgspec.Struct):
    role: str
    content: str | list[_Part]


class _StreamOptions(msgspec.Struct):
    include_usage: bool = False


class ChatCall(msgspec.Struct):
    """`POST /v1/chat/completions`; what the tiny model cannot do is refused."""

    messages: Annotated[list[_Turn], Meta(min_length=1)]
    model: str | None = None
    n: Annotated[int, Meta(ge=1, le=1024)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    presence_penalty: Annotated[float, Meta(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Meta(ge=0, le=0)] | None = None
    tools: Any = None
    response_format: Any = None
    logprobs: Any = None

    def completion(self) -> CompletionCall:
        """Return the completion of the rendered conversation; raises RequestError."""
        for name in ("tools", "response_format", "logprobs"):
            if getattr(self, name):
                raise RequestError(f"{name} is not supported by the embedded server", param=name)
        turns = [Message(turn.role, _text(turn.content)) for turn in self.messages]
        return CompletionCall(
            prompt=chat_text(turns, add_generation_prompt=True),
            n=self.n or 1,
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
        )


def _text(content: str | list[_Part]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


def chat_reply(reply: Any) -> Any:
    """Return the reply to a completion as one to a chat."""
    choices = [
        {
            "index": choice["index"],
            "message": {"role": "assistant", "content": choice["text"]},
            "logprobs": None,
            "finish_reason": choice["finish_reason"],
            "stop_reason": choice["stop_reason"],
        }
        for choice in reply["choices"]
    ]
    return {**reply, "id": "chat" + reply["id"], "object": "chat.completion", "choices": choices}


def chat_stream(call: ChatCall, reply: Any) -> Iterator[bytes]:
    """Yield the events of a reply to a chat: role, content and finish, then usage if asked for."""
    head = {**reply, "object": "chat.completion.chunk"}
    usage = head.pop("usage")
    for choice in head.pop("choices"):
        text, finish = choice["message"]["content"], choice["finish_reason"]
        first = {"role": "assistant", "content": ""}
        for delta, reason in ((first, None), ({"content": text}, None), ({}, finish)):
            piece = {"index": choice["index"], "delta": delta, "finish_reason": reason}
            yield _event({**head, "choices": [piece]})
    if call.stream_options and call.stream_options.include_usage:
        yield _event({**head, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(data: Any) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
