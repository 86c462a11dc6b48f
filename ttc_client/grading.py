"""Tell right answers from wrong ones, given the gold answer.

Two answers are the same where their canonical keys are, as in the votes: a group of equivalent
answers is right or wrong as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ttc_client.answers import AnswerPool
from ttc_client.answers.canonical import string_key


@dataclass(frozen=True, slots=True)
class Grades:
    """For each answer its key and whether it is right.

    `timed_out` marks those that there was no time to key. They are wrong, unless they read just
    as the gold answer does.
    """

    keys: tuple[str, ...]
    correct: tuple[bool, ...]
    timed_out: tuple[bool, ...]


async def grade(pool: AnswerPool, answers: Sequence[str], gold: str) -> Grades:
    """Compare answers with the gold answer, in the pool's workers; an empty one is wrong."""
    *keys, gold_key = await pool.keys([*answers, gold])
    gold_text = string_key(gold)
    correct = [
        bool(answer)
        and (
            string_key(answer) == gold_text
            or (key.text == gold_key.text and not key.timed_out and not gold_key.timed_out)
        )
        for answer, key in zip(answers, keys, strict=True)
    ]
    return Grades(
        keys=tuple(key.text for key in keys),
        correct=tuple(correct),
        timed_out=tuple(key.timed_out for key in keys),
    )
