"""A run whose accuracy says more of its files or prompts than of its models is doubted in words."""

from pathlib import Path

from ttc_client.bench.doubts import doubts
from ttc_client.bench.runs import Run
from ttc_client.runtime.records import GradedAnswer, Record, key_of
from ttc_client.types import Problem


def run_of(*grades: float | None) -> Run:
    """Return a run of a problem each: how right its answer is, None where none was read."""
    records = [
        Record(
            id=str(i),
            strategy="majority",
            n=4,
            seed=0,
            choices={} if grade is None else {"majority": "7"},
            answers=() if grade is None else (GradedAnswer("7", grade),),
        )
        for i, grade in enumerate(grades)
    ]
    problems = {r.id: Problem(question="q", id=r.id, gold="so\nit is 8") for r in records}
    return Run(Path("run"), {}, problems, {key_of(r): r for r in records}, {})


def test_nothing_right_at_all_is_doubted_with_examples():
    (said,) = doubts(run_of(0.0, 0.0, None))
    assert "the accuracy is 0" in said
    assert "0: gold 'so it is 8', answered '7'; 1: gold" in said


def test_no_answer_at_all_is_doubted():
    (said,) = doubts(run_of(None, None, None))
    assert "no completion of any search gave an answer" in said


def test_one_right_answer_or_a_few_problems_are_not_doubted():
    assert not [*doubts(run_of(0.0, 0.0, 1.0))]
    assert not [*doubts(run_of(0.0, 0.0))]
    assert not [*doubts(run_of())]
