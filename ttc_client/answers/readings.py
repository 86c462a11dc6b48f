r"""Other ways to read an answer, which the gold answer decides between.

A vote must tell answers apart by their text alone; a grader knows what is asked for: beside the
gold answer 277, `m+n = 277` is a value and not a line, beside 0.5 `50\%` is a half. Each rule
returns comparisons, and says when it returns none: nothing wrong may become right.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from ttc_client.answers.keys import MAX_CHARS
from ttc_client.answers.names import is_name, is_value, plain_name, variables
from ttc_client.answers.normalise import normalise
from ttc_client.answers.notations import NOTATIONS
from ttc_client.answers.structure import enclosed, split
from ttc_client.answers.texts import Comparison, Text, names_another, text_of

_DEFINED = re.compile(
    r"(?P<head>[a-zA-Z])(?:_\w|_\{\w+\})?'*(?:\^\{-1\}|\^\{?\(?\d\)?\}?)?\(.*\)|\\frac\{d.*\}\{d.*\}.*"
    r"|\\int(?![a-zA-Z]).*|\\(?:bar|hat|vec|overline)\{.*\}"
)
_OPERATOR = re.compile(r"\\(?:sum|prod|int|lim|max|min|gcd|lcm)(?![a-zA-Z])")
_PERCENT = re.compile(
    r"(?:[^=]*=)?[\s$(]*(-?[\d.,]+)\s*(?:\\?%|(?:\\text\s*\{)?\s*percent\}?)[\s$).]*"
)
_AMBIGUOUS = re.compile(r"[\s$]*(-?\d+)[eE]([+-]\d{1,3})[\s$]*")
_SCIENTIFIC = re.compile(r"10\^|^-?\d*\.\d+$")
_SENTENCE = re.compile(
    r"(?:[A-Za-z][A-Za-z ,']* (?:is|are|was|were|equals|be|has|have|takes?|costs?|needs?|gets?"
    r"|gives?):?|(?!.*\b(?:not|least|most|than):)[A-Za-z][A-Za-z ]{2,}:) +(?P<value>[^a-zA-Z ].*)",
    re.DOTALL,
)
_SUBSCRIPT = re.compile(r"_(?:\{\w+\}|\w)")
_SUBSCRIPTED = re.compile(r"(.+)_\w+")


def comparisons(answer: str, gold: Text) -> list[Comparison]:
    """Return what would make an answer right besides a key that equals the gold answer's."""
    if len(answer) > MAX_CHARS:
        return []
    text = text_of(answer)
    if names_another(text, gold):
        return []
    return [found for rule in (*_RULES, *NOTATIONS) for found in rule(text, gold)]


def _equation(answer: Text, gold: Text) -> Iterator[Comparison]:
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
    if normalise(value) in {"0", "-0"} and not all(map(_names_or_operates, others)):
        return
    equal = [other for other in others if not _is_named(other, gold)]
    yield ((value, gold.plain), *((other, gold.plain) for other in equal))


def _names_or_operates(side: str) -> bool:
    return is_name(side) or bool(_OPERATOR.match(side))


def _is_named(side: str, gold: Text) -> bool:
    """Whether a side only says what the value is of, beside a gold answer of that kind."""
    if is_value(gold.plain):
        return not is_value(side) or bool(_OPERATOR.search(side))
    head = _DEFINED.fullmatch(side)
    if head:
        return not head["head"] or head["head"] not in variables(gold.plain)
    return is_name(side) and not (len(side) == 1 and side in variables(gold.plain))


def _percent(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `50\\%` as a half, if gold is not given in percent."""
    match = _PERCENT.fullmatch(answer.raw)
    if match and "%" not in gold.raw and "percent" not in gold.raw and is_value(gold.plain):
        yield ((rf"\frac{{{match[1].replace(',', '')}}}{{100}}", gold.plain),)


def _scientific(answer: Text, gold: Text) -> Iterator[Comparison]:
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


def _sentence(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `The answer is 460` as 460; not `less than 460` nor `3 of 460`."""
    words = answer.raw.replace(r"\text{", " ").replace("$", " ")
    if words.count("}") > words.count("{"):
        words = words.replace("}", " ", words.count("}") - words.count("{"))
    if match := _SENTENCE.fullmatch(" ".join(words.split())):
        yield ((match["value"], gold.raw),)


def _statement(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read a gold `\\frac{AB}{CD} = 2` as 2, where its left side only says what is asked for.

    Not `|z| = 5`, the equation of a curve: its left side has a variable.
    """
    sides, relations = gold.sides
    if relations != ["="] or answer.sides[1] or not is_value(sides[1]):
        return
    asked = _SUBSCRIPT.sub("", sides[0])
    letters = variables(asked)
    if letters and all(map(str.isupper, letters)) and not re.search(r"[\d^]", asked):
        yield ((answer.plain, sides[1]),)


def _named(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read `x=1, y=2` as (1,2) and `x_1=1, x_2=-2` as roots, if gold is a pair or a list.

    Values in the order of their names; as roots only with one name and different subscripts, for
    `x=1, y=2` is not `x=2, y=1`.
    """
    ours, theirs = _values(answer), _values(gold)
    if ours and theirs is None:
        names, values = ours
        bases = _bases(names)
        num_greek = sum(base.startswith("\\") for base in bases)
        is_ordered = num_greek < 2 and len({base.isupper() for base in bases}) == 1
        if len(gold.parts) > 1 or ((bracketed := enclosed(gold.plain)) and bracketed[0] == r"\{"):
            if len(bases) == 1:
                yield ((", ".join(values), gold.plain),)
            if len(gold.parts) > 1 and is_ordered:
                yield ((f"({','.join(values)})", f"({','.join(gold.parts)})"),)
        elif is_ordered:
            yield ((f"({','.join(values)})", gold.plain),)
    elif theirs and ours is None and len(answer.parts) > 1 and len(_bases(theirs[0])) == 1:
        yield ((f"({','.join(answer.parts)})", f"({','.join(theirs[1])})"),)
    elif (theirs and ours is None and answer.plain.startswith("(")) or (
        theirs and ours is None and answer.plain.endswith(")") and "=" in answer.plain
    ):
        yield ((answer.plain, f"({','.join(theirs[1])})"),)


def _bases(names: Iterable[str]) -> set[str]:
    """Return the names without their subscripts."""
    return {match[1] if (match := _SUBSCRIPTED.fullmatch(name)) else name for name in names}


def _values(text: Text) -> tuple[list[str], list[str]] | None:
    """Return names and values of a list of named values, in the order of the names."""
    pairs = [split(part, {"="})[0] for part in text.parts]
    if len(pairs) < 2 or any(len(pair) != 2 or not is_name(pair[0]) for pair in pairs):
        return None
    named = {plain_name(name): value for name, value in pairs}
    if len(named) < len(pairs):
        return None
    names = sorted(named, key=lambda name: (name.startswith("\\"), name))
    return names, [named[name] for name in names]


def _modulus(answer: Text, gold: Text) -> Iterator[Comparison]:
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


def _implied(answer: Text, gold: Text) -> Iterator[Comparison]:
    """Read a conclusion, if gold has no arrow."""
    if r"\Rightarrow" in answer.plain and r"\Rightarrow" not in gold.plain:
        yield ((split(answer.plain, {r"\Rightarrow"})[0][-1], gold.plain),)


_RULES: tuple[Callable[[Text, Text], Iterator[Comparison]], ...] = (
    _equation,
    _percent,
    _scientific,
    _sentence,
    _statement,
    _named,
    _modulus,
    _implied,
)
