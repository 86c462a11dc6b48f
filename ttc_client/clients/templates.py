"""Render a conversation with the model's own template: the user's file, or what the server says.

Never by a guess from the model's name: a prompt in another family's template makes a model worse
without a word. No rendered text holds a BOS token: whoever tokenizes it adds one.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.errors import ServerError
from ttc_client.thoughts import ends_thought
from ttc_client.types import Message

_BOS = ("<|begin_of_text|>", "<s>", "<bos>", "<｜begin▁of▁sentence｜>", "<|startoftext|>")

FIX = "name the model's template with --chat-template FILE or --tokenizer DIR"

Render = Callable[[Sequence[Message]], Awaitable[str]]
Way = Callable[[Server, Sequence[Message], Mapping[str, Any]], Awaitable[str]]
"""How a server is asked for the text of a conversation."""


@dataclass(frozen=True, slots=True)
class Asking:
    """What goes with every request to the policy.

    `render` is the template that the user named, None for the server's own, and `kwargs` what it
    is given, such as whether to think; `extra_body` holds fields of the user's own.
    `skips_thought` says that the rendered prompt ends the thought before it begins.
    """

    render: Callable[[Sequence[Message], Mapping[str, Any]], str] | None = None
    kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    skips_thought: bool = False

    @property
    def thinks(self) -> bool:
        """Whether the model may think, by what the template was told and what it made of that."""
        off = any(self.kwargs.get(name) is False for name in ("enable_thinking", "thinking"))
        return not (off or self.skips_thought)

    def with_kwargs(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return what a server that renders is sent, with the template's arguments if any."""
        return payload | ({"chat_template_kwargs": self.kwargs} if self.kwargs else {})


def folded(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return a conversation without its system message, which begins the question instead.

    Some templates, such as Gemma's, refuse a system message.
    """
    if len(messages) < 2 or messages[0].role != "system":
        return tuple(messages)
    system, first, *rest = messages
    return (replace(first, content=f"{system.content}\n\n{first.content}"), *rest)


def as_chat(messages: Sequence[Message]) -> list[dict[str, str]]:
    """Return messages as servers take them."""
    return [{"role": turn.role, "content": turn.content} for turn in messages]


class _Prompt(msgspec.Struct):
    prompt: str


class _Templated(msgspec.Struct):
    templated_text: str


class _Ids(msgspec.Struct):
    tokens: list[int]


async def apply_template(
    server: Server, messages: Sequence[Message], kwargs: Mapping[str, Any]
) -> str:
    """Ask llama.cpp."""
    payload = Asking(kwargs=kwargs).with_kwargs({"messages": as_chat(messages)})
    return (await server.post("/apply-template", payload, _Prompt)).prompt


async def tokenize_and_back(
    server: Server, messages: Sequence[Message], kwargs: Mapping[str, Any]
) -> str:
    """Ask vLLM, which gives the tokens."""
    payload: dict[str, Any] = {"messages": as_chat(messages), "add_generation_prompt": True}
    ids = await server.post("/tokenize", Asking(kwargs=kwargs).with_kwargs(payload), _Ids)
    return (await server.post("/detokenize", {"tokens": ids.tokens}, _Prompt)).prompt


async def chat_tokenize(
    server: Server, messages: Sequence[Message], kwargs: Mapping[str, Any]
) -> str:
    """Ask TGI."""
    payload: dict[str, Any] = {"messages": as_chat(messages), "model": "tgi"}
    return (await server.post("/chat_tokenize", payload, _Templated)).templated_text


PROBE = (Message("system", "Be brief."), Message("user", "1 + 1?"))


async def find_render(server: Server, asking: Asking, ways: Sequence[Way]) -> Render | None:
    """Return what renders a conversation: the user's template, or the first way that works.

    None where the server has none of the ways.
    """
    if own := asking.render:

        async def by_file(messages: Sequence[Message]) -> str:
            return _without_bos(own(messages, asking.kwargs))

        return by_file
    for way in ways:
        for shape in (tuple[Message, ...], folded):
            try:
                text = await way(server, shape(PROBE), asking.kwargs)
            except ServerError as error:
                if error.says_later:  # a moment's load must not decide the template
                    raise
                continue
            if PROBE[-1].content in text:
                return _by_server(server, way, shape, asking.kwargs)
    return None


async def skips_thoughts(render: Render | None) -> bool:
    """Return whether rendered prompts end the thought, as far as there is something to render."""
    return render is not None and ends_thought(await render(PROBE))


async def prompt_end(server: Server, asking: Asking) -> str:
    """Return a prompt as vLLM renders it, "" where it does not say; its end is that of all."""
    render = await find_render(server, asking, (tokenize_and_back,))
    return await render(PROBE) if render else ""


def _by_server(
    server: Server,
    way: Way,
    shape: Callable[[Sequence[Message]], tuple[Message, ...]],
    kwargs: Mapping[str, Any],
) -> Render:
    async def render(messages: Sequence[Message]) -> str:
        return _without_bos(await way(server, shape(messages), kwargs))

    return render


def _without_bos(text: str) -> str:
    return next((text.removeprefix(bos) for bos in _BOS if text.startswith(bos)), text)
