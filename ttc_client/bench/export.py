"""Turn runs into data for others: training data, and the published toolkit's JSON lines."""

from collections.abc import Callable, Iterator
from typing import Any, Literal

from ttc_client.bench.records import Record, Trace, key_of, texts
from ttc_client.bench.runs import Run, read_traces
from ttc_client.errors import ConfigError
from ttc_client.prompts import split_steps
from ttc_client.types import Candidate
from ttc_client.voting import tally

Format = Literal["sal", "sft", "prm"]
Row = dict[str, Any]
Search = tuple[Record, list[Candidate]]
"""A record, and its samples as candidates: with their texts, without their steps."""


def export(run: Run, kind: Format, wanted: Callable[[Record], bool]) -> Iterator[Row]:
    """Return a run's wanted searches as rows; raises ConfigError where no trace was kept.

    - `sal`: a search as huggingface/search-and-learn writes it, with our votes: `problem, answer,
      completions, scores, agg_scores, pred, completion_tokens`, and for N and each power of two
      n up to it `pred_naive@n, pred_weighted@n, pred_maj@n` among the first n.
    - `sft`: a problem's right completions as chat messages, each text once, the best reward first.
    - `prm`: a problem's completions, each text once, as steps with their scores, and whether the
      answer is right.
    """
    searches: dict[str, list[Search]] = {}
    for trace in read_traces(run.path):
        record = run.records.get(key_of(trace))
        if record and not record.error and wanted(record):
            searches.setdefault(record.id, []).append((record, _candidates(record, trace)))
    if not searches:
        raise ConfigError(f"{run.path} holds no traces of such searches")
    rows = {"sal": _sal, "sft": _sft, "prm": _prm}[kind]
    for name in run.problems:
        if name in searches:
            yield from rows(run, name, searches[name])


def _candidates(record: Record, trace: Trace) -> list[Candidate]:
    text = texts(trace)
    return [
        Candidate(
            text=text[sample.path],
            steps=(),
            reward=sample.reward,
            answer="" if sample.answer is None else record.answers[sample.answer].answer,
            finish=sample.finish,
            multiplicity=1,
            num_tokens=sample.num_tokens,
            path=sample.path,
        )
        for sample in record.samples
    ]


def _sal(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
    for record, candidates in searches:
        drawn = [
            (candidate, sample.scores)
            for candidate, sample in zip(candidates, record.samples, strict=True)
            for _ in range(sample.multiplicity)
        ]
        row: Row = {
            "unique_id": name,
            "problem": run.problems[name].problem,
            "answer": run.problems[name].answer,
            "completions": [candidate.text for candidate, _ in drawn],
            "scores": [scores for _, scores in drawn],
            "agg_scores": [candidate.reward for candidate, _ in drawn],
            "completion_tokens": [candidate.num_tokens for candidate, _ in drawn],
            "pred": _boxed(record.choices["weighted"]),
        }
        for n in sorted({1 << e for e in range(record.n.bit_length())} | {record.n}):
            first = [candidate for candidate, _ in drawn[:n]]
            choices = tally(first, [candidate.answer for candidate in first]).choices
            row[f"pred_naive@{n}"] = _boxed(choices["prm"])
            row[f"pred_weighted@{n}"] = _boxed(choices["weighted"])
            row[f"pred_maj@{n}"] = _boxed(choices["majority"])
        yield row


def _sft(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
    asked = [
        {"role": "system", "content": run.settings["system_prompt"]},
        {"role": "user", "content": run.problems[name].problem},
    ]
    right: dict[str, float | None] = {}
    for record, candidates in searches:
        for candidate in candidates:
            if _is_right(record, candidate):
                right.setdefault(candidate.text, candidate.reward)
    for text, reward in sorted(right.items(), key=lambda found: -(found[1] or 0.0)):
        messages = [*asked, {"role": "assistant", "content": text}]
        yield {"unique_id": name, "messages": messages, "reward": reward}


def _prm(run: Run, name: str, searches: list[Search]) -> Iterator[Row]:
    seen: set[str] = set()
    for record, candidates in searches:
        for candidate, sample in zip(candidates, record.samples, strict=True):
            if candidate.text not in seen:
                seen.add(candidate.text)
                yield {
                    "unique_id": name,
                    "problem": run.problems[name].problem,
                    "steps": split_steps(candidate.text),
                    "scores": sample.scores,
                    "outcome": _is_right(record, candidate),
                }


def _is_right(record: Record, candidate: Candidate) -> bool:
    return any(graded.correct and graded.answer == candidate.answer for graded in record.answers)


def _boxed(answer: str) -> str:
    return f"\\boxed{{{answer}}}"
