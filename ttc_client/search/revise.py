"""Sequential revision: chains of attempts, each of which sees those before it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain

from ttc_client.errors import ServerError
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy, chains, multiples
from ttc_client.together import surviving
from ttc_client.types import Message, Trajectory

_SEEN = 4
_ASK = Message(
    "user",
    "This solution may be wrong. Check each of its steps, then write a better solution, in the "
    "same form.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviseSettings(StrategySettings):
    """How long a chain is."""

    revisions: int = field(
        default=4,
        metadata={"help": "Attempts in each chain, the first one included; N is a multiple of it."},
    )

    def __post_init__(self) -> None:
        check_count("revisions", self.revisions)


def _whole_chains(
    params: SearchParams, settings: ReviseSettings, grid: Sequence[int]
) -> Sequence[int]:
    return multiples(params, grid, "revisions", settings.revisions)


async def revise(search: Search[ReviseSettings]) -> Found:
    """Revise in parallel chains (Snell et al. 2024, arXiv 2408.03314, §6): N = revisions · chains.

    The verifier chooses the best attempt of each chain, and the weighted vote among these.
    """
    length = search.settings.revisions
    found = await surviving(_chain(search, length) for _ in range(search.params.n // length))
    best = [max(attempts, key=lambda a: (a.finish == "eos", a.value)) for attempts in found]
    note = f"the best attempt of each of {len(found)} chains of {length} votes"
    return Found(tuple(chain.from_iterable(found)), [Pick(attempt) for attempt in best], note)


async def _chain(search: Search[ReviseSettings], length: int) -> Sequence[Trajectory]:
    """Attempt and revise; a request that fails ends the chain, not what it holds already."""
    attempts = [*await search.expand(search.root, 1, until="end")]
    with suppress(ServerError):
        while len(attempts) < length:
            shown = _shown(search.root.prompt.messages, attempts[-_SEEN:])
            prompt = await search.ask(shown, after=attempts[-1])
            attempts += await search.expand(prompt, 1, until="end")
    return attempts


def _shown(messages: Sequence[Message], attempts: Sequence[Trajectory]) -> list[Message]:
    """Return a conversation in which each attempt is answered by the wish for a better one."""
    turns = [(Message("assistant", attempt.text), _ASK) for attempt in attempts]
    return [*messages, *chain.from_iterable(turns)]


REVISE = Strategy(
    name="revise",
    about="chains of attempts, each revising those before it; for models that follow instructions",
    search=revise,
    needs="solutions",
    settings=ReviseSettings,
    samples=chains,
    budgets=_whole_chains,
    takes_m=False,
)
