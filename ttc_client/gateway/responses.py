"""`POST /v1/responses`, for the fields that it shares with chat: the same search, other shapes."""

import time
from collections.abc import Iterator
from typing import Annotated, Any, cast

import msgspec
from msgspec import Meta

from ttc_client.gateway.asked import Asked, read_chat
from ttc_client.gateway.bodies import Extension, Fields, checked
from ttc_client.gateway.profiles import Profile
from ttc_client.gateway.refusals import RefusedError
from ttc_client.gateway.replies import Answered, extension, new_id, pieces, usage
from ttc_client.gateway.votes import Winner

_Count = Annotated[int, Meta(ge=1, lt=2**31)]


class _Reasoning(msgspec.Struct, forbid_unknown_fields=True):
    """Only its absence can be honoured."""


class ResponsesBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/responses` with a profile; nothing is stored."""

    model: str
    input: str | list[Fields]
    instructions: str | None = None
    max_output_tokens: _Count | None = None
    temperature: float | None = None
    top_p: float | None = None
    stream: bool = False
    user: str | None = None
    text: Fields | None = None
    tools: list[Fields] | None = None
    tool_choice: str | Fields | None = None
    parallel_tool_calls: bool | None = None
    reasoning: _Reasoning | None = None
    ttc: Extension | None = None


def read_response(fields: Fields, profile: Profile) -> tuple[Asked, Fields]:
    """Return the search that a request asks for, and its fields that the reply repeats.

    Raises RefusedError, ConfigError.
    """
    body = checked(fields, ResponsesBody)
    chat: Fields = {"model": body.model, "messages": _turns(body), "ttc": fields.get("ttc")}
    for name in ("temperature", "top_p", "stream", "parallel_tool_calls"):
        chat[name] = getattr(body, name)
    chat["max_completion_tokens"] = body.max_output_tokens
    chat["response_format"] = _format(body.text)
    chat["tools"] = [_tool(tool) for tool in body.tools or ()]
    chat["tool_choice"] = _choice(body.tool_choice)
    asked = read_chat({k: v for k, v in chat.items() if v is not None}, profile)
    params = asked.params
    repeated: Fields = {
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "temperature": params.temperature,
        "top_p": params.top_p,
        "tools": body.tools or [],
        "tool_choice": body.tool_choice or "auto",
        "parallel_tool_calls": body.parallel_tool_calls is not False,
        "text": body.text or {"format": {"type": "text"}},
        "store": False,
        "previous_response_id": None,
        "truncation": "disabled",
        "metadata": {},
    }
    return asked, repeated


def _turns(body: ResponsesBody) -> list[Fields]:
    """Return the input as turns of a chat."""
    turns: list[Fields] = []
    if body.instructions:
        turns.append({"role": "system", "content": body.instructions})
    if isinstance(body.input, str):
        return [*turns, {"role": "user", "content": body.input}]
    for index, item in enumerate(body.input):
        turns.append(_turn(item, f"input[{index}]"))
    return turns


def _turn(item: Fields, where: str) -> Fields:
    kind = item.get("type", "message")
    if kind == "message":
        return {"role": item.get("role"), "content": _content(item.get("content"), where)}
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
    raise RefusedError(f"{where} is of type {kind!r}, which no profile reads", param="input")


def _content(content: object, where: str) -> object:
    """Return a message's content with its text parts as chat names them."""
    if not isinstance(content, list):
        return content
    parts: list[Fields] = []
    for part in cast(list[object], content):
        found = cast(Fields, part) if isinstance(part, dict) else {}
        if found.get("type") not in ("input_text", "output_text", "text"):
            kind = found.get("type")
            raise RefusedError(f"{where} has a part of type {kind!r}: only text", param="input")
        parts.append({"type": "text", "text": found.get("text")})
    return parts


def _format(text: Fields | None) -> Fields | None:
    form = (text or {}).get("format")
    if form is None:
        return None
    if not isinstance(form, dict):
        raise RefusedError("text.format must be an object", param="text")
    fields = cast(Fields, form)
    if fields.get("type") != "json_schema":
        return fields
    schema = {name: value for name, value in fields.items() if name != "type"}
    return {"type": "json_schema", "json_schema": schema}


def _tool(tool: Fields) -> Fields:
    if tool.get("type") != "function":
        kind = tool.get("type")
        raise RefusedError(f"tools has one of type {kind!r}: only function", param="tools")
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _choice(choice: str | Fields | None) -> str | Fields | None:
    if isinstance(choice, dict) and "name" in choice:
        return {"type": "function", "function": {"name": choice["name"]}}
    return choice


class ResponseReply:
    """One response, as it grows; `repeated` are the request's own fields."""

    idle = None
    end = b""

    def __init__(self, model: str, repeated: Fields) -> None:
        self._head: Fields = {
            "id": new_id("resp_"),
            "object": "response",
            "created_at": int(time.time()),
            "model": model,
            **repeated,
        }
        self._number = 0
        self._output: list[Fields] = []

    def begun(self) -> Iterator[tuple[str, Fields]]:
        """Yield the events that say that work has begun."""
        going: Fields = {**self._head, "status": "in_progress", "output": [], "error": None}
        going |= {"incomplete_details": None, "usage": None}
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, response=going)

    def whole(self, answered: Answered) -> Fields:
        """Return the response of a search that has ended."""
        return self._ended(answered, _output(answered.decision.winners[0]))

    def opened(self, winner: Winner) -> Iterator[tuple[str, Fields]]:
        """Yield the events of its output."""
        self._output = _output(winner)
        for place, item in enumerate(self._output):
            yield from self._item(place, item)

    def rest(self, answered: Answered) -> Iterator[tuple[str, Fields]]:
        """Yield the events of its output, and of its end."""
        if not self._output:
            yield from self.opened(answered.decision.winners[0])
        ended = self._ended(answered, self._output)
        yield self._event(f"response.{ended['status']}", response=ended)

    def said(self, progress: str) -> Fields:
        """Return an event that tells how the search is going."""
        return self._event("response.ttc.progress", delta=progress)[1]

    def failed(self, error: RefusedError) -> tuple[Fields, str]:
        """Return the event of a failure after the first byte."""
        told = error.body["error"]
        fields = {name: told[name] for name in ("code", "message", "param")}
        return self._event("error", **fields)[1], "error"

    def _ended(self, answered: Answered, output: list[Fields]) -> Fields:
        is_cut = answered.decision.winners[0].finish_reason == "length"
        spent = usage(answered.result)
        return {
            **self._head,
            "status": "incomplete" if is_cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if is_cut else None,
            "error": None,
            "output": output,
            "usage": {
                "input_tokens": spent["prompt_tokens"],
                "input_tokens_details": {**spent["prompt_tokens_details"]},
                "output_tokens": spent["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": spent["total_tokens"],
            },
            "ttc": extension(answered),
        }

    def _item(self, place: int, item: Fields) -> Iterator[tuple[str, Fields]]:
        at: Fields = {"output_index": place, "item_id": item["id"]}
        empty: Fields = {"content": []}
        if item["type"] == "function_call":
            empty = {"arguments": ""}
        opened: Fields = {**item, "status": "in_progress", **empty}
        yield self._event("response.output_item.added", output_index=place, item=opened)
        if item["type"] == "function_call":
            name = "response.function_call_arguments"
            yield self._event(f"{name}.delta", **at, delta=item["arguments"])
            done = {"arguments": item["arguments"], "name": item["name"]}
            yield self._event(f"{name}.done", **at, **done)
        else:
            yield from self._text({**at, "content_index": 0}, item["content"][0])
        yield self._event("response.output_item.done", output_index=place, item=item)

    def _text(self, at: Fields, part: Fields) -> Iterator[tuple[str, Fields]]:
        yield self._event("response.content_part.added", **at, part={**part, "text": ""})
        for piece in pieces(part["text"]):
            yield self._event("response.output_text.delta", **at, delta=piece, logprobs=[])
        yield self._event("response.output_text.done", **at, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **at, part=part)

    def _event(self, kind: str, **fields: Any) -> tuple[str, Fields]:
        self._number += 1
        return kind, {"type": kind, "sequence_number": self._number - 1, **fields}


def _output(winner: Winner) -> list[Fields]:
    """Return the winner as items of output: what it says, then the tools that it calls."""
    status = "incomplete" if winner.finish_reason == "length" else "completed"
    said, calls = winner.said, winner.calls
    output: list[Fields] = []
    if said or not calls:
        part: Fields = {"type": "output_text", "text": said, "annotations": [], "logprobs": []}
        message = {"type": "message", "id": new_id("msg_"), "role": "assistant"}
        output.append({**message, "status": status, "content": [part]})
    for name, arguments in calls:
        call = {"type": "function_call", "id": new_id("fc_"), "call_id": new_id("call_")}
        output.append({**call, "name": name, "arguments": arguments, "status": status})
    return output
