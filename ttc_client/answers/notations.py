r"""Readings of notations: choices, points, vectors, sets in plain braces, letters in `\text`.

As in `readings`, each rule returns comparisons, and says when it returns none.
"""

import re
from collections.abc import Callable, Iterator

from ttc_client.answers.matrices import matrix_rows
from ttc_client.answers.names import is_value, variables
from ttc_client.answers.structure import enclosed
from ttc_client.answers.texts import Comparison, Text

_LETTER = re.compile(r"\(?([A-Z])\)?\.?")
_CHOICE = re.compile(
    r"(?:(?:the )?(?:correct |final )?(?:answer|option|choice)(?: is)?:? +)?(?:option |choice )?"
    r"(?:\((?P<closed>[A-Z])\)|(?P<open>[A-Z])(?:\)|[.:](?= |$)| - (?=[a-z]{3})|$)) *(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_OTHER_CHOICE = re.compile(
    r"\([A-Z]\)|^(?:and|or|nor|to|through|[,/&-])(?![a-zA-Z])(?! (?:because|since|as)\b)",
    re.IGNORECASE,
)
_POINT = re.compile(r"[A-Z]'?(?:_\w|_\{\w+\})? ?(\(.*\))")
_VECTORS = ("matrix", r"\begin{array", r"\langle")
_TRANSPOSED = re.compile(r" ?\^ ?\{?(?:T|\\top)\}?$")
_HAT = re.compile(
    r"\\(?:mathbf|boldsymbol|vec|hat)\s*\{\s*(?:\\(?:hat|mathbf|vec)\s*\{)?\s*\\?([ijk])(?:math)?\s*\}{1,2}"
)
_COMBINATIONS = re.compile(
    r"C ?\( ?(\d+) ?, ?(\d+) ?\)|(?:\{ ?\})?[_^] ?\{?(\d+)\}? ?C ?_ ?\{?(\d+)\}?"
)
_OHMS = re.compile(r"([-\d.,]+) ?\\Omega")
_ALIKE = [
    re.compile(words, re.IGNORECASE)
    for words in (
        r"(?:there (?:is|are) )?no solutions?|\\emptyset|\\varnothing|∅",
        r"DNE|does not exist|doesn't exist",
    )
]
_SHORT_TEXT = re.compile(r"\\text\s*\{\s*([a-zA-Z]{1,2})\s*\}")


def _choice(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `(B) 12` and `B: a reason` as B, if gold is a letter, and a gold `(B) 12` if it is not.

    Not where the text names another choice, nor where nothing divides letter and text.
    """
    for text, letter in ((answer, gold), (gold, answer)):
        match = _LETTER.fullmatch(letter.words) and _CHOICE.fullmatch(text.words)
        if not match or _OTHER_CHOICE.search(match["text"]):
            continue
        if text is answer:
            yield ((match["closed"] or match["open"], letter.words),)
        elif match["closed"]:
            yield ((letter.words, match["closed"]),)


def _point(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `P(2,-1)` as (2,-1)."""
    if "(" not in answer.plain or "(" not in gold.plain:
        return
    for text, other in ((answer, gold), (gold, answer)):
        match = _POINT.fullmatch(text.plain)
        if match and (bracketed := enclosed(other.plain)) and "," in bracketed[1]:
            yield ((match[1], other.plain),)


def _vector(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `(1,2)`, `\\langle 1,2\\rangle` and `[1,2]^T` as the vector that a matrix writes."""
    if not any(mark in text.plain for text in (answer, gold) for mark in _VECTORS):
        return
    for text, other in ((answer, gold), (gold, answer)):
        rows, bracketed = matrix_rows(text.plain), enclosed(_TRANSPOSED.sub("", other.plain))
        if text.plain.startswith(r"\langle") and (angled := enclosed(text.plain)):
            rows = [[angled[1]]]
        if not rows or not bracketed or (len(rows) > 1 and len(rows[0]) > 1):
            continue
        members = ",".join(cell for row in rows for cell in row)
        yield ((f"({members})", f"({bracketed[1]})"),)


def _unit_vectors(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read the `\\hat{i}` of one as the `\\mathbf{i}` of the other."""
    if r"\hat" in answer.raw + gold.raw or r"\vec" in answer.raw + gold.raw:
        yield ((_HAT.sub(r"\1", answer.raw), _HAT.sub(r"\1", gold.raw)),)


def _spelled(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `{x | x > 2}`, `C(5,3)`, `60 \\Omega`, and other words for that there is nothing."""
    raw = answer.raw.strip("$ ")
    if raw.startswith("{") and raw.endswith("}") and re.search(r"[|:]", raw):
        yield ((rf"\{{{raw[1:-1]}\}}", gold.plain),)
    if (match := _COMBINATIONS.fullmatch(answer.plain)) and is_value(gold.plain):
        top, bottom = filter(None, match.groups())
        yield ((rf"\binom{{{top}}}{{{bottom}}}", gold.plain),)
    if (match := _OHMS.fullmatch(answer.plain)) and is_value(gold.plain):
        yield ((match[1], gold.plain),)
    if any(both.fullmatch(gold.words) and both.fullmatch(answer.words) for both in _ALIKE):
        yield ((gold.raw, gold.raw),)


def _letters(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read the letters of `5\\text{m}` as variables, if the other has letters in its place."""
    if r"\text" in answer.plain + gold.plain and variables(gold.plain):
        ours, theirs = (_SHORT_TEXT.sub(r"\1", text.plain) for text in (answer, gold))
        yield ((ours, theirs),)


NOTATIONS: tuple[Callable[[Text, Text], Iterator[Comparison]], ...] = (
    _choice,
    _point,
    _vector,
    _unit_vectors,
    _spelled,
    _letters,
)
