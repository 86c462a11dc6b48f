"""Solve problems: open the servers once, search, vote, and return typed results."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Self

from ttc_client.answers import AnswerPool
from ttc_client.errors import ConfigError
from ttc_client.grading import Grades, grade
from ttc_client.middleware.meter import Meter
from ttc_client.middleware.turns import taking_turns
from ttc_client.runtime.stack import open_servers
from ttc_client.search.compute_optimal import allocation
from ttc_client.search.modes import MODES
from ttc_client.search.params import SearchParams, default_vote
from ttc_client.search.results import search_tree
from ttc_client.search.voting import tally
from ttc_client.settings.config import SearchConfig
from ttc_client.types import SearchResult, Trajectory


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
            table = self.config.table if self.config.strategy == "compute-optimal" else None
            if table and self.config.check:
                table.check_models(**self.models)
            self._answers = await stack.enter_async_context(AnswerPool())
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    @property
    def models(self) -> dict[str, str | None]:
        """The names of the two models, wherever they are served; None where there is no PRM."""
        return {"policy": self._servers.policy_model, "prm": self._servers.prm_model}

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return self._servers.capacity

    async def canonical_keys(self, answers: Sequence[str]) -> list[str]:
        """Return a key per answer, equal for equivalent answers."""
        return await self._answers.canonical_keys(answers)

    async def grade(self, answers: Sequence[str], gold: str) -> Grades:
        """Compare answers with the gold answer."""
        return await grade(self._answers, answers, gold)

    async def solve(
        self, problem: str, meter: Meter | None = None, params: SearchParams | None = None
    ) -> SearchResult:
        """Search for the answer to a problem; `meter` may be watched meanwhile.

        `params` says how to search if not as the client's own settings do. A client that was
        opened for a strategy without a PRM has none for other strategies.
        """
        params = params or self.config
        if not problem.strip():
            raise ConfigError("the problem is empty: give it as an argument, a file or on stdin")
        meter = meter or Meter()
        with taking_turns():
            sampled = await self._search(problem, meter, params)
        return await self._result(problem, sampled, meter, params)

    async def _search(
        self, problem: str, meter: Meter, params: SearchParams
    ) -> tuple[Trajectory, ...]:
        root = await self._servers.root(problem, meter)
        prm = self._servers.prm(meter) if params.uses_prm else None
        policy = self._servers.policy(meter)
        return await MODES[params.compat].search(root, policy, prm, params)

    async def _result(
        self,
        problem: str,
        sampled: tuple[Trajectory, ...],
        meter: Meter,
        params: SearchParams,
    ) -> SearchResult:
        mode = MODES[params.compat]
        completions = mode.completions(sampled, params)
        answers = [mode.extract_answer(completion.text) for completion in completions]
        candidates = tuple(
            mode.candidate(completion, answer, params)
            for completion, answer in zip(completions, answers, strict=True)
        )
        verdict = tally(candidates, await self.canonical_keys(answers), mode.has_vote)
        found = allocation(sampled, params)
        vote = params.vote or default_vote(params.strategy, found)
        return SearchResult(
            problem=problem,
            answer=verdict.choices[vote],
            strategy=params.strategy,
            n=params.num_completions,
            m=params.m,
            vote=vote,
            choices=verdict.choices,
            answers=verdict.ranked(vote),
            candidates=candidates,
            tree=search_tree(sampled, completions),
            usage=meter.usage,
            wall_s=meter.elapsed_s,
            seed=params.seed,
            policy=self._servers.policy_name,
            prm=self._servers.prm_name if params.uses_prm else None,
            shortfall=mode.shortfall(sampled, candidates, params),
            allocation=found,
            compat=params.compat,
        )
