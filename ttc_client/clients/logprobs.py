"""Read the log-probabilities of a choice's tokens, in the shapes in which servers give them.

`/v1/completions` has parallel lists, `/v1/chat/completions` (and llama.cpp in both) a list of
tokens. Knows nothing of what they are used for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import fsum, isfinite
from typing import Any, TypeGuard

import msgspec

from ttc_client.clients.replies import Unexpected

NOT_REPORTED_LOGP = -9999.0
"""What servers write in the place of minus infinity."""


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """What a reply says of each token: both are empty where it does not say it of every token.

    `own` holds the log-probability of each sampled token, `confidences` the negative mean of its k
    largest alternatives (token confidence, DeepConf, arXiv 2508.15260).
    """

    own: tuple[float, ...] = ()
    confidences: tuple[float, ...] = ()

    @classmethod
    def of_pieces(cls, pieces: Sequence["TokenLogprobs"]) -> "TokenLogprobs":
        """Return those of a text that came in pieces, each of a token or more."""
        own = tuple(chain.from_iterable(piece.own for piece in pieces))
        confidences = tuple(chain.from_iterable(piece.confidences for piece in pieces))
        if not all(piece.own for piece in pieces):
            return cls()
        return cls(own, confidences if len(confidences) == len(own) else ())


class Alternative(msgspec.Struct):
    """A token that could have been sampled."""

    token: str = ""
    logprob: float | None = None


class ChatToken(msgspec.Struct):
    """A sampled token in the chat API's shape."""

    token: str = ""
    logprob: float | None = None
    top_logprobs: list[Alternative] | None = None


class _Logprobs(msgspec.Struct):
    token_logprobs: list[float | None] | None = None
    top_logprobs: list[dict[str, float | None] | None] | None = None
    content: list[ChatToken] | None = None


def read_logprobs(raw: msgspec.Raw | Any, top: int | None) -> TokenLogprobs:
    """Return what the `logprobs` of a choice say, where `top` alternatives were asked for.

    Nothing is decoded where none were. Raises Unexpected for what has no known shape.
    """
    if top is None:
        return TokenLogprobs()
    try:
        if isinstance(raw, msgspec.Raw):
            logprobs = msgspec.json.decode(raw, type=_Logprobs | None)
        else:
            logprobs = msgspec.convert(raw, _Logprobs | None, from_attributes=True)
    except msgspec.ValidationError as error:
        raise Unexpected(f"{error} of logprobs") from error
    if logprobs is None:
        return TokenLogprobs()
    if logprobs.content is not None:
        alternatives = [
            [other.logprob for other in token.top_logprobs or ()] for token in logprobs.content
        ]
        return token_logprobs([token.logprob for token in logprobs.content], alternatives, top)
    likeliest = [token.values() if token else () for token in logprobs.top_logprobs or ()]
    return token_logprobs(logprobs.token_logprobs or (), likeliest, top)


def token_logprobs(
    own: Sequence[float | None], alternatives: Iterable[Iterable[float | None]], top: int
) -> TokenLogprobs:
    """Return the log-probabilities of tokens and their confidences, from `top` alternatives each.

    What is NaN, infinite or written as not reported counts as absent.
    """
    known = tuple(logp for logp in own if is_reported(logp))
    complete = known if len(known) == len(own) else ()
    if not top or not complete:
        return TokenLogprobs(complete)
    likeliest = [
        sorted((logp for logp in token if is_reported(logp)), reverse=True)[:top]
        for token in alternatives
    ]
    if len(likeliest) != len(own) or not all(likeliest):
        return TokenLogprobs(complete)
    return TokenLogprobs(complete, tuple(-fsum(token) / len(token) for token in likeliest))


def is_reported(logp: float | None) -> TypeGuard[float]:
    """Whether a log-probability is a number that a server meant."""
    return logp is not None and isfinite(logp) and logp > NOT_REPORTED_LOGP
