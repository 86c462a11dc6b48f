"""A prompt by its token ids, or by its text where a gateway turns out to refuse ids.

Some gateways return the ids that they do not take (LiteLLM's `hosted_vllm/`): a first request, by
text, works, and the next step fails.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from ttc_client.clients.manners import Manners
from ttc_client.errors import ContextLengthError, ServerError, TooManyError

T = TypeVar("T")

_REFUSED = (400, 422, 500)
"""As LiteLLM answers 500 to what it cannot map."""

_LOG = logging.getLogger(__name__)


def by_ids(
    manners: Manners,
    ask: Callable[[msgspec.Raw | str], Awaitable[T]],
    ids: msgspec.Raw | None,
    text: str,
) -> Awaitable[T]:
    """Ask with a prompt's ids where they are known, else with its text.

    A server that refuses the first ids that it is sent, and takes the text, "" where that is not
    known, is sent text from then on. Raises ServerError.
    """
    if ids is None or (text and manners.takes_ids is False):
        return ask(text)
    return ask(ids) if manners.takes_ids else _tried(manners, ask, ids, text)


async def _tried(
    manners: Manners,
    ask: Callable[[msgspec.Raw | str], Awaitable[T]],
    ids: msgspec.Raw,
    text: str,
) -> T:
    try:
        answer = await ask(ids)
    except ServerError as refusal:
        if isinstance(refusal, ContextLengthError | TooManyError) or manners.takes_ids:
            raise
        if not text or refusal.status not in _REFUSED:
            raise
        try:
            answer = await ask(text)
        except ServerError:
            raise refusal from None
        if manners.takes_ids is None:
            said = "%s refuses token ids: steps continue from text, each tokenized again"
            _LOG.warning(said, manners.url)
        manners.takes_ids = False
        return answer
    manners.takes_ids = True
    return answer
