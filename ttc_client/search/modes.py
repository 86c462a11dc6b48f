"""The two ways to search and judge: our own, and under `--compat sal` the published toolkit's.

The only place where the one is chosen over the other.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from ttc_client import sal
from ttc_client.answers import extract_answer
from ttc_client.search import results, voting
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import PRM, Policy
from ttc_client.search.steps import split_steps
from ttc_client.search.strategies import STRATEGIES, Expander
from ttc_client.types import Candidate, Compat, Trajectory


@dataclass(frozen=True, slots=True)
class Mode:
    """How a search goes, and how what it sampled becomes candidates and votes.

    `search` returns all trajectories that were sampled, `completions` picks those that become
    candidates, and `shortfall` says what is wrong with their number. `read_steps` splits a text
    into the steps that the PRM scores.
    """

    search: Callable[
        [Trajectory, Policy, PRM | None, SearchParams], Awaitable[tuple[Trajectory, ...]]
    ]
    completions: Callable[[Sequence[Trajectory], SearchParams], list[Trajectory]]
    extract_answer: Callable[[str], str]
    read_steps: Callable[[str], Sequence[str]]
    candidate: Callable[[Trajectory, str, SearchParams], Candidate]
    has_vote: Callable[[Candidate], bool]
    shortfall: Callable[[Sequence[Trajectory], Sequence[Candidate], SearchParams], str]


async def _search(
    root: Trajectory, policy: Policy, prm: PRM | None, params: SearchParams
) -> tuple[Trajectory, ...]:
    return await STRATEGIES[params.strategy](root, Expander(policy, prm, params), params)


def _completions(sampled: Sequence[Trajectory], params: SearchParams) -> list[Trajectory]:
    return results.best_completions(sampled, params.num_completions)


MODES: dict[Compat | None, Mode] = {
    None: Mode(
        search=_search,
        completions=_completions,
        extract_answer=extract_answer,
        read_steps=split_steps,
        candidate=results.candidate,
        has_vote=voting.has_vote,
        shortfall=results.shortfall,
    ),
    "sal": Mode(
        search=sal.search,
        completions=sal.completions,
        extract_answer=sal.extract_answer,
        read_steps=sal.pieces,
        candidate=sal.candidate,
        has_vote=sal.has_vote,
        shortfall=sal.shortfall,
    ),
}
