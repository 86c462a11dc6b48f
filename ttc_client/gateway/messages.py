"""The conversation of a request: turns are kept as they are, text parts are joined.

`developer` is `system`, and what leads the conversation is one system message.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ttc_client.errors import did_you_mean
from ttc_client.gateway.refusals import RefusedError
from ttc_client.types import Message

Turn = dict[str, Any]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST = 10_000
_SHOWN = 100
_OF_REPLIES = ("reasoning_content", "reasoning", "ttc")
"""What replies of ours and of others carry beside their text, and no model reads again."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The turns of a conversation, and the question that it ends with.

    `turns` are as a chat API takes them; `messages` are the same where all of them are plain text,
    None where tools were called, which only the policy's server can render.
    """

    turns: tuple[Turn, ...]
    question: str
    messages: tuple[Message, ...] | None


def conversation(turns: Sequence[Turn]) -> Conversation:
    """Read the turns; raises RefusedError that names what is wrong with which of them."""
    if not turns:
        raise RefusedError("messages is empty: there is no question", param="messages")
    if len(turns) > _MOST:
        raise RefusedError(f"messages has {len(turns)} turns: at most {_MOST:,}", param="messages")
    read = _joined([_turn(turn, index) for index, turn in enumerate(turns)])
    if read[-1]["role"] not in ("user", "tool"):
        raise RefusedError(
            f"messages ends with a turn of the {read[-1]['role']}: the last must be the user's",
            param="messages",
        )
    question = next((turn["content"] for turn in reversed(read) if turn["role"] == "user"), "")
    if not question.strip():
        raise RefusedError(
            "messages holds no question: the last turn of the user is empty", param="messages"
        )
    plain = all(turn.keys() == {"role", "content"} for turn in read)
    messages = tuple(Message(turn["role"], turn["content"]) for turn in read) if plain else None
    return Conversation(tuple(read), question, messages)


def _turn(turn: Turn, index: int) -> Turn:
    where = f"messages[{index}]"
    fields = {name: value for name, value in turn.items() if value is not None and value != []}
    role = fields.pop("role", None)
    if role not in _ROLES:
        hint = did_you_mean(str(role)[:_SHOWN], _ROLES)
        raise RefusedError(
            f"{where}.role is {role!r}: it must be one of {', '.join(_ROLES)}{hint}",
            param="messages",
        )
    role = "system" if role == "developer" else role
    content = fields.pop("content", None)
    calls = fields.pop("tool_calls", None)
    read: Turn = {"role": role}
    if role == "tool":
        read["tool_call_id"] = _text(fields.pop("tool_call_id", None), f"{where}.tool_call_id")
    if calls is not None:
        if role != "assistant":
            raise RefusedError(
                f"{where}.tool_calls: only an assistant calls tools", param="messages"
            )
        read["tool_calls"] = [_call(call, where) for call in _objects(calls, f"{where}.tool_calls")]
    if content is not None or calls is None:
        read["content"] = _content(content, where)
    for name in fields.keys() - set(_OF_REPLIES):
        raise RefusedError(
            f"{where}.{name} cannot be honoured with a profile: leave it out", param="messages"
        )
    return read


def _content(content: object, where: str) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise RefusedError(
            f"{where}.content must be a text, or a list of text parts", param="messages"
        )
    texts: list[str] = []
    for part in _objects(cast(object, content), f"{where}.content"):
        if (kind := part.get("type")) != "text":
            raise RefusedError(
                f"{where}.content has a part of type {kind!r}: a profile reads text alone",
                param="messages",
            )
        texts.append(_text(part.get("text"), f"{where}.content.text"))
    return "\n".join(texts)


def _call(call: Turn, where: str) -> Turn:
    function = call.get("function")
    if not isinstance(function, dict):
        raise RefusedError(f"{where}.tool_calls holds a call of no function", param="messages")
    named = cast(Turn, function)
    return {
        "id": _text(call.get("id"), f"{where}.tool_calls.id"),
        "type": "function",
        "function": {
            "name": _text(named.get("name"), f"{where}.tool_calls.function.name"),
            "arguments": _text(
                named.get("arguments", ""), f"{where}.tool_calls.function.arguments"
            ),
        },
    }


def _objects(value: object, where: str) -> list[Turn]:
    if isinstance(value, list):
        items = cast(list[object], value)
        if all(isinstance(item, Mapping) for item in items):
            return cast(list[Turn], items)
    raise RefusedError(f"{where} must be a list of objects", param="messages")


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise RefusedError(f"{where} must be a text", param="messages")
    return value


def _joined(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with the system messages that lead them as one."""
    leading = 0
    while leading < len(turns) and turns[leading]["role"] == "system":
        leading += 1
    if leading < 2:
        return list(turns)
    text = "\n\n".join(turn["content"] for turn in turns[:leading])
    return [{"role": "system", "content": text}, *turns[leading:]]
