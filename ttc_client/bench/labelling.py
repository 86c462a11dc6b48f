"""Label the steps of solutions without people: roll out from them, and see what is reached.

Math-Shepherd (Wang et al. 2023, arXiv 2312.08935, equations 3 and 4): the value of a step is the
share of K completions from there that come to the right answer; its hard label is whether any does.
OmegaPRM (Luo et al. 2024, arXiv 2406.06592, section 3.3): the first step without any is found by
bisection.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Literal

from ttc_client.bench.ledger import Ledger
from ttc_client.bench.unlabelled import Unlabelled
from ttc_client.errors import TTCError
from ttc_client.middleware.meter import Meter
from ttc_client.runtime.client import Client
from ttc_client.search.params import SearchParams
from ttc_client.together import together
from ttc_client.types import Problem, Step, Usage

Method = Literal["every", "binary"]
ROLLOUTS, LABELS = "rollouts.jsonl", "labels.jsonl"
_AT_ONCE = 256
"""Solutions that are worked on at once; how many rollouts reach the policy, its limiter decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollouts:
    """What K completions from a prefix came to; `prefix` names it among those of its problem."""

    problem: str
    prefix: str
    num_steps: int
    num_right: int
    num_sampled: int
    usage: Usage = field(default_factory=Usage)

    @property
    def value(self) -> float:
        """The share that is right."""
        return self.num_right / self.num_sampled


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A solution with the value and the hard label of each step, or in `error` why it has none.

    `values` are None where nothing was rolled out, and the grade of the answer at the last step.
    """

    id: str
    problem: str
    question: str
    steps: tuple[str, ...]
    values: tuple[float | None, ...] = ()
    labels: tuple[bool, ...] = ()
    is_right: bool = False
    error: str = ""


class Labelling:
    """Label solutions, sharing rollouts between prefixes that read the same.

    `params.n` is K. Goes on with what the ledger has kept: rollouts that were paid for are not
    asked for again.
    """

    def __init__(
        self,
        solutions: Sequence[Unlabelled],
        method: Method,
        params: SearchParams,
        ledger: Ledger,
    ) -> None:
        self.solutions = solutions
        self._method, self._params, self._ledger = method, params, ledger
        self._rollouts: dict[tuple[str, str], Rollouts] = {
            (line.problem, line.prefix): line for line in ledger.kept[ROLLOUTS]
        }
        wanted = {solution.id for solution in solutions}
        self.labelled: dict[str, Labelled] = {
            line.id: line for line in ledger.kept[LABELS] if not line.error and line.id in wanted
        }
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}
        self.num_shared = 0

    @property
    def num_rollouts(self) -> int:
        """How many completions were sampled, in earlier sittings too."""
        return sum(rollouts.num_sampled for rollouts in self._rollouts.values())

    @property
    def usage(self) -> Usage:
        """What they cost."""
        return sum((rollouts.usage for rollouts in self._rollouts.values()), Usage())

    @property
    def failed(self) -> list[Labelled]:
        """The solutions that could not be labelled."""
        return [line for line in self.labelled.values() if line.error]

    async def run(self, client: Client) -> None:
        """Label what is not labelled yet; a solution that fails is a line that says so.

        Raises TTCError where the ledger cannot be written.
        """
        left = [solution for solution in self.solutions if solution.id not in self.labelled]
        work = iter(left)
        await together(self._work(client, work) for _ in left[:_AT_ONCE])

    async def _work(self, client: Client, work: Iterator[Unlabelled]) -> None:
        for solution in work:
            line = await self._label(client, solution)
            await self._ledger.write(LABELS, line)
            self.labelled[solution.id] = line

    async def _label(self, client: Client, solution: Unlabelled) -> Labelled:
        problem = solution.problem
        blank = Labelled(
            id=solution.id, problem=problem.id, question=problem.question, steps=solution.steps
        )
        try:
            is_right = solution.is_right
            if is_right is None:
                text = "\n\n".join(solution.steps)
                is_right = (await _grades(client, problem, [text], self._params))[0] == 1
            label = {"every": self._every, "binary": self._binary}[self._method]
            values, labels = await label(_Rolling(self, client, solution, is_right))
        except TTCError as failure:
            return replace(blank, error=str(failure) or type(failure).__name__)
        return replace(blank, values=values, labels=labels, is_right=is_right)

    async def _every(self, rolling: "_Rolling") -> "_Marks":
        """Roll out from each step but the last, all at once.

        A solution with the right answer is itself a completion that shows each of its steps to be
        good, also where none of the K came to it.
        """
        count = len(rolling.solution.steps)
        values = await together(rolling.value(end) for end in range(1, count + 1))
        return values, tuple(rolling.is_right or value > 0 for value in values)

    async def _binary(self, rolling: "_Rolling") -> "_Marks":
        """Bisect for the first step from which nothing right is reached.

        A solution with the right answer has none. Each prefix is rolled out from once.
        """
        count = len(rolling.solution.steps)
        values: list[float | None] = [None] * count
        values[-1] = float(rolling.is_right)
        good, bad = (count, count + 1) if rolling.is_right else (0, count)
        while bad - good > 1:
            middle = (good + bad) // 2
            value = values[middle - 1] = await rolling.value(middle)
            good, bad = (middle, bad) if value > 0 else (good, middle)
        return tuple(values), tuple(end <= good for end in range(1, count + 1))

    async def roll_out(
        self, client: Client, problem: Problem, texts: Sequence[str], steps: Sequence[Step]
    ) -> Rollouts:
        """Return the rollouts from a prefix, sampled once for all solutions that begin so."""
        digest = blake2b(repr(tuple(texts)).encode(), digest_size=8)
        key = problem.id, digest.hexdigest()
        async with self._locks.setdefault(key, asyncio.Lock()):
            if found := self._rollouts.get(key):
                self.num_shared += found.num_sampled
                return found
            meter, place = Meter(), int.from_bytes(digest.digest())
            sampled = await client.roll_out(problem, steps, self._params, place=place, meter=meter)
            ended = [t for t in sampled if t.finish != "length"]
            grades = await _grades(client, problem, [t.text for t in ended], self._params)
            right = sum(
                t.multiplicity for t, grade in zip(ended, grades, strict=True) if grade == 1
            )
            line = Rollouts(
                problem=problem.id,
                prefix=digest.hexdigest(),
                num_steps=len(steps),
                num_right=right,
                num_sampled=sum(t.multiplicity for t in sampled),
                usage=meter.usage,
            )
            await self._ledger.write(ROLLOUTS, line)
            self._rollouts[key] = line
        return line


_Marks = tuple[tuple[float | None, ...], tuple[bool, ...]]
"""The values and the hard labels of a solution's steps."""


@dataclass(slots=True)
class _Rolling:
    """A solution that is being labelled."""

    labelling: Labelling
    client: Client
    solution: Unlabelled
    is_right: bool
    _steps: tuple[Step, ...] = ()
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def value(self, end: int) -> float:
        """Return the value after `end` steps; after the last, the grade of the answer."""
        solution = self.solution
        if end == len(solution.steps):
            return float(self.is_right)
        async with self._reading:
            if not self._steps:
                self._steps = await self.client.written(solution.steps)
        rollouts = await self.labelling.roll_out(
            self.client, solution.problem, solution.steps[:end], self._steps[:end]
        )
        return rollouts.value


async def _grades(
    client: Client, problem: Problem, texts: Sequence[str], params: SearchParams
) -> list[float]:
    """Grade completions by their answers, each answer once."""
    extract = client.ballot(problem, params).extract
    answers = [extract(text) for text in texts]
    distinct = [answer for answer in dict.fromkeys(answers) if answer]
    grades = dict(zip(distinct, await client.grade(problem, distinct), strict=True))
    return [grades.get(answer, 0.0) for answer in answers]
