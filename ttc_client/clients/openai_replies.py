"""The answers of OpenAI-compatible servers, and the checks that they must pass.

Servers differ in the fields that they leave out. Knows nothing of HTTP or of the SDK.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ttc_client.clients.calls import only_said, with_calls
from ttc_client.clients.finishes import kept, names_stop_string, says_which_end, whole_finish
from ttc_client.clients.logprobs import read_logprobs
from ttc_client.clients.prompts import estimated_tokens
from ttc_client.clients.replies import Dropped, Unexpected, in_order
from ttc_client.clients.usage import TokenUsage, counted
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.thoughts import with_thought
from ttc_client.types import Finish, Step, Usage

_NO_INDEX = -1
_CALLED = ("tool_calls", "function_call")
"""Finish reasons of a message that is whole and calls tools."""

_WHY_ONLY_A_THOUGHT = (
    "its content is null and all of its text is in {field}: serve the model without a reasoning "
    "parser, or with the one that fits it and more --max-completion-tokens"
)


class _Choice(msgspec.Struct):
    """`stop_reason` is vLLM's and `matched_stop` SGLang's; other servers have neither."""

    text: str | None
    finish_reason: str | None = None
    index: int = _NO_INDEX
    stop_reason: int | str | UnsetType | None = UNSET
    matched_stop: int | str | UnsetType | None = UNSET
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class Completion(msgspec.Struct):
    """The answer of `/v1/completions`; llama.cpp alone gives `timings`."""

    choices: list[_Choice]
    usage: TokenUsage | None = None
    model: str | None = None
    timings: Any = None


class _Part(msgspec.Struct):
    """A part of a content that is a list; Mistral's thoughts are lists in their turn."""

    text: str = ""
    thinking: "str | list[_Part]" = ""


class _Function(msgspec.Struct):
    name: str
    arguments: str = ""


class _Call(msgspec.Struct):
    function: _Function


class _Message(msgspec.Struct):
    """Servers call the thought `reasoning` or `reasoning_content`."""

    content: str | list[_Part] | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    index: int = _NO_INDEX
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class Chat(msgspec.Struct):
    """The answer of `/v1/chat/completions`."""

    choices: list[_ChatChoice]
    usage: TokenUsage | None = None
    model: str | None = None
    timings: Any = None


class _Piece(msgspec.Struct):
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Chunk(msgspec.Struct):
    """An event of a stream, which the SDK passes on unchecked; the last may hold the `usage`."""

    choices: list[_Piece] | None = None
    usage: TokenUsage | None = None


C = TypeVar("C", _Choice, _ChatChoice)


class _Reply(Protocol[C]):
    choices: list[C]
    usage: TokenUsage | None
    timings: Any


def written(request: SampleRequest, reply: Completion) -> Samples:
    """Return the continuations, without those that the server gave up.

    Raises Unexpected for what was not asked for, and Dropped if all were given up.
    """

    def step(choice: _Choice, num_tokens: int) -> Step:
        text = choice.text or ""
        used_up = num_tokens >= request.max_tokens
        finish = _finish(request, choice, wrote=bool(text), used_up=used_up)
        stop = _matched(choice)
        stop = stop if isinstance(stop, str) else request.stop[0] if request.stop else ""
        if finish == "stop" and not text.endswith(stop):  # most servers cut it off
            text += stop
        return _step(request, choice, text, finish, num_tokens)

    return _read(request, reply, lambda choice: len(choice.text or ""), step)


def _matched(choice: _Choice) -> int | str | None:
    return choice.stop_reason or choice.matched_stop or None


def whole_completions(request: SampleRequest, reply: Chat, *, thinks: bool = True) -> Samples:
    """Return the completions, without those that the server gave up; raises as `written` does.

    Unless the model `thinks`, text in the thought's field alone is the answer: the server's parser
    waited for a thought that did not come.
    """

    def step(choice: _ChatChoice, num_tokens: int) -> Step:
        thought, answer, field = _said(choice.message)
        if answer is None and not thinks:
            thought, answer = "", thought or None
        calls = _calls(choice.message)
        used_up = num_tokens >= request.max_tokens
        reason = "stop" if choice.finish_reason in _CALLED else choice.finish_reason
        wrote = bool(thought or answer or calls)
        finish = whole_finish(reason, wrote=wrote, used_up=used_up)
        if answer is None and not calls and finish == "eos":
            raise _without_content(choice.message, field)
        said = with_thought(thought, (answer or "") if calls else answer)
        return _step(request, choice, only_said(said) + calls, finish, num_tokens)

    def length(choice: _ChatChoice) -> int:
        thought, answer, _ = _said(choice.message)
        return len(thought) + len(answer or "") + len(_calls(choice.message))

    return _read(request, reply, length, step)


def _said(message: _Message) -> tuple[str, str | None, str]:
    """Return the thought, the content and the field that holds the thought."""
    beside = [(name, getattr(message, name)) for name in ("reasoning_content", "reasoning")]
    field, thought = next((one for one in beside if one[1]), ("", ""))
    if not isinstance(message.content, list):
        return thought, message.content, field
    texts = [part.text for part in message.content]
    thoughts = [_thinking(part.thinking) for part in message.content]
    return thought or "".join(thoughts), "".join(texts) if any(texts) else None, field or "content"


def _calls(message: _Message) -> str:
    functions = [call.function for call in message.tool_calls or ()]
    return with_calls([(function.name, function.arguments) for function in functions])


def _thinking(thinking: str | list[_Part]) -> str:
    return thinking if isinstance(thinking, str) else "".join(part.text for part in thinking)


def _without_content(message: _Message, field: str) -> Dropped:
    if message.refusal:
        return Dropped("refused")
    if field:
        return Dropped("only a thought", _WHY_ONLY_A_THOUGHT.format(field=field))
    return Dropped("empty")


def _read(
    request: SampleRequest,
    reply: _Reply[C],
    length: Callable[[C], int],
    step: Callable[[C, int], Step],
) -> Samples:
    spent = counted(reply.usage).by_policy()
    choices = _in_order(reply.choices, request.n)
    of_one = reply.timings is not None and request.n > 1
    if of_one or not spent.completion_tokens:
        num_tokens = _estimated(request, [*map(length, choices)], spent.completion_tokens)
        estimated = sum(num_tokens) - spent.completion_tokens
        spent += Usage(completion_tokens=estimated, estimated_tokens=estimated)
    else:
        num_tokens = [_share(request, spent)] * request.n

    def read(choice: C, num_tokens: int) -> Step | Dropped:
        try:
            return step(choice, num_tokens)
        except Dropped as dropped:
            return dropped

    return kept([read(*each) for each in zip(choices, num_tokens, strict=True)], spent)


def _estimated(request: SampleRequest, lengths: Sequence[int], first: int) -> Sequence[int]:
    """Return the tokens of each choice, by its characters.

    llama.cpp counts the `first` choice alone; 0 says that nothing is counted.
    """
    if first and lengths[0]:
        found = [first, *(1 + length * first // lengths[0] for length in lengths[1:])]
    else:
        found = [estimated_tokens(length) for length in lengths]
    return [min(num_tokens, request.max_tokens) for num_tokens in found]


def _in_order(choices: Sequence[C], count: int) -> Sequence[C]:
    """Put choices in order; they are in order where a server leaves out their indices."""
    for index, choice in enumerate(choices):
        if choice.index == _NO_INDEX:
            choice.index = index
    return in_order(choices, count)


def _share(request: SampleRequest, usage: Usage) -> int:
    """Return the mean tokens of a choice, because the server counts only their sum."""
    if usage.completion_tokens > request.n * request.max_tokens:
        allowed = f"{request.n} times {request.max_tokens}"
        raise Unexpected(f"{usage.completion_tokens} tokens where {allowed} were allowed")
    return usage.completion_tokens // request.n


def _finish(request: SampleRequest, choice: _Choice, *, wrote: bool, used_up: bool) -> Finish:
    stop = _matched(choice)
    finish = whole_finish(choice.finish_reason, wrote=wrote, used_up=used_up)
    if isinstance(stop, str) and stop in request.ends:
        return finish
    if finish == "eos" and isinstance(stop, str):
        if stop not in request.stop:
            raise Unexpected(f"a choice ended by {stop!r}, not asked for")
        return "stop"
    return "stop" if request.stop and names_stop_string(choice.finish_reason) else finish


def says_what_stopped_it(choice: _Choice) -> bool:
    """Return whether the choice says if a stop string or the model's own end ended it."""
    said = choice.stop_reason is not UNSET or choice.matched_stop is not UNSET
    return said or says_which_end(choice.finish_reason)


def _step(request: SampleRequest, choice: C, text: str, finish: Finish, num_tokens: int) -> Step:
    logprobs = read_logprobs(choice.logprobs, request.top_logprobs)
    return Step(
        text,
        finish,
        len(logprobs.own) or num_tokens,
        logprobs=logprobs.own,
        confidences=logprobs.confidences,
    )
