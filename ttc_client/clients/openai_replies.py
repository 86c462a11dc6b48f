"""The answers of OpenAI-compatible servers, and the checks that they must pass.

Servers differ in the fields that they leave out. Knows nothing of HTTP or of the SDK.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from ttc_client.clients.logprobs import read_logprobs
from ttc_client.clients.replies import Unexpected, in_order
from ttc_client.clients.usage import TokenUsage
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Finish, Step, Usage

_NO_INDEX = -1


class _Choice(msgspec.Struct):
    """`stop_reason` is vLLM's and `matched_stop` SGLang's; other servers have neither."""

    text: str
    finish_reason: str | None
    index: int = _NO_INDEX
    stop_reason: int | str | UnsetType | None = UNSET
    matched_stop: int | str | UnsetType | None = UNSET
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class Completion(msgspec.Struct):
    """The answer of `/v1/completions`."""

    choices: list[_Choice]
    usage: TokenUsage | None = None


class _Message(msgspec.Struct):
    content: str | None = None


class _ChatChoice(msgspec.Struct):
    message: _Message
    finish_reason: str | None
    index: int = _NO_INDEX
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class Chat(msgspec.Struct):
    """The answer of `/v1/chat/completions`."""

    choices: list[_ChatChoice]
    usage: TokenUsage | None = None


class _Piece(msgspec.Struct):
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Chunk(msgspec.Struct):
    """An event of a stream, which the SDK passes on unchecked."""

    choices: list[_Piece] | None = None


C = TypeVar("C", _Choice, _ChatChoice)


def written(request: SampleRequest, reply: Completion) -> Samples:
    """Return the continuations; raises Unexpected for what was not asked for."""
    usage = (reply.usage or TokenUsage()).by_policy()
    share = _share(request, usage)
    choices = _in_order(reply.choices, request.n)
    steps = (_step(request, c, c.text, _finish(request, c), share) for c in choices)
    return Samples(tuple(steps), (), usage)


def whole_completions(request: SampleRequest, reply: Chat) -> Samples:
    """Return the completions; raises Unexpected for what was not asked for."""
    usage = (reply.usage or TokenUsage()).by_policy()
    share = _share(request, usage)
    choices = _in_order(reply.choices, request.n)
    steps = (
        _step(request, c, c.message.content or "", whole_finish(c.finish_reason), share)
        for c in choices
    )
    return Samples(tuple(steps), (), usage)


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


def _finish(request: SampleRequest, choice: _Choice) -> Finish:
    stop = choice.stop_reason or choice.matched_stop
    if choice.finish_reason == "stop" and isinstance(stop, str):
        if stop not in request.stop:
            raise Unexpected(f"a choice ended by {stop!r}, not asked for")
        return "stop"
    return whole_finish(choice.finish_reason)


def whole_finish(reason: str | None) -> Finish:
    """Return why a text ended that no stop string ended; raises Unexpected for other reasons."""
    if reason not in ("stop", "length"):
        raise Unexpected(f"a choice that ended with {reason!r}")
    return "eos" if reason == "stop" else "length"


def says_what_stopped_it(choice: _Choice) -> bool:
    """Return whether the choice says if a stop string or the model's own end ended it."""
    said = choice.stop_reason is not UNSET or choice.matched_stop is not UNSET
    return choice.finish_reason == "length" or said


def _step(request: SampleRequest, choice: C, text: str, finish: Finish, num_tokens: int) -> Step:
    """Return a step with its delimiter, which most servers cut off."""
    if finish == "stop" and not text.endswith(STEP_DELIMITER):
        text += STEP_DELIMITER
    logprobs = read_logprobs(choice.logprobs, request.top_logprobs)
    return Step(
        text,
        finish,
        len(logprobs.own) or num_tokens,
        logprobs=logprobs.own,
        confidences=logprobs.confidences,
    )
