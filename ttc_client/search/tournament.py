"""Rank distinct answers by comparing pairs of them: a ring first, then the two best against all.

Each pair is compared in both orders, because judges favour a place; where the two disagree, it is a
tie. Knows nothing of who compares.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from ttc_client.search.voting import ranked
from ttc_client.together import together
from ttc_client.types import AnswerGroup, Candidate, Vote

Compare = Callable[[str, str], Awaitable[float | None]]
"""Returns how likely the first of two texts is the better one, None where that is unreadable."""

_NUM_PIVOTS = 2


@dataclass(slots=True)
class _Standing:
    """What each entrant has won of the pairs that it was in, and how the pairs went."""

    won: list[float]
    played: list[int]
    num_pairs: int = 0
    num_flipped: int = 0
    num_missing: int = 0
    met: set[frozenset[int]] = field(default_factory=set[frozenset[int]])

    def share(self, entrant: int) -> float:
        """Return the share of its pairs that an entrant won; of none, even chances."""
        return self.won[entrant] / self.played[entrant] if self.played[entrant] else 0.5

    def count(self, pair: tuple[int, int], first: float | None, second: float | None) -> None:
        """Count a pair by how likely its first member is the better one, in either order."""
        self.num_pairs += 1
        if first is None or second is None:
            self.num_missing += 1
            return
        flipped = (first - 0.5) * (second - 0.5) < 0
        self.num_flipped += flipped
        chance = 0.5 if flipped else (first + second) / 2
        for entrant, gained in zip(pair, (chance, 1 - chance), strict=True):
            self.won[entrant] += gained
            self.played[entrant] += 1


@dataclass(frozen=True, slots=True)
class Ranking:
    """The groups, the winner first, and how the tournament went, in words."""

    order: tuple[AnswerGroup, ...]
    note: str


async def tournament(
    groups: Sequence[AnswerGroup],
    candidates: Sequence[Candidate],
    compare: Compare,
    *,
    most_pairs: int,
    seeding: Vote,
) -> Ranking:
    """Rank groups by the share of their pairs that they win; ties go by the order of `seeding`.

    Of n entrants, a ring of n pairs comes first; its two best are compared with all the others. At
    most `most_pairs` are: the groups that rank below so many in the seeding do not take part.
    A group is represented by its candidate of the highest reward.
    """
    seeded = ranked(groups, seeding)
    entrants, texts = seeded[: max(most_pairs, _NUM_PIVOTS)], _texts(groups, candidates)
    standing = _Standing([0.0] * len(entrants), [0] * len(entrants))

    async def play(pair: tuple[int, int]) -> None:
        a, b = (texts[id(entrants[entrant])] for entrant in pair)
        first, second = await together([_ask(compare, a, b), _ask(compare, b, a)])
        standing.count(pair, first, None if second is None else 1 - second)

    async def play_all(pairs: Sequence[tuple[int, int]]) -> None:
        room = most_pairs - len(standing.met)
        new = [pair for pair in pairs if frozenset(pair) not in standing.met][:room]
        standing.met |= set(map(frozenset, new))
        await together(play(pair) for pair in new)

    def order() -> list[int]:
        return sorted(range(len(entrants)), key=lambda entrant: -standing.share(entrant))

    n = len(entrants)
    await play_all([(i, (i + 1) % n) for i in range(n if n > _NUM_PIVOTS else n - 1)])
    pivots = order()[:_NUM_PIVOTS]
    rest = [(pivot, other) for other in range(n) for pivot in pivots if other not in pivots]
    await play_all([(pivots[0], pivots[-1]), *rest] if n > _NUM_PIVOTS else [])
    won = tuple(entrants[entrant] for entrant in order())
    return Ranking((*won, *seeded[len(entrants) :]), _note(standing, len(seeded) - len(entrants)))


async def _ask(compare: Compare, a: str, b: str) -> float | None:
    return await compare(a, b)


def _texts(groups: Sequence[AnswerGroup], candidates: Sequence[Candidate]) -> dict[int, str]:
    """Return what stands for each group, by its identity."""
    best: dict[int, Candidate] = {}
    for candidate in candidates:
        if candidate.group is not None:
            known = best.setdefault(candidate.group, candidate)
            if (candidate.reward or 0.0) > (known.reward or 0.0):
                best[candidate.group] = candidate
    return {id(groups[number]): candidate.text for number, candidate in best.items()}


def _note(standing: _Standing, num_out: int) -> str:
    if not standing.num_pairs:
        return ""
    pairs = "1 pair" if standing.num_pairs == 1 else f"{standing.num_pairs} pairs"
    counts = {
        "flipped with the order": standing.num_flipped,
        "unreadable": standing.num_missing,
    }
    said = [f"{count} {what}" for what, count in counts.items() if count]
    left_out = f"; {num_out} more answers took no part" if num_out else ""
    return f"tournament of {pairs}, each in both orders: " + (
        f"{' and '.join(said) or 'none flipped'}{left_out}"
    )
