"""Training data: which solutions, which pairs, which problems; TRL's layouts."""

import json
from collections import Counter
from dataclasses import replace

import pytest

from tests.bench.test_export import everything, finished
from ttc_client.bench.contamination import TestSet
from ttc_client.bench.export import Choice, export
from ttc_client.bench.labelling import LABELS, Labelled
from ttc_client.bench.picking import Pick
from ttc_client.bench.preferences import preferences
from ttc_client.bench.stepwise import export_labels
from ttc_client.errors import ConfigError
from ttc_client.types import Candidate

__all__ = ["finished"]


def candidate(text: str, reward: float | None = 0.5, tokens: int = 1) -> Candidate:
    return Candidate(text, (), reward, "1", "eos", tokens, (), group=0)


def test_the_best_the_shortest_or_the_most_different_are_picked():
    right = [candidate("aaaa bbbb", 0.9, 9), candidate("aaaa bbbc", 0.8, 2), candidate("xyz", 0.7)]
    assert Pick.read("all").of(right) == right
    assert Pick.read("best").of(right) == right[:1]
    assert Pick.read("shortest").of(right) == right[2:]
    assert Pick.read("diverse:2").of(right) == [right[0], right[2]]
    assert Pick.read("diverse:9").of(right) == [right[0], right[2], right[1]]
    assert Pick.read("diverse:2").of([]) == []


@pytest.mark.parametrize("text", ["", "worst", "diverse", "diverse:0", "diverse:x", "best:2"])
def test_another_pick_is_refused(text):
    with pytest.raises(ConfigError, match="pick is"):
        Pick.read(text)


def pairs(right, wrong, *, at_step=False):
    left_out: Counter[str] = Counter()
    found = list(preferences(right, wrong, at_step=at_step, left_out=left_out))
    return found, dict(left_out)


def test_a_pair_has_rewards_apart_and_texts_that_differ_when_normalised():
    found, left_out = pairs(
        [candidate("good", 0.9), candidate("also good", 0.2), candidate("same  text", 0.1)],
        [candidate("bad", 0.1), candidate("worse than it looks", 0.3), candidate("same text", 0)],
    )
    assert [(p.chosen, p.rejected) for p in found] == [("good", "same text"), ("also good", "bad")]
    assert left_out == {"pairs whose right solution has no higher reward": 1}
    _, left_out = pairs([candidate("same  text", 0.9)], [candidate("same text", 0.1)])
    assert left_out == {"pairs that read the same": 1}
    unscored, _ = pairs([candidate("a", None)], [candidate("b", None)])
    assert [p.rewards for p in unscored] == [(None, None)]


def test_at_the_step_where_they_part_a_pair_is_these_two_steps():
    right = [candidate("one\n\ntwo\n\nthree", 0.9)]
    wrong = [candidate("one\n\n2 \n\nfour", 0.1)]
    (pair,), _ = pairs(right, wrong, at_step=True)
    assert (pair.shared, pair.chosen, pair.rejected) == ("one\n\n", "two\n\n", "2 \n\n")
    (last,), _ = pairs(right, [candidate("one\n\ntwo\n\nten", 0.1)], at_step=True)
    assert (last.shared, last.chosen, last.rejected) == ("one\n\ntwo\n\n", "three", "ten")
    found, left_out = pairs(right, [candidate("one\n\ntwo", 0.1)], at_step=True)
    assert (found, left_out) == ([], {"pairs that read the same": 1})


def test_runs_become_chats_and_pairs_of_what_was_asked_for(finished):
    best = list(export(finished, "sft", everything, Choice(Pick.read("best"))))
    assert [row["messages"][2]["content"] for row in best] == ["step 2\n\nend"]
    few = Choice(min_reward=0.55)
    assert [row["reward"] for row in export(finished, "sft", everything, few)] == [0.6]
    assert few.left_out == {"solutions below the least reward": 1}
    rows = list(export(finished, "dpo", everything))
    assert rows == []  # the wrong one has the higher reward
    unscored = replace(finished, records={})
    with pytest.raises(ConfigError):
        list(export(unscored, "dpo", everything))


def test_problems_of_a_test_set_are_left_out_and_counted(finished):
    choice = Choice(test_set=TestSet(["Problem a"]))
    assert list(export(finished, "sft", everything, choice)) == []
    assert choice.left_out == {"problems that overlap the test set": 1}


LONG = "Let x be the number of apples that Ann has and y those of Bob ."


@pytest.mark.parametrize(
    ("problem", "overlaps"),
    [
        (LONG, True),
        ("First of all: " + LONG.lower().replace(" ", "  ") + " Find $x$.", True),
        ("Let x be the number of apples that Tom has and y those of Bob .", False),
        ("Compute $1 + 2$.", True),
        ("Compute $1 + 3$.", False),
        ("Compute $1 + 2$. Then double it.", False),
        ("", False),
    ],
    ids=range(7),
)
def test_overlap_is_told_by_13_grams_and_by_the_whole_of_shorter_texts(problem, overlaps):
    assert TestSet([LONG, "Compute $1 + 2$."]).overlaps(problem) == overlaps


def test_a_test_set_without_problems_is_refused(tmp_path):
    path = tmp_path / "set.jsonl"
    path.write_text('{"text": "p"}\n')
    with pytest.raises(ConfigError, match="no problem in it"):
        TestSet.read(str(path))


def write_labels(path, *lines: Labelled) -> None:
    import msgspec

    (path / LABELS).write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def labels(name: str, steps=("a", "b"), values=(0.4, 0.0), **more) -> Labelled:
    hard = tuple(bool(value) for value in values)
    return Labelled(
        id=name, problem="p", question="q", steps=steps, values=values, labels=hard, **more
    )


def rows_of(path, threshold=0.0):
    left_out: Counter[str] = Counter()
    return list(export_labels(path, threshold, lambda problem: True, left_out)), left_out


def test_stepwise_rows_have_boolean_labels_and_the_values_beside_them(tmp_path):
    write_labels(tmp_path, labels("b"), labels("a", values=(0.9, 1.0)))
    rows, _ = rows_of(tmp_path)
    assert [row["unique_id"] for row in rows] == ["a", "b"]
    assert json.loads(json.dumps(rows[1])) == {
        "unique_id": "b",
        "prompt": "q",
        "completions": ["a", "b"],
        "labels": [True, False],
        "values": [0.4, 0.0],
    }
    assert [row["labels"] for row in rows_of(tmp_path, 0.9)[0]] == [(False, True), (False, False)]


def test_what_cannot_be_trained_on_is_counted(tmp_path):
    write_labels(tmp_path, labels("a", steps=("a\n\nb", "c")), labels("b", error="x"), labels("c"))
    rows, left_out = rows_of(tmp_path)
    assert [row["unique_id"] for row in rows] == ["c"]
    assert left_out.total() == 2


def test_a_threshold_needs_values(tmp_path):
    write_labels(tmp_path, labels("a", values=(None, 0.0)))
    assert rows_of(tmp_path)[0][0]["labels"] == (False, False)
    with pytest.raises(ConfigError, match="found by bisection"):
        rows_of(tmp_path, 0.5)
    with pytest.raises(ConfigError, match=r"threshold is 1\.5"):
        rows_of(tmp_path, 1.5)
