"""What is kept of a search: grades by group of answers, and texts that can be found again."""

from ttc_client.grading import Grades
from ttc_client.runtime.records import GradedAnswer, Key, Trace, key_of, make_record, texts
from ttc_client.types import Candidate, Finish, ScoredStep, TreeNode

KEY = Key("beam", 4, 7, "p1")


def candidate(answer: str, reward: float, finish: Finish = "eos", path=(0,)) -> Candidate:
    steps = (ScoredStep("s", reward),)
    return Candidate(answer, steps, reward, answer, finish, 2, 9, path)


def test_groups_of_answers_are_graded_and_samples_point_to_them():
    found = (
        candidate("3", 0.9),
        candidate("0.5", 0.2),
        candidate("1/2", 0.8, path=(2, 1)),
        candidate("1/2", 0.9, finish="length"),
        candidate("", 0.9),
    )
    grades = Grades(("3", "h", "h", "h", ""), (False, True, True, True, False), 1)
    record = make_record(KEY, found, grades, shortfall="short")
    assert key_of(record) == KEY
    assert record.answers == (GradedAnswer("3", False), GradedAnswer("1/2", True))
    assert [sample.answer for sample in record.samples] == [0, 1, 1, None, None]
    assert record.choices == {"prm": "3", "weighted": "1/2", "majority": "1/2"}
    assert record.correct == {"prm": False, "weighted": True, "majority": True}
    assert record.samples[2].path == (2, 1)
    assert record.samples[2].scores == (0.8,)
    assert (record.num_timeouts, record.shortfall) == (1, "short")


def test_a_search_without_any_answer_is_wrong():
    record = make_record(KEY, [candidate("", 0.9)], Grades(("",), (False,), 0))
    assert record.answers == ()
    assert set(record.correct.values()) == {False}


def test_texts_are_put_together_from_the_tree():
    nodes = [((0,), "a\n\n"), ((0, 1), "b"), ((2,), "c")]
    tree = tuple(TreeNode(path, text, 0.5, "stop", 1, True) for path, text in nodes)
    trace = Trace(**KEY._asdict(), tree=tree)
    assert texts(trace) == {(): "", (0,): "a\n\n", (0, 1): "a\n\nb", (2,): "c"}
