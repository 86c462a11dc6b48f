"""Grade what others sampled, and write it as a run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ttc_client.answers import AnswerPool
from ttc_client.bench.dataset import Problem
from ttc_client.bench.imports import Sampled
from ttc_client.bench.journal import Journal
from ttc_client.clients.prompts import META_MATH_SYSTEM_PROMPT
from ttc_client.grading import grade
from ttc_client.runtime.records import Key, Trace, make_record
from ttc_client.search.modes import MODES
from ttc_client.types import Candidate, Compat, ScoredStep, TreeNode


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
        return {
            "dataset": ", ".join(sources),
            "strategy": sorted({row.strategy for row in self.rows}),
            "n": sorted({n for row in self.rows for n in row.budgets}),
            "seed": sorted({row.seed for row in self.rows}),
            "reduction": "last",
            "compat": self.compat,
            "system_prompt": META_MATH_SYSTEM_PROMPT,
            "imported": True,
        }

    async def run(self, journal: Journal) -> None:
        """Grade row by row: the pool's workers are busy with the answers of one."""
        keys: list[Key] = []
        async with AnswerPool() as pool:
            for row in self.rows:
                candidates = self._candidates(row)
                for n in row.budgets:
                    key = Key(row.strategy, n, row.seed, row.problem.id)
                    drawn = candidates[:n]
                    grades = await grade(pool, [c.answer for c in drawn], row.problem.answer)
                    record = make_record(key, drawn, grades, compat=self.compat)
                    await journal.write(record, None, _trace(key, drawn))
                    keys.append(key)
                self.num_done += 1
        journal.sort(keys)

    def _candidates(self, row: Sampled) -> list[Candidate]:
        extract_answer = MODES[self.compat].extract_answer
        return [
            Candidate(
                text=text,
                steps=tuple(ScoredStep("", score) for score in row.scores[index]),
                reward=row.rewards[index],
                answer=extract_answer(text),
                finish=row.finishes[index],
                multiplicity=1,
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
