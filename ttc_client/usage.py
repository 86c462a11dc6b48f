"""What requests cost, as the servers count it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import add, attrgetter


@dataclass(frozen=True, slots=True)
class Usage:
    """What was spent, as the servers counted it. Adds up with `+`.

    A request that was closed early counts in `cancelled_requests`, and its tokens, which no
    server reports, nowhere. `prm_completion_tokens` are those that a judge wrote. Of the policy's
    tokens, `estimated_tokens` are counted by their text, because a server did not. `retries` counts
    the requests sent again and `failures` the sequences given up, both by what was wrong
    (`ServerError.cause`).
    """

    completion_tokens: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    prm_tokens: int = 0
    prm_cached_tokens: int = 0
    prm_completion_tokens: int = 0
    estimated_tokens: int = 0
    policy_requests: int = 0
    prm_requests: int = 0
    cancelled_requests: int = 0
    retries: dict[str, int] = field(default_factory=dict[str, int])
    failures: dict[str, int] = field(default_factory=dict[str, int])

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            *map(add, _counts(self), _counts(other)),
            retries=_sums(self.retries, other.retries),
            failures=_sums(self.failures, other.failures),
        )


_counts = attrgetter(*(c.name for c in fields(Usage) if c.name not in ("retries", "failures")))


def _sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    if not (one or other):
        return {}
    return {cause: one.get(cause, 0) + other.get(cause, 0) for cause in {**one, **other}}
