"""What is read of a stream: where it ends, and how long it may be. Knows nothing of the SDK."""

from collections.abc import Sequence

from ttc_client.clients.connection import MAX_BODY_BYTES
from ttc_client.clients.logprobs import TokenLogprobs
from ttc_client.clients.replies import Unexpected
from ttc_client.search.ports import Samples
from ttc_client.types import Finish, Step, Usage


def continuation(
    text: str, finish: Finish, num_tokens: int, pieces: Sequence[TokenLogprobs]
) -> Samples:
    """Return one continuation, from its text and the log-probabilities of its pieces."""
    usage = Usage(completion_tokens=num_tokens, policy_requests=1)
    read = TokenLogprobs.of_pieces(pieces)
    step = Step(text, finish, num_tokens, logprobs=read.own, confidences=read.confidences)
    return Samples((step,), (), usage)


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
