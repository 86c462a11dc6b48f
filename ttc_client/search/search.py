"""What a strategy searches with: the tree of one problem, grown through the two ports.

Knows nothing of what is kept: that is the strategies' part. Children, new prompts and parts are
numbered when `expand`, `ask` and `part` are called, not when they are awaited: so paths and seeds
depend on the strategy alone, never on which reply came first.
"""

import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Generic, Literal

from ttc_client.errors import ConfigError
from ttc_client.search.ballot import Ballot
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import Policy, SampleRequest, ScoreRequest, Verifier, Write
from ttc_client.search.results import Rules, as_ended, candidates, completions, merge_alike
from ttc_client.search.scoring import scored
from ttc_client.search.seeds import Numbers, request_seed
from ttc_client.search.strategy import S, Strategy
from ttc_client.search.thinking import readings_after, whole_steps
from ttc_client.search.turns import Turns, Until
from ttc_client.search.voting import counted_vote, ranked
from ttc_client.search.watch import Watch
from ttc_client.together import surviving, together
from ttc_client.types import AnswerGroup, Message, Problem, Trajectory, Vote


@dataclass(frozen=True, slots=True)
class Ports:
    """What a search reaches the world through; `verifier` is None where there is none.

    `root` returns the empty trajectory of a prompt, as the policy's server reads it, and `written`
    a text as a step of it. `top_logprobs`, as in `SampleRequest`, is for the verifier,
    `unscored_logprobs` without one.
    """

    policy: Policy
    verifier: Verifier | None
    root: Callable[[Sequence[Message]], Awaitable[Trajectory]]
    written: Write
    ballot: Ballot
    watch: Watch
    find: Callable[[str], Strategy[Any]]
    rules: Rules
    top_logprobs: int | None = None
    unscored_logprobs: int | None = None


class Search(Generic[S]):
    """One problem, or a part of its budget, as a strategy sees it.

    `root` is the empty trajectory of the problem. `rng` is seeded by the run's seed, the problem,
    the strategy and the part.
    """

    def __init__(
        self,
        problem: Problem,
        root: Trajectory,
        params: SearchParams,
        ports: Ports,
        *,
        first: int = 0,
        last: int | None = None,
    ) -> None:
        strategy = ports.find(params.strategy)
        self.problem, self.root, self.params = problem, root, params
        self._key, self._first = problem.key, first
        self.settings: S = strategy.settings_of(params)
        self.ports = ports
        self.verifier = None if strategy.needs == "nothing" else ports.verifier
        given = ports.top_logprobs if self.verifier else ports.unscored_logprobs
        read = (strategy.top_logprobs, given)
        self._top_logprobs = max((top for top in read if top is not None), default=None)
        self.rng = random.Random(repr((params.seed, self._key, params.strategy, first)))
        self.numbers = Numbers({(): first}, last)

    def until(self, depth: int) -> Literal["step", "end"]:
        """Return where a step at this depth, from 1, ends: the last one runs to the end."""
        return "end" if depth >= self.params.max_steps else "step"

    def expand(
        self,
        parent: Trajectory,
        n: int,
        *,
        until: Until = "step",
        lookahead: int = 0,
        temperature: float | None = None,
    ) -> Coroutine[Any, Any, tuple[Trajectory, ...]]:
        """Continue a trajectory in n ways, in one request.

        Returns the distinct continuations in the order sampled, each with its multiplicity, and,
        where the strategy needs a verifier, its scores and value. With `lookahead`, each new step
        is rolled out that many steps further, greedily, and its value is that of the rolled-out
        text (Snell et al. 2024, §5.1). A continuation that failed is missing; raises ServerError
        if all did. `temperature` defaults to that of the params.
        """
        first = self.numbers.take(parent.path, n)
        return self._expand(parent, n, first, until, lookahead, temperature)

    def ask(
        self, messages: Sequence[Message], *, after: Trajectory | None = None
    ) -> Coroutine[Any, Any, Trajectory]:
        """Return the empty trajectory of a new prompt, a node below `after` or the root.

        Its text begins anew; the verifier goes on to read the original question.
        """
        parent = after or self.root
        path = (*parent.path, self.numbers.take(parent.path, 1))
        return self._ask(messages, path)

    def part(self, strategy: str, n: int, **overrides: Any) -> Coroutine[Any, Any, Found]:
        """Search by another strategy with a part of the budget, below the same root.

        `overrides` are params, or settings of that strategy; settings that both strategies have
        are handed on.
        """
        first = self.numbers.take((), n)
        record = self.ports.find(strategy)
        params = record.part_of(self.params, self.settings, n, overrides)
        part = Search[Any](self.problem, self.root, params, self.ports, first=first, last=first + n)
        return _found(record, part)

    def room_for(self, strategy: str, n: int, **overrides: Any) -> int:
        """Return the largest part of up to N that a strategy can be given, 0 for none."""
        record = self.ports.find(strategy)
        for part in range(n, 0, -1):
            with suppress(ConfigError):
                return record.checked(record.part_of(self.params, self.settings, part, overrides)).n
        return 0

    def is_independent(self, strategy: str) -> bool:
        """Whether a strategy's samples are whole completions, each by itself."""
        record = self.ports.find(strategy)
        return record.samples(self.params, record.settings()) == "independent"

    @property
    def decides_by(self) -> Vote:
        """The vote that chooses the answer."""
        default = self.ports.find(self.params.strategy).vote(self.params)
        return counted_vote(self.params.vote, default)

    async def vote(self, picks: Sequence[Pick]) -> tuple[AnswerGroup, ...]:
        """Return the groups of equivalent answers, the winner first."""
        ports = self.ports
        _, groups = await candidates(
            picks, self.params, ports.ballot, ports.rules, scored=self.verifier is not None
        )
        return ranked(groups, self.decides_by)

    def completions(self, sampled: Iterable[Trajectory]) -> tuple[Pick, ...]:
        """Return the completions among the trajectories as picks, the best N of them."""
        return completions(sampled, self.params.n)

    async def _ask(self, messages: Sequence[Message], path: tuple[int, ...]) -> Trajectory:
        return replace(await self.ports.root(messages), path=path)

    async def _expand(
        self,
        parent: Trajectory,
        n: int,
        first: int,
        until: Until,
        lookahead: int,
        temperature: float | None,
    ) -> tuple[Trajectory, ...]:
        watch = self.ports.watch
        watch.launched(parent, n)
        try:
            children = merge_alike(await self._sample(parent, n, first, until, temperature))
            if self.verifier is not None:
                rolled_out = children
                if lookahead and until != "end":
                    rolled_out = await together(self._roll_out(c, lookahead) for c in children)
                children = await self._score(self.verifier, parent, children, rolled_out)
        except BaseException:
            watch.dropped(parent, n)
            raise
        watch.sampled(parent, n, children)
        return children

    async def _sample(
        self,
        parent: Trajectory,
        n: int,
        first: int,
        until: Until,
        temperature: float | None,
    ) -> list[Trajectory]:
        """Sample one request, and what else a child takes until it is what was asked for."""
        sample = partial(self.sample, temperature=temperature)
        turns = Turns.below(parent, self.params, until, self.ports.written)
        asked = turns.first()
        children = await sample(
            parent, n, asked.max_tokens, first=first, until=asked.until, stop=asked.stop
        )
        left = self.params.max_completion_tokens - parent.num_tokens
        checkpoint = asked.checkpoint(n)
        children = [as_ended(child, left, checkpoint) for child in children]
        if turns.forcing or any(map(turns.goes_on, children)):
            return list(await surviving(turns.all_of(child, sample) for child in children))
        return children

    async def sample(
        self,
        parent: Trajectory,
        n: int,
        max_tokens: int,
        *,
        first: int,
        until: Until = "step",
        stop: tuple[str, ...] | None = None,
        temperature: float | None = None,
    ) -> list[Trajectory]:
        """Continue a trajectory in n ways, numbered from `first`, without scores of their own.

        Each ends at a `stop` string too; None stands for the delimiters of a step.
        """
        params = self.params
        samples = await self.ports.policy(
            SampleRequest(
                trajectory=parent,
                n=n,
                temperature=params.temperature if temperature is None else temperature,
                top_p=params.top_p,
                top_k=params.top_k,
                min_p=params.min_p,
                presence_penalty=params.presence_penalty,
                max_tokens=max_tokens,
                stop=_stop(params, until) if stop is None else stop,
                seed=request_seed(params, self._key, parent.path, first),
                session=self.session(parent.path or (first,)),
                top_logprobs=self._top_logprobs,
                is_piece=isinstance(until, int),
            )
        )
        prompt = parent.prompt
        if not prompt.ids and samples.prompt_ids:
            prompt = replace(prompt, ids=samples.prompt_ids)
        sampled = [(i, step) for i, step in enumerate(samples.steps, first) if step is not None]
        readings = readings_after(parent, [step.text for _, step in sampled], params)
        return [
            Trajectory(
                prompt,
                steps=(*parent.steps, step),
                scores=parent.scores,
                path=(*parent.path, i),
                readings=read,
                value=parent.value,
            )
            for (i, step), read in zip(sampled, readings, strict=True)
        ]

    async def _roll_out(self, trajectory: Trajectory, lookahead: int) -> Trajectory:
        """Continue greedily by up to `lookahead` steps, whose paths no expansion ever takes."""
        for _ in range(lookahead):
            if trajectory.finished:
                break
            steps = await self._sample(trajectory, 1, -1, "step", 0.0)
            if not steps:  # it failed, and the text so far is ranked
                break
            trajectory = steps[0]
        return trajectory

    async def _score(
        self,
        verifier: Verifier,
        parent: Trajectory,
        children: Sequence[Trajectory],
        rolled_out: Sequence[Trajectory],
    ) -> tuple[Trajectory, ...]:
        """Score the new steps of all children at once; rank by the rolled-out text."""
        known, _ = whole_steps(parent, self.params)
        request = ScoreRequest(
            self.problem,
            known,
            tuple([rolled.readings[len(known) :] for rolled in rolled_out]),
            tuple([rolled.steps for rolled in rolled_out]),
            parent.path,
            self.session(children[0].path),
        )
        return await scored(verifier, request, parent, children, self.params.reduction)

    def session(self, path: tuple[int, ...]) -> str:
        """Name what shares a prefix: groups of M among the first steps, as the subtrees of DVTS."""
        return f"{self._key}\n{(path[0] - self._first) // self.params.m}"


def _stop(params: SearchParams, until: Until) -> tuple[str, ...]:
    return params.step_delimiter if until == "step" else ()


async def _found(strategy: Strategy[S], search: Search[S]) -> Found:
    return await strategy.search(search)
