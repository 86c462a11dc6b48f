"""A server whose context is full: fewer tokens are asked for, or the candidate ends there."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace

from ttc_client.errors import ContextLengthError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.types import Step, Usage

_LIMIT = re.compile(
    r"(?:context (?:length|window|size)|max_model_len|max_total_tokens|maximum length|"
    r"must be <=)\D{0,30}?(\d[\d,]*)",
    re.IGNORECASE,
)
_MOST = re.compile(r"at most (\d[\d,]*) (?:completion|output) tokens", re.IGNORECASE)
_PROMPT = re.compile(
    r"(\d[\d,]*)\s+(?:tokens\s+)?(?:(?:in|from) (?:the |your )?(?:input )?(?:messages|prompt|input)"
    r"|`?(?:input|prompt|inputs)`?\s+tokens)",
    re.IGNORECASE,
)


async def within_context(
    sample: Callable[[SampleRequest], Awaitable[Samples]], request: SampleRequest
) -> Samples:
    """Sample, and end by length what the server says is longer than it reads.

    Where it says how much room is left, that much is asked for first. Raises ContextLengthError
    if the prompt alone does not fit.
    """
    try:
        return await sample(request)
    except ContextLengthError as full:
        room = _room(full.body)
        if not 0 < room < request.max_tokens:
            return _ended(request, full)
    try:
        return await sample(replace(request, max_tokens=room))
    except ContextLengthError as full:
        return _ended(request, full)


def _ended(request: SampleRequest, full: ContextLengthError) -> Samples:
    if not request.trajectory.steps:
        raise full
    return Samples((Step("", "length", 0),) * request.n, request.trajectory.token_ids, Usage())


def _room(said: str) -> int:
    """Return the tokens that a refusal leaves for the answer, 0 where it does not say."""
    if most := _MOST.search(said):
        return int(most[1].replace(",", ""))
    limit, prompt = _LIMIT.search(said), _PROMPT.search(said)
    if not limit or not prompt:
        return 0
    longest, used = (int(found[1].replace(",", "")) for found in (limit, prompt))
    return max(0, longest - used)
