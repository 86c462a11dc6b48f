"""What a server takes, as its refusals show: learnt once, and kept for all later requests.

Servers word a refusal in many ways. One that names a field is taken at its word. What another is
about is found out by asking once for less. Knows nothing of HTTP.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ttc_client.errors import ContextLengthError, ServerError, TooManyError

T = TypeVar("T")
Fields = Mapping[str, Any]

NEUTRAL: Fields = {
    "top_k": -1,
    "min_p": 0.0,
    "repetition_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "top_p": 1.0,
}
"""Values that change nothing, sent to override a model's own defaults."""

_REFUSED = (400, 422)
_FAILED = 500
"""What some servers answer to a value that they cannot take."""
_SERVERS_CHOICE = ("seed", "temperature", "top_p", "stream_options")
"""What a server may take out of our hands, if it knows the field not at all."""

_UNKNOWN = re.compile(
    r"un(supported|recognized|known|expected)|not (supported|permitted|allowed|recognized)|"
    r"n't support|not support|extra|only the default|deprecated|cannot both",
    re.IGNORECASE,
)
_FOR_CHAT = re.compile(r"chat.?model|chat/completions", re.IGNORECASE)
_SEVERAL = re.compile(
    r"only (one|1|a single) (\w+ )?(completion|choice|candidate|output|generation|response|is)|"
    r"single completion|parallel sampling|"
    r"one (completion|choice|response|generation) (is|per|at a time)|"
    r"\b(multiple|several|number of) (completions?|choices?|candidates?|generations?|outputs?|"
    r"sequences?|responses?|samples?)|candidate_?count|num_(return_sequences|completions)|best_of|"
    r"(?<![\w-])n(?![\w-])['\"`)\]]*\s*(>|=|<|!=|:|must|should|has|can|is|was|may|value|param|"
    r"greater|larger|bigger|above|to be|not|un)",
    re.IGNORECASE,
)

_MOST = re.compile(
    r"(?:<=?|less than or equal to|at most|no more than|up to|between \S+ and|maximum(?: of| is)?|"
    r"max(?:imum)? (?:allowed|value)\D{0,5})\s*(\d+)",
    re.IGNORECASE,
)
"""How a refusal of `n` states the most that may be asked for."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Manners:
    """How one server is asked.

    `most` is how many continuations it gives per request, None where no limit is known. Fields in
    `left_out` are not sent, and those in `renamed` under another name. `takes_ids` says whether it
    takes token ids, None until it was sent some.
    """

    url: str
    most: int | None = None
    left_out: set[str] = field(default_factory=set[str])
    renamed: dict[str, str] = field(default_factory=dict[str, str])
    takes_ids: bool | None = None
    _answered: set[bool] = field(default_factory=set[bool])
    _tried: bool = False
    _trying: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(self, send: Callable[[Fields], Awaitable[T]], fields: Fields) -> T:
        """Send a request's fields, and again without those that the server can do without.

        Raises TooManyError where it turns out to take no such `n`, and the server's refusal where
        nothing can be left out.
        """
        several = fields.get("n", 1) > 1
        while True:
            if self.most is not None and fields.get("n", 1) > self.most:
                raise self.too_many()
            sent = self._as_taken(fields)
            try:
                answer = await send(sent)
            except ServerError as refusal:
                if not await self._learn(send, sent, refusal):
                    raise
            else:
                self._answered.add(several)
                return answer

    def passed_over(self) -> TooManyError:
        """Remember that the server gives one continuation, however many are asked for."""
        self.most = 1
        return self.too_many()

    def too_many(self, most: int | None = None) -> TooManyError:
        """Return the error for a request for more continuations than the server gives."""
        return TooManyError(self.url, most or self.most or 1)

    def _as_taken(self, fields: Fields) -> Fields:
        if not (self.left_out or self.renamed):
            return fields
        kept = {name: value for name, value in fields.items() if name not in self.left_out}
        return {self.renamed.get(name, name): value for name, value in kept.items()}

    async def _learn(
        self, send: Callable[[Fields], Awaitable[Any]], sent: Fields, refusal: ServerError
    ) -> bool:
        """Return whether the request may be sent in another way now; raises TooManyError."""
        n = sent.get("n", 1)
        says_several = n > 1 and bool(_SEVERAL.search(refusal.body))
        if isinstance(refusal, ContextLengthError):
            return False
        if refusal.status == _FAILED and not says_several:
            named = self._learn_names(sent, refusal.body)
            return named or await self._try_less(send, sent, again=True)
        if refusal.status not in _REFUSED and not (says_several and (refusal.status or 0) >= 500):
            return False
        if refuses(refusal, "stop") or is_for_chat(refusal):
            return False  # the client has another way
        if self._learn_names(sent, refusal.body):
            return True
        if says_several and sent.get("temperature") == 0:  # vLLM refuses that alone
            raise self.too_many(1) from refusal
        if says_several:
            self.most = _stated(refusal.body, n)
            raise self.too_many() from refusal
        return await self._try_less(send, sent)

    def _learn_names(self, sent: Fields, said: str) -> bool:
        """Leave out the fields that a refusal names, at first those whose values change nothing."""
        if names(said, "max_tokens") and names(said, "max_completion_tokens"):
            self.renamed["max_tokens"] = "max_completion_tokens"
            return "max_tokens" in sent
        named = [name for name in sent if names(said, name)]
        dispensable = [name for name in named if _is_neutral(name, sent[name])]
        if not dispensable and _UNKNOWN.search(said):
            dispensable = [name for name in named if name in _SERVERS_CHOICE]
        self._leave_out(dispensable)
        return bool(dispensable)

    async def _try_less(
        self, send: Callable[[Fields], Awaitable[Any]], sent: Fields, *, again: bool = False
    ) -> bool:
        """Find out, once, whether a server refuses several continuations or neutral fields.

        A server that has answered a request of the kind is not suspected. What may have been a
        mishap is sent `again` first.
        """
        several = sent.get("n", 1) > 1
        before = self.most, len(self.left_out)
        async with self._trying:
            if before != (self.most, len(self.left_out)):
                return True  # another request has found out meanwhile
            neutral = [name for name, value in sent.items() if _is_neutral(name, value)]
            if self._tried or several in self._answered or not (neutral or several):
                return False
            if again and await _takes(send, sent):
                return True
            self._tried = True
            one = {name: 1 if name == "n" else value for name, value in sent.items()}
            least = {name: value for name, value in one.items() if name not in neutral}
            if not await _takes(send, least):
                return False
            if several and (not neutral or await _takes(send, one)):
                self.most = 1
            else:
                self._leave_out(neutral)
            return True

    def _leave_out(self, fields: list[str]) -> None:
        new = [name for name in fields if name not in self.left_out]
        self.left_out.update(new)
        if new:
            _LOG.warning("%s refuses %s: sent without from now on", self.url, ", ".join(new))


def names(said: str, field_name: str) -> bool:
    """Return whether a refusal names a field."""
    return bool(re.search(rf"(?<![\w-]){field_name}(?![\w-])", said, re.IGNORECASE))


def refuses(error: ServerError, field_name: str) -> bool:
    """Return whether a server refuses a field altogether."""
    said = error.body
    return error.status in _REFUSED and names(said, field_name) and bool(_UNKNOWN.search(said))


def is_for_chat(refusal: ServerError) -> bool:
    """Return whether a server refuses a text because its model is for chat alone."""
    return refusal.status in _REFUSED and bool(_FOR_CHAT.search(refusal.body))


def _stated(said: str, n: int) -> int:
    """Return the limit below `n` that a refusal states, 1 where it states none."""
    stated = [int(number) for number in _MOST.findall(said)]
    return max((number for number in stated if 0 < number < n), default=1)


def _is_neutral(name: str, value: Any) -> bool:
    return name in NEUTRAL and value == NEUTRAL[name]


async def _takes(send: Callable[[Fields], Awaitable[Any]], fields: Fields) -> bool:
    try:
        await send(fields)
    except ServerError:
        return False
    return True
