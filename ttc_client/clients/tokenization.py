"""The token ids of a text or of a conversation, by vLLM's `/tokenize`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.templates import Asking

TokenId = Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)]
"""An upper bound, because no server gives the size of its vocabulary."""


class _Tokens(msgspec.Struct):
    tokens: Annotated[list[TokenId], msgspec.Meta(min_length=1)]


async def tokenize(server: Server, text: str, *, add_special_tokens: bool) -> tuple[int, ...]:
    """Return the token ids of a text."""
    payload = {"prompt": text, "add_special_tokens": add_special_tokens}
    return tuple((await server.post("/tokenize", payload, _Tokens)).tokens)


async def tokenize_chat(
    server: Server,
    messages: Sequence[Mapping[str, str]],
    *,
    add_generation_prompt: bool,
    asking: Asking | None = None,
) -> tuple[int, ...]:
    """Return the token ids of a conversation in the model's own template."""
    payload: dict[str, Any] = {"messages": messages, "add_generation_prompt": add_generation_prompt}
    payload = (asking or Asking()).with_kwargs(payload)
    return tuple((await server.post("/tokenize", payload, _Tokens)).tokens)
