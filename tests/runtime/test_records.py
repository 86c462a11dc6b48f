"""What is kept of a search: grades by group of answers, and texts that can be found again."""

from collections.abc import Sequence
from math import nan

from ttc_client.bench.checks import check_trace
from ttc_client.runtime.records import (
    GradedAnswer,
    Key,
    Record,
    Trace,
    distinct_answers,
    key_of,
    make_record,
    texts,
)
from ttc_client.search.ballot import Ballot
from ttc_client.search.results import Rules, vote_on
from ttc_client.search.voting import choices
from ttc_client.types import Candidate, Finish, ScoredStep, TreeNode

KEY = Key("beam", 4, 7, "p1")


def candidate(answer: str, reward: float, finish: Finish = "eos", path=(0,)) -> Candidate:
    steps = (ScoredStep("s", reward),)
    return Candidate(answer, steps, reward, answer, finish, 9, path, votes=2)


async def recorded(found: Sequence[Candidate], grades: dict[str, float], note: str = "") -> Record:
    """Return the record of candidates, of which "0.5" and "1/2" are equivalent."""

    async def keys(answers: Sequence[str]) -> list[str]:
        return ["h" if answer in ("0.5", "1/2") else answer for answer in answers]

    read, groups = await vote_on(found, Ballot(str, keys), Rules())
    chosen = choices(groups, scored=True)
    return make_record(KEY, read, groups, grades, vote="weighted", choices=chosen, note=note)


async def test_groups_of_answers_are_graded_and_samples_point_to_them():
    found = (
        candidate("3", 0.9),
        candidate("0.5", 0.2),
        candidate("1/2", 0.8, path=(2, 1)),
        candidate("1/2", 0.9, finish="length"),
        candidate("", 0.9),
    )
    record = await recorded(found, {"3": 0.0, "0.5": nan, "1/2": 1.0}, note="short")
    assert key_of(record) == KEY
    assert record.answers == (GradedAnswer("3", 0), GradedAnswer("1/2", 1))
    assert [sample.answer for sample in record.samples] == [0, 1, 1, None, None]
    assert record.choices == {"prm": "3", "weighted": "1/2", "majority": "1/2"}
    assert record.grades == {"prm": 0, "weighted": 1, "majority": 1}
    assert (record.vote, record.grade, record.best_grade) == ("weighted", 1, 1)
    assert record.samples[2].path == (2, 1)
    assert record.samples[2].scores == (0.8,)
    assert [sample.votes for sample in record.samples] == [2] * 5
    assert (record.num_ungraded, record.note) == (1, "short")


async def test_a_search_without_any_answer_is_wrong():
    record = await recorded([candidate("", 0.9)], {})
    assert record.answers == ()
    assert set(record.grades.values()) == {0}
    assert (record.grade, record.best_grade) == (0, 0)


async def test_answers_may_be_partly_right_and_a_group_is_as_right_as_the_text_that_stands_for_it():
    found = [candidate("0.5", 0.2), candidate("1/2", 0.1), candidate("3", 0.9)]
    record = await recorded(found, {"0.5": 0.25, "1/2": 0.75, "3": 0.5})
    assert [graded.grade for graded in record.answers] == [0.25, 0.5]
    assert record.grades == {"prm": 0.5, "weighted": 0.5, "majority": 0.25}
    assert (record.grade, record.best_grade) == (0.5, 0.5)


async def test_an_answer_is_graded_once_and_only_if_it_votes():
    found = [candidate("3", 0.1), candidate("3", 0.2), candidate("4", 0.2, finish="length")]

    async def keys(answers: Sequence[str]) -> Sequence[str]:
        return answers

    read, _ = await vote_on(found, Ballot(str, keys), Rules())
    assert distinct_answers(read) == ["3"]


def test_texts_are_put_together_from_the_tree():
    nodes = [((0,), "a\n\n"), ((0, 1), "b"), ((2,), "c")]
    tree = tuple(TreeNode(path, text, 0.5, "stop", 1, True) for path, text in nodes)
    trace = Trace(**KEY._asdict(), tree=tree)
    assert texts(trace) == {(): "", (0,): "a\n\n", (0, 1): "a\n\nb", (2,): "c"}


def test_what_was_asked_anew_is_no_part_of_what_was_written_below_it():
    asked = TreeNode((0, 0), "again?", None, "stop", 1, True, is_prompt=True)
    tree = (
        TreeNode((0,), "first", 0.5, "eos", 1, True),
        asked,
        TreeNode((0, 0, 0), "second", 0.9, "eos", 1, True),
    )
    trace = Trace(id="a", strategy="revise", n=2, seed=0, tree=tree)
    check_trace(trace)
    assert texts(trace) == {(): "", (0,): "first", (0, 0): "", (0, 0, 0): "second"}
