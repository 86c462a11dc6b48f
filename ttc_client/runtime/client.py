"""Solve problems: open the servers once, search, vote, and return typed results."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Self

from ttc_client.errors import ConfigError
from ttc_client.middleware.context import taking_turns
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.bounds import Bounds, Kept
from ttc_client.runtime.deciding import Decision, decide
from ttc_client.runtime.opening import root_of
from ttc_client.runtime.rating import rated_by
from ttc_client.runtime.stack import open_servers
from ttc_client.sal.modes import MODES, Mode
from ttc_client.search import results
from ttc_client.search.ballot import Ballot
from ttc_client.search.forcing import forcing_note, remembered
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.search import Ports, Search
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.search.strategies import find_strategy
from ttc_client.search.strategy import Strategy
from ttc_client.search.watch import Watch
from ttc_client.settings.servers import Servers
from ttc_client.tasks.math import Math
from ttc_client.tasks.table import find_task
from ttc_client.tasks.task import Task
from ttc_client.tasks.workers import Workers
from ttc_client.together import together
from ttc_client.types import (
    Candidate,
    Problem,
    SearchResult,
    Step,
    Trajectory,
)


class Client:
    """Open servers and answer workers, shared by all problems that are solved with them.

    `servers` names the policy and the verifier, each by URLs or as an async function; `task` says
    how answers are read and graded, by its name or as an object. Use it as a context manager:

    async with Client(Servers(policy=url, prm=url)) as client:
        result = await client.solve(problem, SearchParams(strategy="dvts", n=64))

    One of `share` clients keeps its part of the sequences in flight. Raises ConfigError for
    settings and ServerError for servers that do not work.
    """

    def __init__(
        self, servers: Servers | None = None, task: Task | str = "math", share: int = 1
    ) -> None:
        self.servers = servers or Servers()
        self.task = find_task(task) if isinstance(task, str) else task
        self._share = share
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._servers = await stack.enter_async_context(open_servers(self.servers, self._share))
            rate = rated_by(self.score) if self._servers.verifiers.members else None
            self._workers = await stack.enter_async_context(Workers(rate))
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    @property
    def models(self) -> dict[str, str | None]:
        """The names of the two models, wherever they are served; None where there is no PRM."""
        return {"policy": self._servers.policy_model, "prm": self._servers.verifiers.model}

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight at the policy's servers, as things stand."""
        return self._servers.capacity

    def judging(self, task: Task) -> "Client":
        """Return a client of the same servers and workers for another task; it needs no closing."""
        other = copy(self)
        other.task = task
        return other

    async def ready(self) -> None:
        """Ask the servers whether they are up; raises ServerError if all of a model's are down."""
        await self._servers.ready()

    def relay(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[bytes]:
        """POST to the policy's own API, and yield the body of its answer as it comes.

        `path` lies below the API's "/v1", wherever that is. Closing the generator closes the
        request. Raises ConfigError for a policy that is a function, and ServerError.
        """
        return self._servers.relay(path, payload)

    def check(self, params: SearchParams) -> SearchParams:
        """Return the params as they are run; raises ConfigError for what cannot be run here."""
        return self._prepared(params)[-1]

    def ballot(self, problem: Problem, params: SearchParams) -> Ballot:
        """Return what reads and keys the answers to a problem; raises ConfigError."""
        task = MODES[params.compat].task(self.task)
        return Ballot(
            partial(task.extract, problem), partial(task.keys, problem, workers=self._workers)
        )

    async def grade(self, problem: Problem, answers: Sequence[str]) -> Sequence[float]:
        """Return how right each distinct answer is, from 0 to 1; NaN where there was no time."""
        return await self.task.grade(problem, answers, self._workers)

    async def own_grades(self, problem: Problem, answers: Sequence[str]) -> Sequence[float] | None:
        """Return what the task's own grader says where another one grades, else None."""
        if not isinstance(self.task, Math) or self.task.grader == "own":
            return None
        return await self.task.own_grades(problem, answers, self._workers)

    async def score(self, request: ScoreRequest, meter: Meter | None = None) -> Scores:
        """Return the verifier's scores; raises ServerError, and ConfigError where there is none."""
        verifier = self._servers.verifier(meter or Meter())
        if verifier is None:
            raise ConfigError("there is no verifier: add --prm URL")
        with taking_turns():
            return await verifier(request)

    async def written(self, steps: Sequence[str], meter: Meter | None = None) -> tuple[Step, ...]:
        """Return steps from elsewhere, given without delimiters, as if the policy had written them.

        Raises ServerError.
        """
        written = self._servers.written(meter or Meter())

        async def step(text: str) -> Step:
            return await written(text + STEP_DELIMITER)

        with taking_turns():
            return await together(map(step, steps))

    async def roll_out(
        self,
        problem: Problem,
        steps: Sequence[Step],
        params: SearchParams,
        *,
        place: int,
        meter: Meter | None = None,
    ) -> tuple[Trajectory, ...]:
        """Sample `params.n` completions that go on from the `written` steps of a solution.

        `place` tells the seeds of one prefix from those of others. Completions that read the same
        come once, with their multiplicity; one that failed is missing. Raises ServerError if all
        failed.
        """
        mode, _, params = self._prepared(params)
        meter = meter or Meter()
        with taking_turns():
            ports = self._ports(mode, meter, Watch(), self.ballot(problem, params))
            root = await ports.root(mode.task(self.task).messages(problem))
            prefix = replace(root, steps=tuple(steps), path=(place,))
            return await Search(problem, root, params, ports).expand(prefix, params.n, until="end")

    async def solve(
        self,
        problem: str | Problem,
        params: SearchParams | None = None,
        *,
        meter: Meter | None = None,
        watch: Watch | None = None,
        ballot: Ballot | None = None,
        bounds: Bounds | None = None,
        logprobs: bool = False,
    ) -> SearchResult:
        """Search for the answer to a problem.

        `meter` counts what is spent, `watch` hears of each expansion, and `ballot` reads and keys
        the answers; each may be looked at meanwhile. `bounds` may end the search early, with the
        best so far. `logprobs` asks for the candidates' `mean_logp` where no verifier takes part.
        Raises ConfigError for what cannot be searched for, ServerError if nothing
        came of the search, and TimeoutError if nothing was written within the bounds.
        """
        problem = problem if isinstance(problem, Problem) else Problem(question=problem)
        mode, strategy, params = self._prepared(params or SearchParams())
        if not problem.question.strip():
            raise ConfigError("the problem is empty: give it as an argument, a file or on stdin")
        task = mode.task(self.task)
        meter = meter or Meter()
        watch = Kept(watch or Watch(), meter, bounds or Bounds())
        ballot = ballot or self.ballot(problem, params)
        with taking_turns():
            ports = self._ports(mode, meter, watch, ballot)
            if logprobs:
                ports = replace(ports, unscored_logprobs=0)

            async def search() -> Found:
                root = await root_of(problem, task.messages(problem), ports.root)
                return await strategy.search(Search(problem, root, params, ports))

            found = await watch.within(search(), params.n)
        watch.picked(found.picks)
        scored = strategy.needs != "nothing"
        read, groups = await results.candidates(
            found.picks, params, ballot, mode.rules, scored=scored
        )
        chosen = find_strategy(found.allocation.strategy) if found.allocation else strategy
        judge = self._servers.judge(meter)
        decision = await decide(
            problem, params, task, chosen.vote(params), read, groups, judge, scored=scored
        )
        candidates = results.in_order_of(read, groups, decision.order)
        return self._result(problem, params, found, candidates, decision, meter, scored=scored)

    def _ports(self, mode: Mode, meter: Meter, watch: Watch, ballot: Ballot) -> Ports:
        return Ports(
            policy=self._servers.policy(meter),
            verifier=self._servers.verifier(meter),
            root=self._servers.root(meter),
            written=remembered(self._servers.written(meter)),
            ballot=ballot,
            watch=watch,
            find=partial(find_strategy, among=mode.strategies),
            rules=mode.rules,
            top_logprobs=self._servers.verifiers.top_logprobs,
        )

    def _prepared(self, params: SearchParams) -> tuple[Mode, Strategy[Any], SearchParams]:
        mode = MODES[params.compat]
        strategy = find_strategy(params.strategy, mode.strategies)
        params = strategy.checked(params)
        if strategy.needs != "nothing" and self._servers.verifiers.model is None:
            raise ConfigError(strategy.lacks_verifier)
        self.servers.check_thoughts(params)
        self.servers.check_task(self.task.name)
        if params.vote == "tournament" and self._servers.verifiers.compare is None:
            raise ConfigError("vote is tournament, which needs a judge: --prm-api judge, or self")
        if strategy.needs == "prefixes" and self._servers.verifiers.reads == "solutions":
            raise ConfigError(
                f"{strategy.name} has unfinished solutions scored, which "
                f"{self._servers.verifiers.model} does not read: use best-of-n, or another verifier"
            )
        if self.servers.check:
            strategy.settings_of(params).check_models(
                self._servers.policy_model, self._servers.verifiers.model
            )
        return mode, strategy, params

    def _result(
        self,
        problem: Problem,
        params: SearchParams,
        found: Found,
        candidates: tuple[Candidate, ...],
        decision: Decision,
        meter: Meter,
        *,
        scored: bool,
    ) -> SearchResult:
        order = decision.order
        doubts = self._servers.verifiers.doubts(
            problem,
            self._servers.policy_model,
            scored=scored,
            judged=scored or decision.vote == "tournament",
        )
        thinking = forcing_note(params.thought_budget, [p.trajectory for p in found.picks])
        return SearchResult(
            problem=problem,
            answer=order[0].answer if order else "",
            strategy=params.strategy,
            n=params.n,
            m=params.m,
            vote=decision.vote,
            choices=decision.choices,
            answers=order,
            candidates=candidates,
            tree=results.search_tree(found),
            counts=results.counts(found, candidates),
            usage=meter.usage,
            wall_s=meter.elapsed_s,
            seed=params.seed,
            task=self.task.name,
            policy=self._servers.policy_name,
            prm=self._servers.verifiers.name if scored else None,
            note="; ".join(filter(None, [found.note, decision.note, thinking, *doubts])),
            allocation=found.allocation,
            compat=params.compat,
            demo=self.servers.is_demo,
        )
