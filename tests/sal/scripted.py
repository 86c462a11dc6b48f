r"""A made-up policy and PRM that the published toolkit and ours can both be run on.

Both are functions of a text and of a number: the `turn` of a continuation among all those that a
round of the search asks for of the same text. So the toolkit, which asks for one continuation at
a time, and ours, which asks for several, are told the same at the same place of the search.
"""

import re
from dataclasses import dataclass
from random import Random

ANSWERS = ("3", "4", r"\frac{1}{2}", "x+1", "")
"""Answers that every notion of equality tells apart."""


@dataclass(frozen=True)
class Case:
    """A search, and how the policy writes in it."""

    strategy: str
    n: int
    m: int = 4
    max_steps: int = 6
    max_tokens: int = 2048
    lookahead: int = 0
    reduction: str = "last"
    problem: str = "a"
    p_end: float = 0.3
    """How likely a step is the last one."""
    p_empty: float = 0.0
    """How likely nothing is written at all, and how likely only a delimiter."""
    p_boxed: float = 0.0
    """How likely a step holds a box and goes on."""
    p_stuck: float = 0.0
    """How likely a last step stops without an end, so that the beam never finishes."""
    vocabulary: int = 1000
    """Of how many steps one is written; siblings read the same where these are few."""


CASES = (
    Case("best-of-n", 4),
    Case("best-of-n", 6, reduction="min", problem="b"),
    Case("best-of-n", 8, max_tokens=30, p_end=0.15, reduction="prod"),
    Case("best-of-n", 5, p_empty=0.3, problem="c"),
    Case("beam", 4),
    Case("beam", 8, p_end=0.15, problem="b"),
    Case("beam", 16, p_end=0.2, reduction="min", problem="c"),
    Case("beam", 16, m=2, p_end=0.1, reduction="prod"),
    Case("beam", 8, p_end=0.6, problem="d"),
    Case("beam", 8, p_end=0.0, max_steps=4),
    Case("beam", 8, p_end=0.03, max_steps=3, problem="e"),
    Case("beam", 8, p_end=1.0),
    Case("beam", 2, p_end=0.1, problem="b"),
    Case("beam", 3, p_end=0.1, max_steps=5),
    Case("beam", 6, m=4, p_end=0.2),
    Case("beam", 7, m=3, p_end=0.3, problem="f"),
    Case("beam", 8, p_empty=0.2, p_end=0.1, problem="c"),
    Case("beam", 8, p_boxed=0.3, p_end=0.1),
    Case("beam", 8, max_tokens=9, p_end=0.1),
    Case("beam", 8, lookahead=1, p_end=0.1, problem="b"),
    Case("beam", 8, vocabulary=2, p_end=0.1),
    Case("beam", 16, vocabulary=3, p_end=0.2, problem="b"),
    Case("beam", 12, m=4, vocabulary=1, p_end=0.25, problem="g"),
    Case("beam", 8, p_stuck=0.6, max_steps=3, p_end=0.1),
    Case("beam", 16, p_stuck=0.9, max_steps=2, p_end=0.1, reduction="min", problem="k"),
    Case("beam", 4, max_steps=1),
    Case("beam", 4, max_steps=2, p_end=0.05, problem="h"),
    Case("beam", 32, p_end=0.1, max_steps=8, problem="i"),
    Case("dvts", 4),
    Case("dvts", 8, p_end=0.15, problem="b"),
    Case("dvts", 16, p_end=0.3, reduction="min", problem="c"),
    Case("dvts", 16, m=2, reduction="prod", p_end=0.2),
    Case("dvts", 8, p_end=0.0, max_steps=4),
    Case("dvts", 8, max_steps=1),
    Case("dvts", 8, p_end=0.1, max_steps=2, problem="d"),
    Case("dvts", 8, lookahead=1, p_end=0.2),
    Case("dvts", 16, lookahead=1, p_end=0.35, reduction="min", problem="b"),
    Case("dvts", 8, lookahead=3, p_end=0.25, reduction="prod", problem="e"),
    Case("dvts", 8, lookahead=1, p_empty=0.2, p_end=0.1, problem="f"),
    Case("dvts", 8, p_boxed=0.3, p_end=0.1),
    Case("dvts", 8, lookahead=1, p_boxed=0.3, p_end=0.1, problem="c"),
    Case("dvts", 8, p_empty=0.2, p_end=0.1, problem="c"),
    Case("dvts", 8, max_tokens=9, p_end=0.1),
    Case("dvts", 16, vocabulary=2, p_end=0.2, problem="b"),
    Case("dvts", 32, p_end=0.15, max_steps=8, problem="i"),
)


def write(case: Case, text: str, turn: int, *, to_end: bool, limit: int) -> tuple[str, str]:
    """Return what the policy writes after a text, and whether it stopped, ended, or was cut."""
    rng = Random(f"{case.problem} {case.vocabulary} {turn} {text}")
    written, finish = "", "stop"
    while finish == "stop" and (to_end or not written):
        step, finish = _step(case, rng, text + written)
        written += step
    if to_end and rng.random() < case.p_stuck:
        finish = "stop"
    tokens = re.findall(r"\s*\S+|\s+", written)
    if len(tokens) > limit:
        return "".join(tokens[:limit]), "length"
    return written, finish


def _step(case: Case, rng: Random, text: str) -> tuple[str, str]:
    chance = rng.random()
    if chance < case.p_empty:
        return ("", "eos") if chance < case.p_empty / 2 else ("\n\n", "stop")
    depth = text.count("\n\n") + 1
    step = f"## Step {depth}: take {rng.randrange(case.vocabulary)}"
    if rng.random() < case.p_boxed:
        step += rf", so \boxed{{{rng.choice(ANSWERS)}}}"
    if rng.random() < case.p_end or depth > 2 * case.max_steps:
        return _ending(rng, step), "eos"
    return step + "\n\n", "stop"


def _ending(rng: Random, step: str) -> str:
    answer = rng.choice(ANSWERS)
    return rng.choice(
        (
            rf"{step}. Therefore, the final answer is: $\boxed{{{answer}}}$. I hope it is correct.",
            f"{step}, and the final answer is ${answer}$. I hope it is correct.",
            f"{step}, and the answer is {answer}.",
            f"{step} and {rng.randrange(5, 9)} more",
        )
    )


def judge(problem: str, steps: tuple[str, ...]) -> float:
    """Return the score of the last of some steps, as the PRM reads them."""
    return Random(f"{problem} {steps}").randrange(10**6) / 10**6
