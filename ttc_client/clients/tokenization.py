"""The token ids of a text or of a conversation, by vLLM's `/tokenize`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.clients.prompts import LLAMA3_ASSISTANT
from ttc_client.clients.templates import PROBE, Asking, as_chat
from ttc_client.errors import RequestError, ServerError

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


async def is_llama3(server: Server) -> bool:
    """Return whether the model reads Llama 3's template; not known without /tokenize.

    Its tokenizer has Llama 3's header token, and its template, if it has one, ends a prompt as
    Llama 3's does: DeepSeek's distills have the tokenizer alone.
    """
    try:
        header = await tokenize(server, "<|start_header_id|>", add_special_tokens=False)
        if len(header) != 1:
            return False
        end = await tokenize(server, LLAMA3_ASSISTANT, add_special_tokens=False)
    except RequestError:
        return False
    try:
        own = await tokenize_chat(server, as_chat(PROBE), add_generation_prompt=True)
    except ServerError as error:
        if error.says_later:
            raise
        return True  # a base model has no template
    return own[-len(end) :] == end
