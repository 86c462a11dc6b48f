"""Templates as servers and users have them: Llama 3's."""

from typing import Any

from ttc_client.clients.prompts import render_llama3
from ttc_client.clients.templates import Asking
from ttc_client.types import Message

IN_LLAMA3 = Asking(render=lambda messages, kwargs: render_llama3(messages))
"""The template of a user who names one."""


def apply_template(payload: dict[str, Any]) -> dict[str, Any]:
    """Render a conversation as llama.cpp does, in Llama 3's template."""
    return {"prompt": render_llama3(messages_of(payload))}


def messages_of(payload: dict[str, Any]) -> list[Message]:
    return [Message(turn["role"], turn["content"]) for turn in payload["messages"]]
