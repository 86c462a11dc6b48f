"""The loop: what each source of truth keeps, no test problem, rounds that are resumed."""

import json
import shutil

import pytest

from ttc_servers.demomath import fixed_test_set
from ttc_servers.train import improve as loop
from ttc_servers.train.__main__ import MODELS, main
from ttc_servers.train.improve import Sampled, canonical, chosen, fresh_problems, read
from ttc_servers.train.llama import load_model
from ttc_servers.train.quick import sample_folder
from ttc_servers.train.sampler import sample
from ttc_servers.train.tokenizer import load_tokenizer

SAMPLES = [
    Sampled("a", "1", False),
    Sampled("b", "1", False),
    Sampled("c", "2", True),
    Sampled("d", None, False),
]


@pytest.mark.parametrize(
    ("truth", "rewards", "kept"),
    [
        ("gold", [0.9, 0.9, 0.1, 0.9], [2]),
        ("majority", [0.1, 0.1, 0.9, 0.9], [0, 1]),
        ("prm", [0.1, 0.2, 0.9, 0.9], [2]),
        ("prm", [0.5, 0.6, 0.9, 0.9], [1, 0]),
    ],
    ids=["gold", "majority", "prm against it", "prm with it"],
)
def test_each_source_of_truth_keeps_what_it_holds_to_be_right(truth, rewards, kept):
    assert chosen(SAMPLES, rewards, truth) == kept


def test_without_an_answer_nothing_is_kept():
    assert chosen(SAMPLES[3:], [0.9], "majority") == []
    assert chosen(SAMPLES[:1], [0.9], "gold") == []


def test_a_key_owes_nothing_to_the_right_answer():
    problem = fixed_test_set()[0]
    right = read(problem, rf"Therefore, the final answer is: $\boxed{{{problem.forms[0]}}}$.")
    wrong = read(problem, r"Therefore, the final answer is: $\boxed{12345}$.")
    assert (right.is_right, wrong.is_right, wrong.key) == (True, False, "12345")
    assert read(problem, "") == Sampled("", None, False)


def test_no_training_problem_is_one_of_the_test_set(monkeypatch):
    problems = fresh_problems(200, 3)
    tested = {canonical(problem.problem) for problem in fixed_test_set()}
    assert len({canonical(p.problem) for p in problems}) == len(problems)
    assert not tested & {canonical(problem.problem) for problem in problems}
    monkeypatch.setattr(loop, "fixed_test_set", lambda: problems[:1])
    with pytest.raises(ValueError, match="1 training problems are in the test set"):
        fresh_problems(200, 3)


def test_a_round_trains_on_what_was_found_and_is_not_done_twice(tmp_path, capsys, monkeypatch):
    tested = fixed_test_set()[::100]
    monkeypatch.setattr(loop, "fixed_test_set", lambda: tested)
    options = "--rounds 1 --problems 6 -n 4 --steps 2 --batch-size 4 --measure-n 2"
    options += " --measure-problems 2"
    main(["improve", str(tmp_path), *options.split()])
    lines = [*map(json.loads, capsys.readouterr().out.splitlines())]
    assert [(line["truth"], line["round"]) for line in lines] == [
        (None, 0), ("gold", 1), ("prm", 1), ("majority", 1),
    ]  # fmt: skip
    assert lines[0]["kept"] == 0 < min(line["kept"] for line in lines[1:])
    packaged = (MODELS / "policy" / "model.safetensors").read_bytes()
    for line in lines[1:]:
        place = tmp_path / line["truth"] / "round-1"
        assert (place / "model.safetensors").read_bytes() != packaged
        outcomes = json.loads((place / "outcomes.json").read_text())
        assert {name: len(each) for name, each in outcomes.items()} == {
            "greedy": len(tested), "pass@2": 2, "maj@2": 2,
        }  # fmt: skip
        assert all(line[name] == sum(each) / len(each) for name, each in outcomes.items())
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    main(["improve", str(tmp_path), *options.split()])
    assert [*map(json.loads, capsys.readouterr().out.splitlines())] == lines
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}


def test_every_source_of_truth_chooses_among_the_same_samples(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "fixed_test_set", lambda: fixed_test_set()[:2])
    kept = []
    monkeypatch.setattr(loop, "_train", lambda place, start, tokenizer, rows, *rest: save(place))
    monkeypatch.setattr(loop, "chosen", lambda samples, *rest: kept.append(samples) or [])

    def save(place):
        shutil.copytree(MODELS / "policy", place)

    options = "--rounds 1 --problems 2 -n 2 --measure-n 0 --truth gold majority"
    main(["improve", str(tmp_path), *options.split()])
    assert kept[:2] == kept[2:]


def test_solutions_of_a_folder_are_those_of_the_model_and_depend_on_their_number_alone():
    folder, problems = MODELS / "policy", fixed_test_set()[::125]
    greedy = sample_folder(folder, problems, 1, 0.0, 0)
    model, tokenizer = load_model(folder), load_tokenizer(folder)
    assert {(i, own[0]) for i, own in enumerate(greedy)} == set(
        sample(model, tokenizer, problems, 1, 0.0, 0)
    )
    three, one = (sample_folder(folder, problems[:2], n, 0.8, 5) for n in (3, 1))
    assert [own[:1] for own in three] == one
    assert sample_folder(folder, problems[:2], 1, 0.8, 6) != one
    assert len({text for own in three for text in own}) > 2
