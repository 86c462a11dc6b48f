"""Tell right answers from wrong ones, given the gold answer.

An answer is right if its canonical key is that of the gold answer, as in the votes, or if one of
the readings that the gold answer suggests is, or if it is that number as a float, unless it says
that it is the value of something else. A group of equivalent answers is right or wrong as a whole:
where only some of its members can be read so, it is wrong; and where all of those that equal the
gold answer are of something else.
"""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ttc_client.answers import AnswerPool
from ttc_client.answers.intervals import number_of
from ttc_client.answers.keys import MAX_CHARS, string_key
from ttc_client.answers.pool import Key
from ttc_client.answers.readings import comparisons
from ttc_client.answers.texts import Comparison, names_another, text_of

_LONGEST_BLOCK_S = 0.005
_FLOAT_DIGITS = 12
_FLOAT = re.compile(
    rf"-?(?=0?\.?0*(?:[1-9]\.?(?:\d\.?){{{_FLOAT_DIGITS - 1},30}})$)\d{{0,30}}\.\d{{1,40}}"
)
"""A decimal of twelve significant digits and more."""


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
    right = {
        answer: bool(answer) and (string_key(answer) == string_key(gold) or _equal(key, gold_key))
        for answer, key in zip(answers, keys, strict=True)
    }
    equal = [answer for answer in right if right[answer]]
    if _are_of_another(equal, gold):
        right.update(dict.fromkeys(equal, False))
    key_of = dict(zip(answers, keys, strict=True))
    wrong = [answer for answer in right if key_of[answer].text and answer not in equal]
    read = await _right_if_read(pool, wrong, gold)
    read |= {answer for answer in wrong if _is_float_of(answer, gold_key)}
    failed = {key_of[answer].text for answer in wrong if answer not in read}
    return Grades(
        keys=tuple(key.text for key in keys),
        correct=tuple(
            right[answer] or (answer in read and key.text not in failed)
            for answer, key in zip(answers, keys, strict=True)
        ),
        timed_out=tuple(key.timed_out for key in keys),
    )


def _is_float_of(answer: str, gold: Key) -> bool:
    """Whether an answer is the gold number as a program prints it, in all of a float's digits."""
    digits = _FLOAT.fullmatch(answer.strip("$ "))
    number = None if not digits or gold.timed_out else number_of(gold.text)
    if not digits or not isinstance(number, Fraction):
        return False
    return abs(Fraction(digits[0]) - number) <= abs(number) / 10**_FLOAT_DIGITS


def _are_of_another(equal: Sequence[str], gold: str) -> bool:
    """Whether each of the answers that equal gold names another thing than gold does."""
    if not equal or gold in equal or len(gold) > MAX_CHARS:
        return False
    asked = text_of(gold)
    return bool(asked.sides[1]) and all(
        len(answer) <= MAX_CHARS and names_another(text_of(answer), asked) for answer in equal
    )


async def _right_if_read(pool: AnswerPool, answers: Sequence[str], gold: str) -> set[str]:
    """Return the answers that are right in a reading that the gold answer suggests."""
    if not answers or len(gold) > MAX_CHARS:
        return set()
    found: dict[str, list[Comparison]] = {}
    asked = text_of(gold)
    paused = time.monotonic()
    for answer in answers:
        if time.monotonic() - paused > _LONGEST_BLOCK_S:
            await asyncio.sleep(0)
            paused = time.monotonic()
        found[answer] = comparisons(answer, asked)
    texts = {text for each in found.values() for pairs in each for pair in pairs for text in pair}
    keys = dict(zip(texts, await pool.keys([*texts]), strict=True))
    return {
        answer
        for answer, each in found.items()
        if any(all(_equal(keys[ours], keys[theirs]) for ours, theirs in pairs) for pairs in each)
    }


def _equal(key: Key, other: Key) -> bool:
    return key.text == other.text != "" and not key.timed_out and not other.timed_out
