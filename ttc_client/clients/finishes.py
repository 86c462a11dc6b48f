"""Why a choice ended, in the words of every server, and what becomes of one without an answer.

Knows nothing of HTTP.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import cast

from ttc_client.clients.replies import Dropped
from ttc_client.search.ports import Samples
from ttc_client.types import Finish, Step, Usage

_OWN_END = frozenset(
    {
        *("eos", "eos_token", "eos_id", "hit_eos", "stop_token", "end_turn", "end_of_turn"),
        *("end_of_text", "end_of_sequence"),
    }
)
"""Of servers that have another word for a stop string."""
_STOP_STRING = frozenset(
    {"stop_sequence", "stop_string", "stop_word", "stop_str", "matched_stop", "word"}
)
_END = frozenset(
    {*("stop", "end", "complete", "completed", "finish", "finished", "done", "normal", "success")}
)
_CUT = frozenset(
    {
        *("length", "max_tokens", "max_new_tokens", "max_length", "max_output_tokens"),
        *("max_token", "maximum_tokens", "max_predicted_tokens", "limit"),
        *("max_completion_tokens", "token_limit", "model_length", "context_length", "truncated"),
        *("model_context_window_exceeded", "context_length_exceeded", "incomplete"),
    }
)
_TROUBLE = re.compile(
    "error|abort|cancel|fail|time_?out|timed_out|overload|unavailable|interrupt|preempt"
)
"""Of servers that gave a choice up for a trouble of their own, not for what it says."""


@lru_cache(maxsize=64)  # every choice has one, of a few words
def plain_reason(reason: str | None) -> str:
    """Return a finish reason in small letters and without what only says that it is one."""
    words = re.sub(r"[\s-]+|(?<=[a-z])(?=[A-Z])", "_", (reason or "").strip()).lower()
    return re.sub(r"^finish_?reason[_.:]+|_(?:found|reached)$", "", words)


def names_stop_string(reason: str | None) -> bool:
    """Return whether a finish reason itself says that a stop string ended the choice."""
    return plain_reason(reason) in _STOP_STRING


def says_which_end(reason: str | None) -> bool:
    """Return whether a finish reason tells a stop string from the model's own end and from a cut.

    "stop" does not: OpenAI means both by it.
    """
    return plain_reason(reason) in _OWN_END | _STOP_STRING | _CUT


def whole_finish(reason: str | None, *, wrote: bool, used_up: bool = False) -> Finish:
    """Return why a text ended that no stop string ended.

    A server that gives no reason is believed that what it wrote is whole, unless that is as long
    as was allowed (`used_up`). Raises Dropped for a choice that was given up, by a filter or an
    abort, for reasons that no server is known to give, and for nothing without a reason.
    """
    plain = plain_reason(reason)
    if plain in _CUT or (not plain and wrote and used_up):
        return "length"
    if plain in _OWN_END or plain in _END or plain in _STOP_STRING or (not plain and wrote):
        return "eos"
    raise Dropped(f"ended by {plain}" if plain else "empty", may_pass=bool(_TROUBLE.search(plain)))


def kept(read: Sequence[Step | Dropped], usage: Usage, prompt_ids: tuple[int, ...] = ()) -> Samples:
    """Return the continuations of a reply without those that the server gave up.

    These are None, and counted as failures by cause. Raises a Dropped if none is left, the first
    that may pass if one may.
    """
    dropped = [one for one in read if isinstance(one, Dropped)]
    if not dropped:
        return Samples(cast("tuple[Step, ...]", tuple(read)), prompt_ids, usage)
    if len(dropped) == len(read):
        raise next((one for one in dropped if one.may_pass), dropped[0])
    failures = dict(Counter(one.cause for one in dropped))
    steps = tuple(None if isinstance(one, Dropped) else one for one in read)
    return Samples(steps, prompt_ids, usage + Usage(failures=failures))
