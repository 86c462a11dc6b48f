r"""Find the formulas and the plain numbers in a line of prose.

Tells dollars that enclose a formula from dollars that are money, and reads the sign, the power
or the root that belongs to a number. Knows nothing of announcements.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from ttc_client.answers.names import INEQUALITIES, RELATIONS, is_name, is_value
from ttc_client.answers.normalise import normalise
from ttc_client.answers.structure import nesting, split

_FORMULA = re.compile(
    r"(?<!\\)(?:\$\$(?P<double>(?:[^$\\]|\\.)+)\$\$|\$(?P<single>(?:[^$\\\n]|\\.)+)\$"
    r"|\\\((?P<round>(?:[^\\]|\\[^()])+)\\\)|\\\[(?P<square>(?:[^\\]|\\[^\[\]])+)\\\]"
    r"|\\begin\{(?P<kind>align|equation|gather|multline|eqnarray)(?P<star>\*?)\}"
    r"(?P<rows>(?:[^\\]|\\(?!begin|end))+)\\end\{(?P=kind)(?P=star)\})",
    re.DOTALL,
)
_MONEY = re.compile(r"\d.*(?:[\s=+*/(,-]|(?<![\\a-zA-Z{])[a-zA-Z]{2,}.*)", re.DOTALL)
"""What starts with a number and goes on in prose, or ends in the middle of a sum."""
_PROSE = re.compile(r"[?!.,;:]? +[A-Za-z][a-z]+ +[a-z]{2,}")
"""What stands between two amounts of money."""
_TEXT = re.compile(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}")
_ROWS = re.compile(
    r"\s*\\begin\{(aligned|split|gathered|array)\}(?:\{[clr| ]*\})?(.+)\\end\{\1\}\s*\.?\s*",
    re.DOTALL,
)
_DIGITS = r"(?:\d[\d,]*(?:\.\d+)?|\.\d+)"
_ROOT = r"√ ?(?:\d+|\([^()\n]{1,50}\))"
_BARE = (
    r"\d*(?:\\[dt]?frac ?\{[^{}\n]{1,50}\} ?\{[^{}\n]{1,50}\}|\\sqrt(?:\[\d\])?\{[^{}\n]{1,50}\})"
)
"""LaTeX without dollars around it."""
_NUMBER = re.compile(
    r"(?:(?:(?<![\w)\]}!%.])|(?<=[a-z]{2}))[-−](?=[\d.√π$\\])|(?:^|(?<=[=:(,])|(?<=[=:(,] )"
    r"|(?<=[a-z]{2} ))[-−] ?(?=[\d.√π$\\]))?\$?"
    rf"(?:{_BARE}|{_DIGITS}(?:[eE][+-]?\d+(?!\w))?(?: ?(?:[×*x]|\\times) ?10 ?(?=[\^⁰-⁹⁻¹²³]))?"
    r"(?:10(?<=[×*x ]10))?(?:\^\{?[-+−]?\d+\}?|[⁰¹²³⁴-⁹⁻]+)?!?[½⅓⅔¼¾]?"
    rf"(?: ?(?:{_ROOT}|π|\\pi|pi\b))?(?: ?/ ?{_DIGITS}| : \d+|:\d+| \d+/\d+)?\\?%?|{_ROOT}|π)"
)


_TERM = r"(?:[-−+*/^()√π²³⁴·×\d,. ]|[a-zA-Z](?![a-zA-Z])|sqrt|pi(?![a-z]))"
_NAMED = (
    r"(?:[a-zA-Z](?:_\w|\([a-z]\))?|\([a-z](?:, ?[a-z])+\)) ?(?P<relation{0}>[=≤≥<>]|<=|>=) ?"
    rf"(?P<value{{0}}>(?!=){_TERM}{{{{1,80}}}}?)"
)
_NAMED_LAST = re.compile(
    rf"(?:(?<=[ (:*])|^)(?:{_NAMED.format(1)} ?(?:,|,? or|,? and) )?{_NAMED.format(2)}[ .*_]*$"
)
_COORDINATE = rf"[-−+]?(?:{_BARE}|\\infty|∞|\\?pi|π|\d{{1,12}}(?:\.\d{{1,12}})?(?:/\d{{1,12}})?)"
_PLAIN_LAST = re.compile(
    rf"(?<=[ :])(?:sqrt\(\d{{1,12}}\)|[\[(](?:{_COORDINATE}, ?){{1,3}}{_COORDINATE}[\])])[ .*_]*$"
)


_BETWEEN = frozenset({",", ";", r"\lor", r"\land"})


class Formula(NamedTuple):
    """What a formula says, and where it stands with its delimiters."""

    content: str
    start: int
    end: int


def formulas(text: str) -> Iterator[Formula]:
    """Yield the formulas of a text in order; amounts of money do not count."""
    position = 0
    while match := _FORMULA.search(text, position):
        position = match.end()
        if _is_money(match, text):
            position = match.start() + 1
        else:
            yield Formula(_content(match), match.start(), match.end())


def last_number(text: str) -> str:
    """Return the last plain number of a line with its sign, power and root, or ""."""
    numbers = [match[0] for match in _NUMBER.finditer(text) if not _is_in_word(match)]
    return numbers[-1].rstrip(",") if numbers else ""


def _is_in_word(number: re.Match[str]) -> bool:
    """Whether Latin letters stand on both sides, as in `H2O`."""
    around = number.string[: number.start()][-1:] + number.string[number.end() :][:1]
    return len(around) == 2 and around.isalpha() and around.isascii()


def last_stated(text: str) -> str:
    """Return what plain text ends with: `x ≤ 2`, `(x, y) = (2, 3)`, else its last number."""
    named = _NAMED_LAST.search(text)
    if named and named["relation2"] == "=" and not named["value1"]:
        named = None if _NUMBER.fullmatch(named["value2"].strip(" .")) else named
    last = named or _PLAIN_LAST.search(text)
    return last[0].rstrip(" .*_") if last else last_number(text)


def stated(formula: str) -> str:
    """Return what a formula comes to: what a name or a sum equals, else all of it.

    An inequality, and the equation of a curve, is the answer as a whole.
    """
    plain = normalise(formula)
    if nesting(plain) is None:
        return formula
    sides, relations = split(plain, RELATIONS)
    if len(relations) > 1 and split(plain, _BETWEEN)[1]:  # `x=1, y=2`
        return formula
    if not INEQUALITIES.isdisjoint(relations) or set(relations) != {"="} or not sides[-1]:
        return formula
    first, last = sides[0], sides[-1]
    is_result = is_value(last) and (not first or is_name(first) or is_value(first))
    if not is_result and not (len(sides) > 2 and is_value(last)):
        return formula
    return formula.rpartition("=")[2].strip()


def _is_money(match: re.Match[str], text: str) -> bool:
    if match["single"] is None:
        return False
    if _PROSE.match(match["single"]):
        return True
    return bool(_MONEY.fullmatch(_TEXT.sub("", match["single"]).strip())) or (
        match["single"][0].isdigit() and text[match.end() : match.end() + 1].isdigit()
    )


def _content(match: re.Match[str]) -> str:
    """Return a formula on one line; of several rows the last."""
    content = match["double"] or match["single"] or match["round"] or match["square"]
    inner = _ROWS.fullmatch(content) if content and r"\begin" in content else None
    if rows := match["rows"] or (inner and inner[2]):
        last = [row for row in rows.split(r"\\") if row.strip()][-1:]
        return " ".join("".join(last).replace("&", "").split()).lstrip("= ")
    return " ".join(content.split())
