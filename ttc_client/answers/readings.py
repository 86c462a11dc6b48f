r"""Other ways to read an answer, which the gold answer decides between.

A vote must tell answers apart by their text alone; a grader knows what is asked for: beside the
gold answer 277, `m+n = 277` is a value and not a line, beside 0.5 `50\%` is a half. Each rule
returns comparisons, and says when it returns none: nothing wrong may become right.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ttc_client.answers.keys import MAX_CHARS
from ttc_client.answers.names import RELATIONS, is_name, is_value, plain_name, variables
from ttc_client.answers.normalise import normalise
from ttc_client.answers.structure import enclosed, nesting, split

Comparison = tuple[tuple[str, str], ...]
"""Pairs of a reading of the answer and one of the gold answer: right if all have equal keys."""

_SEPARATORS = frozenset({",", ";", r"\lor", r"\land"})
_DEFINED = re.compile(
    r"(?P<head>[a-zA-Z])(?:_\w|_\{\w+\})?'*(?:\^\{-1\}|\^\{?\(?\d\)?\}?)?\(.*\)|\\frac\{d.*\}\{d.*\}"
    r"|\\int(?![a-zA-Z]).*|\\(?:bar|hat|vec|overline)\{.*\}"
)
_OPERATOR = re.compile(r"\\(?:sum|prod|int|lim|max|min|gcd|lcm)(?![a-zA-Z])")
_PERCENT = re.compile(
    r"(?:[^=]*=)?[\s$(]*(-?[\d.,]+)\s*(?:\\?%|(?:\\text\s*\{)?\s*percent\}?)[\s$).]*"
)
_AMBIGUOUS = re.compile(r"[\s$]*(-?\d+)[eE]([+-]\d{1,3})[\s$]*")
_SCIENTIFIC = re.compile(r"10\^|^-?\d*\.\d+$")
_MARKUP = re.compile(r"\\(?:text|math)(?:bf|rm|it|sf|tt)?\s*\{|\\[mh]box\s*\{|[{}$*]|\\[ ,;!]")
_LETTER = re.compile(r"\(?([A-Z])\)?\.?")
_CHOICE = re.compile(
    r"(?:(?:the )?(?:correct |final )?(?:answer|option|choice)(?: is)?:? +)?(?:option |choice )?"
    r"(?:\((?P<closed>[A-Z])\)|(?P<open>[A-Z])(?:\)|[.:](?= |$)| - (?=[a-z]{3})|$)) *(?P<text>.*)",
    re.IGNORECASE | re.DOTALL,
)
_OTHER_CHOICE = re.compile(
    r"\([A-Z]\)|^(?:and|or|nor|to|through|[,/&-])(?![a-zA-Z])", re.IGNORECASE
)
_SENTENCE = re.compile(
    r"[A-Za-z][A-Za-z ,']* (?:is|are|was|were|equals|be|has|have|takes?|costs?|needs?|gets?|gives?)"
    r":? +(?P<value>[^a-zA-Z ].*)",
    re.DOTALL,
)
_SHORT_TEXT = re.compile(r"\\text\s*\{\s*([a-zA-Z]{1,2})\s*\}")
_SUBSCRIPTED = re.compile(r"(.+)_\w+")


@dataclass(frozen=True)
class _Text:
    """An answer as it was written, and what several rules look at."""

    raw: str

    @cached_property
    def plain(self) -> str:
        """The plain LaTeX, "" where its brackets do not balance."""
        text = normalise(self.raw)
        return text if nesting(text) is not None else ""

    @cached_property
    def words(self) -> str:
        """The text without fonts, braces and dollar signs."""
        return " ".join(_MARKUP.sub(" ", self.raw).split())

    @cached_property
    def parts(self) -> list[str]:
        return split(self.plain, _SEPARATORS)[0]

    @cached_property
    def sides(self) -> tuple[list[str], list[str]]:
        return split(self.plain, RELATIONS)


def comparisons(answer: str, gold: str) -> list[Comparison]:
    """Return what would make an answer right besides a key that equals the gold answer's."""
    if max(len(answer), len(gold)) > MAX_CHARS:
        return []
    texts = _Text(answer), _Text(gold)
    return [found for rule in _RULES for found in rule(*texts)]


def _equation(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `m+n = 277`, `A = \\pi r^2`, `2+2 = 4` as what they end in, unless gold is a relation.

    Not where a side is neither a name nor equal, since `x-1 = 2x` is not `2x`; not where the end
    is 0, since `x-2 = 0` gives x another value.
    """
    sides, relations = answer.sides
    if not relations or gold.sides[1] or not set(relations) <= {"=", r"\approx"}:
        return
    if len(answer.parts) > 1 or not all(sides[1:]):
        return
    if relations[-1] == r"\approx":
        if re.fullmatch(r"-?\d*\.\d+", gold.plain):
            yield ((sides[-1], gold.plain),)
        return
    is_turned = not _is_named(sides[0], gold) and _is_named(sides[1], gold)
    if len(sides) == 2 and is_turned and not is_name(sides[0]):
        sides = sides[::-1]
    value, others = sides[-1], sides[:-1]
    if normalise(value) in {"0", "-0"} and not all(map(is_name, others)):
        return
    equal = [other for other in others if not _is_named(other, gold)]
    yield ((value, gold.plain), *((other, gold.plain) for other in equal))


def _is_named(side: str, gold: _Text) -> bool:
    """Whether a side only says what the value is of, beside a gold answer of that kind."""
    if is_value(gold.plain):
        return not is_value(side) or bool(_OPERATOR.search(side))
    head = _DEFINED.fullmatch(side)
    if head:
        return not head["head"] or head["head"] not in variables(gold.plain)
    return is_name(side) and not (len(side) == 1 and side in variables(gold.plain))


def _percent(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `50\\%` as a half, if gold is not given in percent."""
    match = _PERCENT.fullmatch(answer.raw)
    if match and "%" not in gold.raw and "percent" not in gold.raw and is_value(gold.plain):
        yield ((rf"\frac{{{match[1].replace(',', '')}}}{{100}}", gold.plain),)


def _scientific(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `5e-3` as a number, if the other of the two is written as one with a power of ten.

    Not both: `2e-1` may be two times Euler's number less one.
    """
    answer_match, gold_match = map(_AMBIGUOUS.fullmatch, (answer.raw, gold.raw))
    if gold_match and "10^" in answer.plain:
        yield ((answer.plain, _power_of_ten(gold_match)),)
    if answer_match and _SCIENTIFIC.search(gold.plain):
        yield ((_power_of_ten(answer_match), gold.plain),)


def _power_of_ten(match: re.Match[str]) -> str:
    return rf"{match[1]}\times 10^{{{int(match[2])}}}"


def _choice(answer: _Text, gold: _Text) -> Iterator[Comparison]:
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


def _sentence(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `The answer is 460` as 460; not `less than 460` nor `3 of 460`."""
    words = answer.raw.replace(r"\text{", " ").replace("$", " ")
    if words.count("}") > words.count("{"):
        words = words.replace("}", " ", words.count("}") - words.count("{"))
    if match := _SENTENCE.fullmatch(" ".join(words.split())):
        yield ((match["value"], gold.raw),)


def _named(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `x=1, y=2` as (1,2) and `x_1=1, x_2=-2` as roots, if gold is a pair or a list.

    Values in the order of their names; as roots only with one name and different subscripts, for
    `x=1, y=2` is not `x=2, y=1`.
    """
    ours, theirs = _values(answer), _values(gold)
    if ours and theirs is None:
        names, values = ours
        bases = {match[1] if (match := _SUBSCRIPTED.fullmatch(name)) else name for name in names}
        num_greek = sum(base.startswith("\\") for base in bases)
        is_ordered = num_greek < 2 and len({base.isupper() for base in bases}) == 1
        if len(gold.parts) > 1 or ((bracketed := enclosed(gold.plain)) and bracketed[0] == r"\{"):
            if len(bases) == 1:
                yield ((", ".join(values), gold.plain),)
            if len(gold.parts) > 1 and is_ordered:
                yield ((f"({','.join(values)})", f"({','.join(gold.parts)})"),)
        elif is_ordered:
            yield ((f"({','.join(values)})", gold.plain),)
    elif (theirs and ours is None and answer.plain.startswith("(")) or (
        theirs and ours is None and answer.plain.endswith(")") and "=" in answer.plain
    ):
        yield ((answer.plain, f"({','.join(theirs[1])})"),)


def _values(text: _Text) -> tuple[list[str], list[str]] | None:
    """Return names and values of a list of named values, in the order of the names."""
    pairs = [split(part, {"="})[0] for part in text.parts]
    if len(pairs) < 2 or any(len(pair) != 2 or not is_name(pair[0]) for pair in pairs):
        return None
    named = {plain_name(name): value for name, value in pairs}
    if len(named) < len(pairs):
        return None
    names = sorted(named, key=lambda name: (name.startswith("\\"), name))
    return names, [named[name] for name in names]


def _letters(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read the letters of `5\\text{m}` as variables, if the other has letters in its place."""
    if r"\text" in answer.plain + gold.plain and variables(gold.plain):
        ours, theirs = (_SHORT_TEXT.sub(r"\1", text.plain) for text in (answer, gold))
        yield ((ours, theirs),)


def _modulus(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read `3 \\pmod 7` as 3, if gold has no modulus; not `10 \\pmod 7`, nor as 10."""
    base, mod, rest = answer.plain.partition(r"\mod{")
    if not mod or "mod" in gold.plain:
        return
    left, equivalent, residue = base.rpartition(r"\equiv")
    residue = residue.strip()
    modulus = rest.removesuffix("}")
    if residue.isdecimal() and modulus.isdecimal() and int(residue) >= int(modulus):
        return
    if not equivalent or is_name(left.strip()) or is_value(left):
        yield ((residue, gold.plain),)


def _implied(answer: _Text, gold: _Text) -> Iterator[Comparison]:
    """Read a conclusion, if gold has no arrow."""
    if r"\Rightarrow" in answer.plain and r"\Rightarrow" not in gold.plain:
        yield ((split(answer.plain, {r"\Rightarrow"})[0][-1], gold.plain),)


_RULES: tuple[Callable[[_Text, _Text], Iterator[Comparison]], ...] = (
    _equation,
    _percent,
    _scientific,
    _choice,
    _sentence,
    _named,
    _letters,
    _modulus,
    _implied,
)
