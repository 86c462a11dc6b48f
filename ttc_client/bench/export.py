"""Turn runs into data for others: training data, and the published toolkit's JSON lines."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

from ttc_client.bench.runs import Run
from ttc_client.bench.sampled import Search, is_right, read_searches
from ttc_client.runtime.records import Record
from ttc_client.sal.modes import MODES
from ttc_client.search.rewards import reduce_scores
from ttc_client.search.voting import choices, grouped
from ttc_client.types import Candidate, Problem, Vote

Format = Literal["sal", "sft", "prm"]
Row = dict[str, Any]
_KINDS: dict[str, Vote] = {"weighted": "weighted", "maj": "majority", "naive": "prm"}


def export(run: Run, kind: Format, wanted: Callable[[Record], bool]) -> Iterator[Row]:
    """Return a run's wanted searches as rows; raises ConfigError where no trace was kept.

    - `sal`: a search as huggingface/search-and-learn writes it: the problem's fields,
      `completions, scores, pred, completion_tokens, agg_scores`, and for each power of two n up to
      N `pred_weighted@n, pred_maj@n, pred_naive@n`, the boxed answers of votes among the first n.
      `pred` is the completion that the search ranks first. Votes follow the mode of the run; what
      that needs to know comes in fields that the toolkit has not: `finish`, `strategy`, `n` and
      `seed`, by which `ttc import` reads the rows back.
    - `sft`: a problem's right completions as chat messages, each text once, the best reward first.
    - `prm`: a problem's completions, each text once, as steps with their scores, and whether the
      answer is right.
    """
    rows = {"sal": _sal, "sft": _sft, "prm": _prm}[kind]
    for name, searches in read_searches(run, wanted).items():
        yield from rows(run, name, searches)


def _problem(problem: Problem) -> Row:
    """Return the fields of a problem as MATH-500 names and types them; only those that it has."""
    level = int(problem.level) if problem.level.isdecimal() else problem.level
    fields: Row = {"problem": problem.question, "answer": problem.gold}
    more = {"subject": problem.subject, "level": level, "unique_id": problem.id}
    return fields | {name: value for name, value in more.items() if value != ""}


def _sal(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
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


def _sft(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
    asked = [
        {"role": "system", "content": _prompt(run)},
        {"role": "user", "content": run.problems[name].question},
    ]
    right: dict[str, float | None] = {}
    for record, candidates in searches:
        for candidate in candidates:
            if is_right(record, candidate):
                right.setdefault(candidate.text, candidate.reward)
    for text, reward in sorted(right.items(), key=lambda found: -(found[1] or 0.0)):
        messages = [*asked, {"role": "assistant", "content": text}]
        yield {"unique_id": name, "messages": messages, "reward": reward}


def _prm(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
    read_steps = MODES[run.settings.get("compat")].rules.read_steps
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
