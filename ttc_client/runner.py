"""Solve problems: open the servers once, search, vote, and return typed results."""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Self, cast

from ttc_client.answers import AnswerPool, extract_answer
from ttc_client.compose import open_servers
from ttc_client.config import SearchConfig
from ttc_client.errors import ConfigError, TTCError
from ttc_client.meter import Meter
from ttc_client.results import best_completions, candidate, search_tree, shortfall
from ttc_client.strategies import STRATEGIES, Expander
from ttc_client.types import SearchResult, Trajectory
from ttc_client.voting import tally


async def solve(problem: str, config: SearchConfig | None = None) -> SearchResult:
    """Search for the answer to one problem.

    For several problems, open a `Client` once. Raises ConfigError for settings and ServerError
    for servers that do not work.
    """
    async with Client(config or SearchConfig()) as client:
        return await client.solve(problem)


class Client:
    """Open servers and answer workers, shared by all problems that are solved with them.

    async with Client(SearchConfig(strategy="dvts", n=64)) as client:
        result = await client.solve(problem)
    """

    def __init__(self, config: SearchConfig) -> None:
        self.config = config
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._servers = await stack.enter_async_context(open_servers(self.config))
            self._answers = await stack.enter_async_context(AnswerPool())
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    async def canonical_keys(self, answers: Sequence[str]) -> list[str]:
        """Return a key per answer, equal for equivalent answers."""
        return await self._answers.canonical_keys(answers)

    async def solve(self, problem: str, meter: Meter | None = None) -> SearchResult:
        """Search for the answer to a problem; `meter` may be watched meanwhile."""
        if not problem.strip():
            raise ConfigError("the problem is empty: give it as an argument, a file or on stdin")
        meter = meter or Meter()
        try:
            sampled = await self._search(problem, meter)
        except BaseExceptionGroup as group:
            raise _cause(group) from group
        return await self._result(problem, sampled, meter)

    async def _search(self, problem: str, meter: Meter) -> tuple[Trajectory, ...]:
        config = self.config
        root = await self._servers.root(problem, meter)
        expand = Expander(self._servers.policy(meter), self._servers.prm(meter), config)
        return await STRATEGIES[config.strategy](root, expand, config)

    async def _result(
        self, problem: str, sampled: tuple[Trajectory, ...], meter: Meter
    ) -> SearchResult:
        config = self.config
        completions = best_completions(sampled, config.num_completions)
        answers = [extract_answer(completion.text) for completion in completions]
        candidates = tuple(
            candidate(completion, answer, config)
            for completion, answer in zip(completions, answers, strict=True)
        )
        verdict = tally(candidates, await self.canonical_keys(answers))
        vote = config.effective_vote
        return SearchResult(
            problem=problem,
            answer=verdict.choices[vote],
            strategy=config.strategy,
            n=config.num_completions,
            m=config.m,
            vote=vote,
            choices=verdict.choices,
            answers=verdict.ranked(vote),
            candidates=candidates,
            tree=search_tree(sampled, completions),
            usage=meter.usage,
            wall_s=meter.elapsed_s,
            seed=config.seed,
            policy=self._servers.policy_name,
            prm=self._servers.prm_name,
            shortfall=shortfall(sampled, candidates, config),
        )


def _cause(failure: BaseException) -> BaseException:
    """Return what made a group of tasks fail: the first of our errors, else the first at all."""
    leaves = list(_leaves(failure))
    return next((leaf for leaf in leaves if isinstance(leaf, TTCError)), leaves[0])


def _leaves(failure: BaseException) -> Iterator[BaseException]:
    if isinstance(failure, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", failure)
        for member in group.exceptions:
            yield from _leaves(member)
    else:
        yield failure
