"""Grade what others sampled, and write it as a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ttc_client.bench.imports import Sampled
from ttc_client.bench.journal import Journal
from ttc_client.runtime.records import Key, Record, Trace, distinct_answers, make_record
from ttc_client.sal.modes import MODES
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.results import vote_on
from ttc_client.search.strategies import find_strategy
from ttc_client.search.voting import choices
from ttc_client.tasks.math import Math
from ttc_client.tasks.workers import Workers
from ttc_client.types import Candidate, Compat, Problem, ScoredStep, TreeNode


@dataclass(slots=True)
class Regrading:
    """Write the rows that were read as the records of a run, and count those that are done.

    Each at each of its budgets N, by its first N completions.
    """

    rows: Sequence[Sampled]
    compat: Compat | None
    num_done: int = 0

    @property
    def problems(self) -> list[Problem]:
        """The problems, each once."""
        return list({row.problem.id: row.problem for row in self.rows}.values())

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the outcome, as far as it is known of a search that was made elsewhere."""
        sources = dict.fromkeys(row.place.rpartition(", ")[0] for row in self.rows)
        task = Math()
        return {
            "dataset": ", ".join(sources),
            "strategy": sorted({row.strategy for row in self.rows}),
            "n": sorted({n for row in self.rows for n in row.budgets}),
            "seed": sorted({row.seed for row in self.rows}),
            "reduction": "last",
            "compat": self.compat,
            "task": {"name": task.name, "system_prompt": task.system_prompt},
            "imported": True,
        }

    async def run(self, journal: Journal) -> None:
        """Grade row by row: the workers are busy with the answers of one."""
        keys: list[Key] = []
        async with Workers() as workers:
            for row in self.rows:
                candidates = self._candidates(row)
                for n in row.budgets:
                    key = Key(row.strategy, n, row.seed, row.problem.id)
                    record = await self._record(key, row.problem, candidates[:n], workers)
                    await journal.write(record, None, _trace(key, candidates[:n]))
                    keys.append(key)
                self.num_done += 1
        journal.sort(keys)

    async def _record(
        self, key: Key, problem: Problem, drawn: Sequence[Candidate], workers: Workers
    ) -> Record:
        mode = MODES[self.compat]
        task, strategy = mode.task(Math()), find_strategy(key.strategy, mode.strategies)
        ballot = Ballot(
            partial(task.extract, problem), partial(task.keys, problem, workers=workers)
        )
        read, groups = await vote_on(drawn, ballot, mode.rules)
        answers = distinct_answers(read)
        grades = await task.grade(problem, answers, workers)
        return make_record(
            key,
            read,
            groups,
            dict(zip(answers, grades, strict=True)),
            vote=strategy.vote(SearchParams()),
            choices=choices(groups, scored=strategy.needs != "nothing"),
        )

    def _candidates(self, row: Sampled) -> list[Candidate]:
        task = MODES[self.compat].task(Math())
        return [
            Candidate(
                text=text,
                steps=tuple(ScoredStep("", score) for score in row.scores[index]),
                reward=row.rewards[index],
                answer=task.extract(row.problem, text),
                finish=row.finishes[index],
                num_tokens=row.num_tokens[index],
                path=(index,),
            )
            for index, text in enumerate(row.completions)
        ]


def _trace(key: Key, candidates: Sequence[Candidate]) -> Trace:
    """Return the completions as a tree of one level: where they branched is not known."""
    tree = tuple(
        TreeNode(c.path, c.text, c.reward, c.finish, multiplicity=1, kept=True) for c in candidates
    )
    return Trace(**key._asdict(), tree=tree)
