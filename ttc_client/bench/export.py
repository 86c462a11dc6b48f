"""Turn runs into data for others: training data, and the published toolkit's JSON lines."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ttc_client.bench.contamination import TestSet
from ttc_client.bench.picking import Pick
from ttc_client.bench.preferences import preferences
from ttc_client.bench.runs import Run
from ttc_client.bench.sampled import Search, is_right, read_searches, reader_of
from ttc_client.runtime.records import Record
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.voting import choices, grouped
from ttc_client.types import Candidate, Problem, Vote

Format = Literal["sal", "sft", "dpo", "prm"]
Row = dict[str, Any]
_KINDS: dict[str, Vote] = {"weighted": "weighted", "maj": "majority", "naive": "prm"}


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the right completions is taken: `pick` of those with `min_reward` or more.

    Problems that overlap the `test_set` are left out. `at_step` makes pairs of single steps.
    `left_out` counts what is left out, by the reason.
    """

    pick: Pick = field(default_factory=Pick)
    min_reward: float | None = None
    test_set: TestSet | None = None
    at_step: bool = False
    left_out: Counter[str] = field(default_factory=Counter[str])

    def takes(self, problem: Problem) -> bool:
        """Whether a problem is not one of the test set."""
        if self.test_set is None or not self.test_set.overlaps(problem.question):
            return True
        self.left_out["problems that overlap the test set"] += 1
        return False


def export(
    run: Run, kind: Format, wanted: Callable[[Record], bool], choice: Choice | None = None
) -> Iterator[Row]:
    """Return a run's wanted searches as rows; raises ConfigError where no trace was kept.

    - `sal`: a search as huggingface/search-and-learn writes it: the problem's fields,
      `completions, scores, pred, completion_tokens, agg_scores`, and for each power of two n up to
      N `pred_weighted@n, pred_maj@n, pred_naive@n`, the boxed answers of votes among the first n.
      `pred` is the completion that the search ranks first. Votes follow the mode of the run; what
      that needs to know comes in fields that the toolkit has not: `finish`, `strategy`, `n` and
      `seed`, by which `ttc import` reads the rows back.
    - `sft`: a problem's right completions as chat messages, each text once, the best reward first.
    - `dpo`: pairs of a right and a wrong completion, `prompt`, `chosen` and `rejected`, all as chat
      messages; at a step, the prompt ends with what the two share.
    - `prm`: a problem's completions, each text once, as steps with their scores, and whether the
      answer is right.
    """
    choice = choice or Choice()
    rows = {"sal": _sal, "sft": _sft, "dpo": _dpo, "prm": _prm}[kind]
    for name, searches in read_searches(run, wanted).items():
        if choice.takes(run.problems[name]):
            yield from rows(run, name, searches, choice)


def _problem(problem: Problem) -> Row:
    """Return the fields of a problem as MATH-500 names and types them; only those that it has."""
    level = int(problem.level) if problem.level.isdecimal() else problem.level
    fields: Row = {"problem": problem.question, "answer": problem.gold}
    more = {"subject": problem.subject, "level": level, "unique_id": problem.id}
    return fields | {name: value for name, value in more.items() if value != ""}


def _sal(run: Run, name: str, searches: list[Search], choice: Choice) -> Iterator[Row]:
    reduction = run.settings.get("reduction", "last")

    def rank(drawn: tuple[Candidate, Sequence[float]]) -> tuple[bool, float]:
        candidate, scores = drawn
        value = reduce_scores(scores, reduction) if scores else candidate.reward
        return candidate.group is not None, value or 0.0

    for record, candidates in searches:
        drawn = [
            (candidate, sample.scores)
            for candidate, sample in zip(candidates, record.samples, strict=True)
            for _ in range(int(sample.votes))
        ]
        row = _problem(run.problems[name]) | {
            "completions": [candidate.text for candidate, _ in drawn],
            "scores": [scores for _, scores in drawn],
            "pred": max(drawn, key=rank)[0].text if drawn else "",
            "completion_tokens": [candidate.num_tokens for candidate, _ in drawn],
            "finish": [candidate.finish for candidate, _ in drawn],
            "agg_scores": [candidate.reward for candidate, _ in drawn],
            "strategy": record.strategy,
            "n": record.n,
            "seed": record.seed,
        }
        for n in (1 << exponent for exponent in range(record.n.bit_length())):
            first = [candidate for candidate, _ in drawn[:n]]
            chosen = _choices(first)
            for kind, vote in _KINDS.items():
                row[f"pred_{kind}@{n}"] = _boxed(chosen[vote])
        yield row


def _choices(candidates: Sequence[Candidate]) -> dict[Vote, str]:
    """Return what each vote chooses among some of a search's candidates."""
    members: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.group is not None:
            members.setdefault(candidate.group, []).append(candidate)
    return choices(grouped(tuple(members.values())), scored=True)


def _prompt(run: Run) -> str:
    """Return the system prompt that a run was asked under, "" where it is not known."""
    task: dict[str, str] = run.settings.get("task") or {}
    return task.get("system_prompt", "")


def _sft(run: Run, name: str, searches: list[Search], choice: Choice) -> Iterator[Row]:
    for candidate in choice.pick.of(_right(searches, choice)):
        messages = [*_asked(run, name), _message("assistant", candidate.text)]
        yield {"unique_id": name, "messages": messages, "reward": candidate.reward}


def _dpo(run: Run, name: str, searches: list[Search], choice: Choice) -> Iterator[Row]:
    right = choice.pick.of(_right(searches, choice))
    wrong = _each_once(searches, right=False)
    pairs = preferences(right, wrong, at_step=choice.at_step, left_out=choice.left_out)
    for pair in pairs:
        shared = [_message("assistant", pair.shared)] if pair.shared else []
        yield {
            "unique_id": name,
            "prompt": [*_asked(run, name), *shared],
            "chosen": [_message("assistant", pair.chosen)],
            "rejected": [_message("assistant", pair.rejected)],
            "rewards": pair.rewards,
        }


def _asked(run: Run, name: str) -> list[Row]:
    system = _prompt(run)
    question = _message("user", run.problems[name].question)
    return [_message("system", system), question] if system else [question]


def _message(role: str, content: str) -> Row:
    return {"role": role, "content": content}


def _right(searches: list[Search], choice: Choice) -> list[Candidate]:
    """Return the right candidates whose reward is high enough, the best first."""
    found = _each_once(searches, right=True)
    least = choice.min_reward
    kept = [c for c in found if least is None or (c.reward is not None and c.reward >= least)]
    choice.left_out["solutions below the least reward"] += len(found) - len(kept)
    return sorted(kept, key=lambda candidate: -(candidate.reward or 0.0))


def _each_once(searches: list[Search], *, right: bool) -> list[Candidate]:
    """Return the candidates with an answer that is right or not, each text once."""
    found: dict[str, Candidate] = {}
    for record, candidates in searches:
        for candidate in candidates:
            if candidate.group is not None and is_right(record, candidate) == right:
                found.setdefault(candidate.text, candidate)
    return list(found.values())


def _prm(run: Run, name: str, searches: list[Search], choice: Choice) -> Iterator[Row]:
    read_steps = reader_of(run)
    seen: set[str] = set()
    for record, candidates in searches:
        for candidate, sample in zip(candidates, record.samples, strict=True):
            if candidate.text not in seen:
                seen.add(candidate.text)
                steps = read_steps(candidate.text)
                written = [place for place, step in enumerate(steps) if step.strip()]
                yield {
                    "unique_id": name,
                    "problem": run.problems[name].question,
                    "steps": tuple(steps[place].strip() for place in written),
                    "scores": tuple(sample.scores[i] for i in written if i < len(sample.scores)),
                    "outcome": is_right(record, candidate),
                }


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"
