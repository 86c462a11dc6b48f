"""Training of the demo models, on a tiny Llama: labels, losses, resuming, sampling, files."""

import json
import random
from dataclasses import replace

import pytest
import torch

from ttc_servers.demomath import careless_steps, check_steps, first_error, generate
from ttc_servers.train.data import (
    Batch,
    conversation_batch,
    policy_batch,
    policy_prompt,
    prm_prefix,
    prm_row,
    stepwise_row,
)
from ttc_servers.train.evaluate import answer_key
from ttc_servers.train.llama import Llama, LlamaShape, load_model
from ttc_servers.train.loop import Schedule, tensors, train
from ttc_servers.train.optimizers import orthogonalized
from ttc_servers.train.policy import make_tokenizer, policy_loss, save_folder
from ttc_servers.train.prm import (
    Verifier,
    auc,
    drawn_evenly,
    is_right_row,
    ranking,
    read_labels,
    score_rows,
    with_both_kinds,
)
from ttc_servers.train.sampler import sample
from ttc_servers.train.tokenizer import EOT, SPECIALS, encode, load_tokenizer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer(0, size=200)


@pytest.fixture
def policy(tokenizer):
    torch.manual_seed(0)
    shape = LlamaShape(
        tokenizer.get_vocab_size(),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=1024,
    )
    model = Llama(shape)
    for weight in model.parameters():
        if weight.ndim == 2:
            torch.nn.init.normal_(weight, std=0.2)
    return model


def test_the_tokenizer_keeps_specials_digits_and_signs_and_merges_newlines(tokenizer):
    text = "<|eot_id|>## Step 12: Add\n$3 + 4 = -17$.\n\n"
    assert tokenizer.decode(encode(tokenizer, text), skip_special_tokens=False) == text
    tokens = tokenizer.encode(text, add_special_tokens=False).tokens
    assert {"1", "2", "3", "4", "7", "-"} <= set(tokens)
    assert tokens[-1] == "$.ĊĊ"
    assert all(len(encode(tokenizer, special)) == 1 for special in SPECIALS)
    assert all(len(encode(tokenizer, sign)) == 1 for sign in "+-")
    assert tokenizer.encode("x").ids[1:] == encode(tokenizer, "x")
    assert tokenizer.get_vocab_size() <= 1024


def test_every_token_from_the_first_wrong_character_on_is_labelled_bad(tokenizer):
    rng, spoiled = random.Random(0), 0
    for problem in generate("train", 60):
        steps = careless_steps(problem, rng, 1.0, 0.05)
        row, error = prm_row(tokenizer, problem, steps), first_error(problem, steps)
        labels = [x for x, weight in zip(row.labels, row.label_weights, strict=True) if weight]
        assert labels == sorted(labels, reverse=True)
        assert (0.0 in labels) == (error is not None)
        spoiled += error is not None
        good = [bool(row.labels[position]) for position in row.markers]
        assert good == check_steps(problem, steps)
    assert 10 < spoiled < 50


def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    tokenizer, policy, tmp_path
):
    start = {name: weight.clone() for name, weight in policy.state_dict().items()}
    schedule = Schedule(steps=6, warmup=2, micro_batches=2, save_every=3)

    def batch(rng, step):
        return policy_batch(tokenizer, rng, 4, 1.0, 0.01)

    def stop(done):
        if done == 3:
            raise KeyboardInterrupt

    def run(path, resume=False, on_save=lambda done: None):
        model = Llama(policy.shape)
        model.load_state_dict(start)
        train(model, batch, policy_loss(model, 2), schedule, path, resume, on_save)
        return model.state_dict()

    whole = run(tmp_path / "whole.pt")
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "part.pt", on_save=stop)
    resumed = run(tmp_path / "part.pt", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not torch.equal(whole["model.norm.weight"], start["model.norm.weight"])


def test_the_policy_learns(tokenizer, policy, tmp_path):
    schedule = Schedule(steps=40, warmup=5, micro_batches=1, report_every=40)
    batch = policy_batch(tokenizer, random.Random(0), 8, 0.0, 0.0)
    loss = policy_loss(policy, 1)
    prefix, rows = torch.tensor([batch.prefix]), tensors(batch.rows, CPU)
    before = loss(prefix, rows)[1]["loss"]
    train(policy, lambda rng, step: batch, loss, schedule, tmp_path / "checkpoint.pt", False)
    assert loss(prefix, rows)[1]["loss"] < before / 2


def test_the_verifier_learns_its_labels(tokenizer, policy, tmp_path):
    rng = random.Random(0)
    rows = [
        prm_row(tokenizer, problem, careless_steps(problem, rng, 1.0, 0.2))
        for problem in generate("train", 12)
    ]
    verifier, batch = Verifier(policy, tokenizer), Batch(prm_prefix(tokenizer), rows)
    prefix, columns = torch.tensor([batch.prefix]), tensors(rows, CPU)
    before = verifier.loss(1, prefix, columns)[1]
    train(
        verifier, lambda rng, step: batch, lambda *given: verifier.loss(1, *given),
        Schedule(steps=200, warmup=5, micro_batches=1), tmp_path / "checkpoint.pt", resume=False,
    )  # fmt: skip
    after = verifier.loss(1, prefix, columns)[1]
    assert after["verdict"] < before["verdict"] / 2
    assert after["surprise"] < before["surprise"] / 2
    scores = score_rows(verifier.llama, tokenizer, rows)
    assert [len(row) for row in scores] == [len(row.markers) for row in rows]
    assert all(0 <= score <= 1 for row in scores for score in row)


def test_a_greedy_sample_is_what_one_forward_pass_after_another_gives(tokenizer, policy):
    problems = list(generate("validation", 5))
    drawn = dict(sample(policy, tokenizer, problems, 1, 0.0, 0, max_tokens=12))
    before, after = policy_prompt()
    for index, problem in enumerate(problems):
        ids = encode(tokenizer, before + problem.problem + after)
        written: list[int] = []
        with torch.no_grad():
            for _ in range(12):
                state = policy(torch.tensor([ids + written]))[0][-1]
                token = int(policy.logits(state)[0, -1].argmax())
                if token == tokenizer.token_to_id(EOT):
                    break
                written.append(token)
        assert drawn[index] == tokenizer.decode(written, skip_special_tokens=True)


def test_a_saved_folder_reads_back_in_half_precision(tokenizer, policy, tmp_path):
    save_folder(policy, tokenizer, tmp_path)
    again = load_model(tmp_path)
    assert again.shape == policy.shape
    for name, weight in policy.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight.half().float())
    assert load_tokenizer(tmp_path).get_vocab() == tokenizer.get_vocab()


def test_auc_is_the_chance_that_a_good_step_outranks_a_bad_one():
    assert auc([0.9, 0.8, 0.1], [1, 1, 0]) == 1.0
    assert auc([0.9, 0.2, 0.5, 0.1], [1, 1, 0, 0]) == 0.75
    assert auc([0.1, 0.9], [1, 0]) == 0.0


def test_ranking_compares_the_samples_of_one_problem(tokenizer, policy, monkeypatch):
    problem = next(problem for problem in generate("train", 50, levels=[1]))
    right = prm_row(tokenizer, problem, problem.steps())
    wrong = prm_row(tokenizer, problem, ["nothing"])
    scores = [[0.1], [0.9], [0.2], [0.3], [0.5], [0.6]]
    monkeypatch.setattr("ttc_servers.train.prm.score_rows", lambda *arguments: scores)
    right, wrong = (replace(row, markers=row.markers[-1:]) for row in (right, wrong))
    figures = ranking(policy, tokenizer, [[wrong, right], [right, wrong, wrong], [right]])
    assert figures == {"AUC": 7 / 9, "within": 0.5, "best": 0.5, "chance": pytest.approx(5 / 12)}


def test_right_and_wrong_samples_of_a_problem_are_drawn_equally_often(tokenizer):
    problem = next(generate("train", 1))
    right = prm_row(tokenizer, problem, problem.steps())
    wrong = prm_row(tokenizer, problem, ["nothing"])
    (mixed,) = with_both_kinds([[right] * 3, [wrong] * 9 + [right], [wrong]])
    rng = random.Random(0)
    assert 400 < sum(drawn_evenly(rng, [mixed]) is right for _ in range(1000)) < 600


def test_what_a_verifier_took_from_the_policy_stays_as_it_was(tokenizer, policy, tmp_path):
    verifier = Verifier(policy, tokenizer)
    start = {name: weight.clone() for name, weight in verifier.llama.state_dict().items()}
    schedule = Schedule(steps=3, warmup=1, micro_batches=1)
    train(
        verifier, lambda rng, step: conversation_batch(tokenizer, rng, 4),
        lambda prefix, rows: verifier.loss(1, prefix, rows), schedule,
        tmp_path / "checkpoint.pt", resume=False,
    )  # fmt: skip
    kept = {name for name, weight in verifier.llama.state_dict().items()
            if torch.equal(weight, start[name])}  # fmt: skip
    looking = ("input_layernorm", "self_attn.q_proj", "self_attn.k_proj")
    looks_back = {f"model.layers.2.{name}.weight" for name in looking}
    assert kept == {*policy.state_dict()} - {"model.norm.weight"} | looks_back


def test_a_verifier_is_taught_to_look_at_the_token_before(tokenizer, policy):
    rng, verifier = random.Random(0), Verifier(policy, tokenizer)
    before = verifier.look_back([conversation_batch(tokenizer, rng, 4)])
    after = verifier.look_back([conversation_batch(tokenizer, rng, 4) for _ in range(90)])
    assert before < 0.2 < 0.5 < after
    queries, keys = (
        getattr(verifier.llama.model.layers[2].self_attn, name).weight.view(-1, 8, 32)
        for name in ("q_proj", "k_proj")
    )
    assert queries.equal(queries[:1].expand(4, -1, -1))
    assert keys.equal(keys[:1].expand(2, -1, -1))


def test_orthogonalized_brings_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalized(torch.randn(24, 8)))
    assert 0.5 < values.min() <= values.max() < 1.5


def test_answer_keys_join_equivalent_forms():
    assert answer_key(r"\frac{1}{2}") == answer_key("0.5") == answer_key("1/2")
    assert answer_key("3+2x") == answer_key("2x+3") != answer_key("2x-3")
    assert answer_key(r"-\frac{1}{2}") != answer_key(r"\frac{1}{2}")


def test_steps_labelled_as_wholes_make_the_same_conversation_with_the_same_verdicts(tokenizer):
    rng = random.Random(1)
    for problem in generate("train", 20):
        steps = careless_steps(problem, rng, 1.0, 0.2)
        labels = check_steps(problem, steps)
        ours = stepwise_row(tokenizer, problem.problem, [s.strip() for s in steps], labels)
        theirs = prm_row(tokenizer, problem, steps)
        assert (ours.ids, ours.markers) == (theirs.ids, theirs.markers)
        verdicts = [[row.labels[m] for m in row.markers] for row in (ours, theirs)]
        assert verdicts[0] == verdicts[1] == list(map(float, labels))
        if False in labels:  # where in the first bad step the error stands is not known
            bad = labels.index(False)
            start = ours.markers[bad - 1] + 1 if bad else 0
            assert not any(ours.label_weights[start : ours.markers[bad]])
            assert any(theirs.label_weights[start : theirs.markers[bad]])


def test_labels_of_an_export_are_read_by_problem(tokenizer, tmp_path):
    rows = [
        {"prompt": "p", "completions": ["a", "b"], "labels": [True, True]},
        {"prompt": "q", "completions": ["c"], "labels": [False]},
        {"prompt": "p", "completions": ["a", "x"], "labels": [True, False]},
    ]
    path = tmp_path / "steps.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    groups = read_labels(tokenizer, path)
    assert [len(group) for group in groups] == [2, 1]
    assert [is_right_row(row) for group in groups for row in group] == [True, False, False]
    assert len(with_both_kinds(groups)) == 1
