"""Turn DemoMath solutions into training rows: token ids with what is to be learned at each.

The texts are exactly those that the search sends to a policy and to an RLHFlow PRM.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer

from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    question,
    render_llama3,
    rlhflow_question,
)
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.tasks.prompts import META_MATH_SYSTEM_PROMPT
from ttc_servers.demomath import LEVELS, Problem, careless_steps, draw, draw_worded, first_error
from ttc_servers.train.tokenizer import BOS, EOT, encode

_SLOT = "\0"
_SHORT_SYSTEM_PROMPT = "Solve the problem step by step."
_OTHER_PROMPT_SHARE = 0.06
_RIGHT_SHARE = 0.4
_WORDED_SHARE = 0.25
"""Of the problems, how many are in a newcomer's words."""


@dataclass(frozen=True, slots=True)
class Row:
    """Token ids; the weight of predicting each; label and label weight at each; step markers."""

    ids: list[int]
    lm_weights: list[float]
    labels: list[float]
    label_weights: list[float]
    markers: list[int] = field(default_factory=list)

    @classmethod
    def empty(cls) -> "Row":
        """Return a row to append to."""
        return cls([], [], [], [])

    def append(self, ids: Sequence[int], lm_weight: float = 0.0) -> None:
        """Append tokens without labels."""
        self.ids.extend(ids)
        self.lm_weights.extend([lm_weight] * len(ids))
        self.labels.extend([0.0] * len(ids))
        self.label_weights.extend([0.0] * len(ids))

    def append_labelled(self, tokenizer: Tokenizer, text: str, span: range, error: int) -> None:
        """Append a text; its tokens in span are labelled, bad from the character `error` on."""
        encoding = tokenizer.encode(text, add_special_tokens=False)
        for token, (_, high) in zip(encoding.ids, encoding.offsets, strict=True):
            inside = high - 1 in span
            good = float(min(high, span.stop) <= error)
            self.ids.append(token)
            self.lm_weights.append(good if inside else 0.0)
            self.labels.append(good)
            self.label_weights.append(float(inside))


@dataclass(frozen=True, slots=True)
class Batch:
    """The ids that every row begins with, and the rows."""

    prefix: list[int]
    rows: list[Row]


def policy_prompt(system_prompt: str | None = META_MATH_SYSTEM_PROMPT) -> tuple[str, str]:
    """Return what stands before and after the problem; None leaves out the system turn."""
    before, after = render_llama3(question(_SLOT, system_prompt or "")).split(_SLOT)
    if system_prompt is None:
        before = before[before.index(EOT) + len(EOT) :]
    return BOS + before, after


def draw_problem(rng: random.Random, split: str) -> Problem:
    """Draw a problem of any level, or what a newcomer might ask."""
    if rng.random() < _WORDED_SHARE:
        return draw_worded(rng, split)
    return draw(rng, split, rng.choice(LEVELS))


def numbered_problem(split: str, seed: int, index: int) -> Problem:
    """Return a problem that its split, seed and index name."""
    rng = random.Random(f"{split}/{seed}/{index}")
    return draw(rng, split, rng.choice(LEVELS))


def split_steps(solution: str) -> list[str]:
    """Return a solution's steps, each but the last with its delimiter."""
    return [step for step in re.split(rf"(?<={STEP_DELIMITER})", solution) if step]


def policy_batch(
    tokenizer: Tokenizer, rng: random.Random, size: int, scale: float, noise: float
) -> Batch:
    """Draw careless solutions in the policy's prompt; only the solution is learned."""
    system_prompt = META_MATH_SYSTEM_PROMPT
    if rng.random() < _OTHER_PROMPT_SHARE:
        system_prompt = rng.choice((None, "", _SHORT_SYSTEM_PROMPT))
    before, after = policy_prompt(system_prompt)
    rows = []
    for _ in range(size):
        problem = draw_problem(rng, "train")
        row = Row.empty()
        row.append(encode(tokenizer, problem.problem + after))
        text = "".join(careless_steps(problem, rng, scale, noise))
        row.append(encode(tokenizer, text + EOT), lm_weight=1.0)
        rows.append(row)
    return Batch(encode(tokenizer, before), rows)


def prm_prefix(tokenizer: Tokenizer) -> list[int]:
    """Return the ids with which every PRM conversation begins."""
    return encode(tokenizer, BOS + RLHFLOW_SYSTEM)


def prm_row(
    tokenizer: Tokenizer, problem: Problem, steps: Sequence[str], marker_weight: float = 1.0
) -> Row:
    """Return a PRM conversation with a label at every token of its steps and at its markers.

    A token's label is 1 while no wrong character has been written; the marker is the last
    token of each question, where the score is read. Right tokens are also learned.
    """
    error = _error_position(problem, steps)
    approval = encode(tokenizer, RLHFLOW_APPROVAL)
    row, start = Row.empty(), 0
    for index, step in enumerate(steps):
        text = step.removesuffix(STEP_DELIMITER)
        question = rlhflow_question(problem.problem, index, text)
        begin = question.index(text, len(problem.problem) if index == 0 else 0)
        span = range(begin, begin + len(text))
        row.append_labelled(tokenizer, question, span, begin + error - start)
        row.label_weights[-1] = marker_weight
        row.markers.append(len(row.ids) - 1)
        row.append(approval)
        start += len(step)
    return row


def stepwise_row(
    tokenizer: Tokenizer,
    problem: str,
    steps: Sequence[str],
    labels: Sequence[bool],
    marker_weight: float = 1.0,
) -> Row:
    """Return the same of steps that are labelled as wholes, as rollouts label them.

    All is right before the first bad step, and bad after it; where in that step the error stands
    is not known, so that only its marker has a label.
    """
    bad = list(labels).index(False) if False in labels else len(steps)
    approval = encode(tokenizer, RLHFLOW_APPROVAL)
    row = Row.empty()
    for index, step in enumerate(steps):
        question = rlhflow_question(problem, index, step)
        begin = question.index(step, len(problem) if index == 0 else 0)
        span = range(begin, begin + len(step)) if index != bad else range(0)
        row.append_labelled(tokenizer, question, span, len(question) if index < bad else 0)
        row.labels[-1], row.label_weights[-1] = float(index < bad), marker_weight
        row.markers.append(len(row.ids) - 1)
        row.append(approval)
    return row


def conversation_batch(tokenizer: Tokenizer, rng: random.Random, size: int) -> Batch:
    """Draw right solutions as PRM conversations, for a language model to learn the format."""
    problems = [draw_problem(rng, "train") for _ in range(size)]
    rows = [prm_row(tokenizer, problem, right_steps(problem, rng)) for problem in problems]
    return Batch(prm_prefix(tokenizer), rows)


def _error_position(problem: Problem, steps: Sequence[str]) -> int:
    error = first_error(problem, steps)
    return sum(map(len, steps)) if error is None else error


def right_steps(problem: Problem, rng: random.Random) -> list[str]:
    """Return a right solution in the words of a careless author."""
    return careless_steps(problem, rng, 0.0, 0.0)


def corrupted_steps(problem: Problem, rng: random.Random) -> list[str]:
    """Return a right solution, or one with triggered slips and random near misses."""
    if rng.random() < _RIGHT_SHARE:
        return right_steps(problem, rng)
    return careless_steps(problem, rng, rng.choice((0.5, 1.0)), rng.choice((0.03, 0.1)))
