"""What is read of a stream: where it ends, and how long it may be. Knows nothing of the SDK."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any, Self

from ttc_client.clients.connection import MAX_BODY_BYTES
from ttc_client.clients.logprobs import TokenLogprobs
from ttc_client.clients.prompts import estimated_tokens
from ttc_client.clients.replies import Unexpected
from ttc_client.clients.usage import TokenUsage
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.types import Finish, Step, Usage


@dataclass(frozen=True, slots=True)
class Begun:
    """A stream whose `first` event has come, None where it ended without one."""

    stream: Any
    first: Any

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stream.close()

    async def __aiter__(self) -> AsyncGenerator[Any]:
        if self.first is not None:
            yield self.first
            async for event in self.stream:
                yield event


def continuation(
    request: SampleRequest,
    text: str,
    finish: Finish,
    num_tokens: int,
    pieces: Sequence[TokenLogprobs],
    usage: TokenUsage | None = None,
) -> Samples:
    """Return one continuation, from its text and the log-probabilities of its pieces.

    Without the stream's own `usage`, the tokens of the prompt are estimated by its characters.
    """
    prompt = estimated_tokens(len(request.text))
    spent = Usage(
        completion_tokens=num_tokens,
        prompt_tokens=prompt,
        estimated_tokens=prompt,
        policy_requests=1,
    )
    if usage and usage.prompt_tokens:
        spent = usage.by_policy()
    read = TokenLogprobs.of_pieces(pieces)
    step = Step(text, finish, num_tokens, logprobs=read.own, confidences=read.confidences)
    return Samples((step,), (), spent)


def end_of_stop(text: str, stop: Sequence[str], start: int) -> int:
    """Return where the first stop string in a text ends; 0 where there is none."""
    found = [(at, at + len(one)) for one in stop if (at := text.find(one, start)) >= 0]
    return min(found)[1] if found else 0


def check_text(text: str) -> None:
    """Raise Unexpected for what no text can hold."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Unexpected(str(error)) from None


def check_length(max_tokens: int, length: int, num_tokens: int) -> None:
    """Raise Unexpected for a stream that is longer than was allowed, in tokens or characters."""
    if num_tokens > max_tokens:
        raise Unexpected(f"{num_tokens} tokens where {max_tokens} were allowed")
    if length > MAX_BODY_BYTES:
        raise Unexpected(f"more than {MAX_BODY_BYTES} characters")
