"""Close the loop: sample solutions of fresh problems, keep what is right, and train on it again.

What counts as right has three sources: the gold answers, the PRM's weighted vote, and the majority,
neither of which sees a gold answer. Rejection sampling with fine-tuning, as in STaR (Zelikman et
al. 2022, arXiv 2203.14465) and RFT (Yuan et al. 2023, arXiv 2308.01825).
"""

import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from tokenizers import Tokenizer

from ttc_servers.demomath import Problem, boxed, check_steps, fixed_test_set
from ttc_servers.train.data import Batch, Row, numbered_problem, policy_prompt, prm_row, split_steps
from ttc_servers.train.evaluate import answer_key
from ttc_servers.train.llama import Llama, load_model
from ttc_servers.train.loop import Schedule, train
from ttc_servers.train.policy import policy_loss, save_folder
from ttc_servers.train.prm import score_rows
from ttc_servers.train.quick import sample_folder
from ttc_servers.train.tokenizer import EOT, encode, load_tokenizer

Truth = Literal["gold", "prm", "majority"]
TRUTHS: tuple[Truth, ...] = ("gold", "prm", "majority")


@dataclass(frozen=True, slots=True)
class Round:
    """What a round does: `n` samples of each of `problems`, of which `keep` are trained on.

    `measure_n` samples of `measure_problems` of the test set, evenly spaced, give pass and
    majority; 0 leaves these out.
    """

    problems: int = 1000
    n: int = 16
    keep: int = 4
    temperature: float = 0.8
    measure_n: int = 0
    measure_problems: int = 500


class Sampled(NamedTuple):
    """A solution, the key of its answer, None without one, and whether the answer is right."""

    text: str
    key: str | None
    is_right: bool


def improve(
    folder: Path,
    policy: Path,
    prm: Path,
    truths: Sequence[Truth],
    rounds: int,
    each: Round,
    schedule: Schedule,
    batch_size: int,
) -> None:
    """Improve a policy round by round, by each source of truth; prints a JSON line a round.

    Round 0 measures the policy as it is. It and its samples serve every source, so that these
    differ in nothing but what they keep. What is on disk is not done again. Raises ValueError if a
    training problem is one of the test set's.
    """
    tokenizer = load_tokenizer(policy)
    start = folder / "round-0"
    _measure(policy, start, each, schedule.seed, {"truth": None, "round": 0, "kept": 0})
    for truth in truths:
        model, before = policy, start
        for number in range(1, rounds + 1):
            place = folder / truth / f"round-{number}"
            seeds = replace(schedule, seed=schedule.seed + number)
            if not (place / "model.safetensors").exists():
                samples = _sample_round(model, before, each, seeds.seed)
                rows = _rows(samples, tokenizer, prm, truth, each.keep)
                _train(place, model, tokenizer, rows, seeds, batch_size)
                _write(place / "kept.json", len(rows))
            kept = json.loads((place / "kept.json").read_text())
            line = {"truth": truth, "round": number, "kept": kept}
            _measure(place, place, each, schedule.seed, line)
            model = before = place


def fresh_problems(count: int, seed: int) -> list[Problem]:
    """Draw training problems, each once; raises ValueError if one is in the test set."""
    drawn = (numbered_problem("train", seed, index) for index in range(count))
    problems = list({canonical(problem.problem): problem for problem in drawn}.values())
    tested = {canonical(problem.problem) for problem in fixed_test_set()}
    if shared := tested & {canonical(problem.problem) for problem in problems}:
        raise ValueError(f"{len(shared)} training problems are in the test set")
    return problems


def canonical(text: str) -> str:
    """Return a problem's text without what does not change the problem: spaces and case."""
    return "".join(text.lower().split())


def chosen(samples: Sequence[Sampled], rewards: Sequence[float], truth: Truth) -> list[int]:
    """Return the samples of a problem whose answer is held to be right, the best reward first.

    Without a gold answer it is the one with the largest sum of rewards, or the most frequent.
    """
    if truth == "gold":
        right = [index for index, sampled in enumerate(samples) if sampled.is_right]
    else:
        support = Counter[str]()
        for sampled, reward in zip(samples, rewards, strict=True):
            if sampled.key is not None:
                support[sampled.key] += reward if truth == "prm" else 1
        winner = support.most_common(1)[0][0] if support else ""
        right = [index for index, sampled in enumerate(samples) if sampled.key == winner]
    return sorted(right, key=lambda index: -rewards[index]) if truth == "prm" else right


def read(problem: Problem, solution: str) -> Sampled:
    """Return a solution with the key of its answer, which owes nothing to the right one."""
    steps = split_steps(solution) or [""]
    return Sampled(solution, answer_key(boxed(steps[-1])), check_steps(problem, steps[-1:])[0])


_Found = list[tuple[Problem, list[Sampled]]]
"""Problems with their samples."""


def _sample_round(start: Path, place: Path, each: Round, seed: int) -> _Found:
    """Sample fresh problems from the policy in `start`; the texts stay in `place`."""
    problems, path = fresh_problems(each.problems, seed), place / "samples.json"
    if not path.exists():
        _write(path, sample_folder(start, problems, each.n, each.temperature, seed))
    return _read_all(problems, json.loads(path.read_text()))


def _read_all(problems: Sequence[Problem], texts: Sequence[Sequence[str]]) -> _Found:
    return [(p, [read(p, text) for text in own]) for p, own in zip(problems, texts, strict=True)]


def _rows(found: _Found, tokenizer: Tokenizer, prm: Path, truth: Truth, keep: int) -> list[Row]:
    """Return what is trained on: of each problem, up to `keep` different chosen solutions."""
    verifier = load_model(prm) if truth == "prm" else None
    rows: list[Row] = []
    for problem, samples in found:
        rewards = _rewards(verifier, tokenizer, problem, samples)
        texts = dict.fromkeys(samples[i].text for i in chosen(samples, rewards, truth))
        rows += [_row(tokenizer, problem, text) for text in [*texts][:keep]]
    return rows


def _train(
    place: Path,
    start: Path,
    tokenizer: Tokenizer,
    rows: Sequence[Row],
    schedule: Schedule,
    batch_size: int,
) -> None:
    """Train the policy in `start` on rows, into the folder `place`."""
    torch.manual_seed(schedule.seed)
    model, prefix = load_model(start), encode(tokenizer, policy_prompt()[0])

    def make_batch(rng: random.Random, step: int) -> Batch:
        return Batch(prefix, rng.choices(rows, k=batch_size))

    loss = policy_loss(model, schedule.micro_batches)
    train(model, make_batch, loss, schedule, place / "checkpoint.pt", resume=True)
    save_folder(model, tokenizer, place)


def _rewards(
    verifier: Llama | None, tokenizer: Tokenizer, problem: Problem, samples: Sequence[Sampled]
) -> list[float]:
    """Return the last step's score of each sample; 0 without a verifier."""
    if verifier is None:
        return [0.0] * len(samples)
    rows = [prm_row(tokenizer, problem, split_steps(s.text) or [""]) for s in samples]
    return [scores[-1] for scores in score_rows(verifier, tokenizer, rows)]


def _row(tokenizer: Tokenizer, problem: Problem, solution: str) -> Row:
    """Return a solution in the policy's prompt; only the solution is learned."""
    row = Row.empty()
    row.append(encode(tokenizer, problem.problem + policy_prompt()[1]))
    row.append(encode(tokenizer, solution + EOT), lm_weight=1.0)
    return row


def _measure(folder: Path, place: Path, each: Round, seed: int, line: dict[str, Any]) -> None:
    """Print `line` with shares of the fixed test set: greedy, and pass and majority.

    What each problem came to stays in `outcomes.json`, for paired intervals.
    """
    path = place / "figures.json"
    if not path.exists():
        problems = fixed_test_set()
        found = _read_all(problems, sample_folder(folder, problems, 1, 0.0, seed))
        outcomes = {"greedy": [samples[0].is_right for _, samples in found]}
        if n := each.measure_n:
            count = min(each.measure_problems, len(problems))
            some = [problems[i * len(problems) // count] for i in range(count)]
            found = _read_all(some, sample_folder(folder, some, n, each.temperature, seed))
            outcomes[f"pass@{n}"] = [any(one.is_right for one in own) for _, own in found]
            outcomes[f"maj@{n}"] = [_majority_is_right(own) for _, own in found]
        _write(place / "outcomes.json", outcomes)
        shares = {name: sum(right) / len(right) for name, right in outcomes.items()}
        _write(path, line | shares)
    sys.stdout.write(path.read_text())
    sys.stdout.flush()


def _write(path: Path, value: object) -> None:
    """Write JSON that is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value) + "\n")
    partial.replace(path)


def _majority_is_right(samples: Sequence[Sampled]) -> bool:
    return any(samples[i].is_right for i in chosen(samples, [0.0] * len(samples), "majority"))
