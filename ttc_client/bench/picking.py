"""Choose which of a problem's right completions are worth training on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ttc_client.errors import ConfigError
from ttc_client.types import Candidate

_GRAM = 5


@dataclass(frozen=True, slots=True)
class Pick:
    """The `best` by reward, the `shortest` by tokens, `count` that differ most, or `all`."""

    kind: Literal["all", "best", "shortest", "diverse"] = "all"
    count: int = 0

    @classmethod
    def read(cls, text: str) -> "Pick":
        """Read `all`, `best`, `shortest` or `diverse:K`; raises ConfigError."""
        match text.partition(":"):
            case ("all" | "best" | "shortest" as kind, "", ""):
                return cls(kind)
            case ("diverse", ":", count) if count.isdecimal() and int(count) > 0:
                return cls("diverse", int(count))
            case _:
                raise ConfigError(f"pick is {text!r}: it must be all, best, shortest or diverse:K")

    def of(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Return the chosen ones of candidates that come with the best reward first."""
        match self.kind:
            case "all":
                return list(candidates)
            case "best":
                return list(candidates[:1])
            case "shortest":
                return sorted(candidates, key=lambda c: c.num_tokens)[:1]
            case "diverse":
                return _diverse(candidates, self.count)


def _diverse(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Begin with the best, then take again and again the one farthest from all that are taken."""
    if not candidates:
        return []
    grams = [_grams(candidate.text) for candidate in candidates]
    taken = [0]
    distances = [_distance(grams[0], other) for other in grams]
    while len(taken) < min(count, len(candidates)):
        farthest = max(set(range(len(grams))) - set(taken), key=lambda i: (distances[i], -i))
        taken.append(farthest)
        distances = [
            min(known, _distance(grams[farthest], other))
            for known, other in zip(distances, grams, strict=True)
        ]
    return [candidates[i] for i in taken]


def _grams(text: str) -> frozenset[str]:
    plain = " ".join(text.split())
    return frozenset(plain[i : i + _GRAM] for i in range(max(1, len(plain) - _GRAM + 1)))


def _distance(one: frozenset[str], other: frozenset[str]) -> float:
    """Return Jaccard's distance of two sets of n-grams of characters."""
    return 1 - len(one & other) / len(one | other)
