r"""Find an answer that is announced in words, or else what the last line comes to.

Knows "the answer is", "Answer:", a heading "Final Answer" and GSM8K's `####`; of a sentence behind
one it takes the value. Announcements are searched from the end, for the last says what counts.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from ttc_client.answers.formulas import Formula, formulas, last_number, last_stated, stated
from ttc_client.answers.names import is_name

_MARKS = ("nswer", "NSWER", "####", "ption is", "hoice is")
_MAX_ANNOUNCEMENTS = 32
_LONGEST_PHRASE = 2_000
_LONGEST_LINE = 500

_IS = r"is|are|was|were|be|equals?|equal to"
_ANNOUNCEMENT = re.compile(
    rf"(?:ption|hoice) is[\s:*(]*(?=[A-J]\b)|nswers?(?:\s(?:to|for|in|of)\s[^.:\n]{{1,80}}?)?"
    rf"(?:[\s*_]*:|\s*=|\s+(?:{_IS}|(?:would|will|"
    r"should|must) be)\b)[\s*_]*:?",
    re.IGNORECASE,
)
_HEADING = re.compile(r"nswers?[\s*_:]*\n", re.IGNORECASE)
_HEADING_START = re.compile(r"[#*\s_]*(?:the )?(?:final |correct )?a", re.IGNORECASE)
_GSM8K = re.compile(
    r"####[ *]*(?=(?!\d+[.)] +[a-zA-Z])[-−+$\\(.]*\d\S*(?: +[a-zA-Z%]+)?\.?[ *]*(?:\n|$)|[$\\]"
    r"|\(?[A-J]\)?[ *]*(?:\n|$)|[a-z] ?= ?\S+ *(?:\n|$))"
)
_OPENING = re.compile(r"[\s*_:]*(?:\\?[\"“„])?")
_SUPPOSED = re.compile(
    r"\b(?:if|suppose|supposing|whether|unless|assume|assuming|not|check(?:ing)?|verify(?:ing)?|confirm)\b[^.\n]*$",
    re.IGNORECASE,
)
_PHRASE_END = re.compile(r"[.!?]?\*\*|[.!?](?:\s|$)|\n")
_CLOSING = re.compile(r"\\?[\"”]$")
_MATHEMATICS = re.compile(r"[\d$\\]")
_LEAD = re.compile(
    r"(?:(?:approx(?:\.|imately)?|about|roughly|around|exactly|simply|just|thus|therefore|then|now"
    r"|indeed|given by|option|choice)(?:,|\b) *|[≈:=] *)+",
    re.IGNORECASE,
)
_VALUE = (
    r"(?:[-−–+±√(\[{\\$\d.½⅓⅔¼¾π∞]|[a-zA-Z](?:_\{?\w+\}?)?(?:\(\w\))? *[=<>≤≥∈]"
    r"|[a-zA-Z]?[ -+*/^√\\{}()]*\d|[A-J](?= *(?:[^\w\s'’]|\n|$)| (?:because|since|as|which)\b))"
)
_VALUE_START = re.compile(_VALUE)
_STATEMENT = re.compile(rf"(?:\b(?:{_IS}|gives?|get|have|has)\b|[=:]) *(?={_VALUE})")
_EXPLANATION = re.compile(
    r" *[,;:—] +(?!and\b|or\b|\w+ ?[=<>])[a-zA-Z]{2,}| +\((?=[a-zA-Z]{2,})| +—"
    r"|[,;]? +(?:because|since|which|as|so|where|when|for|after|from|by|with|if|given|based|rounded"
    r"|due|that|meaning|making|but)\b"
)
_EMPTY_WORDS = re.compile(
    r"(?:correct|right|wrong|confirmed|verified|indeed|as|obvious|clear|in|the|this|that|given"
    r"|based|below|above|reasonable|consistent|unique|not|an?|it|what|already|found|also|to)\b",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r" *(?:,|;|,? *\b(?:and|or)\b) *")
_ASIDE = re.compile(
    r",? \(?(?:(?:attained|achieved|occurring|reached|obtained) )?"
    r"(?:at|when|where|for example|e\.g\.),?"
    r" (?!.*(?:\b(?:is|are|was|get|have|has|gives?|equals?|total|so|then|leaves)\b|\. )).*=.*"
)
_REMARK = re.compile(r" ?\((?=[a-z]{2,} )[^()]*\)[\s.]*$")
_CONDITION = re.compile(r"\b(?:with|when|if|for|where|given|since|because) *$", re.IGNORECASE)
_SAID = re.compile(rf"(?:\b(?:{_IS})\b|=).*\d")
_SAID_BEHIND = re.compile(
    rf"\b(?:{_IS}|get|have|Therefore|Thus|Hence|So)\b[^.]*\d|= \$|^ ?= ?[-−]?\d"
)
"""What says a number behind the last formula of a line."""
_LISTED = re.compile(r"(?:\bare|:|^)[\s*]*$")
_HEADING_LINE = re.compile(r"\s*(?:#|step\s+\d)", re.IGNORECASE)


def announced_answer(text: str, only_values: bool = False) -> str:
    """Return what the last announcement announces, or "" where there is none.

    The last that announces a value wins over later ones that do not ("my answer is correct");
    with `only_values`, one that begins with its value.
    """
    phrases = ""
    for rest in islice(_announcements(text), _MAX_ANNOUNCEMENTS):
        rest = _OPENING.sub("", rest, count=1)
        if only_values:
            if _VALUE_START.match(rest):
                return _value(rest)
            continue
        value = _value(rest)
        if value and not _EMPTY_WORDS.match(value):
            return value
        phrases = phrases or value
    return phrases


def last_answer(tail: str) -> str:
    """Return what the last formula of the last line comes to, else its last number, or ""."""
    for formula in list(formulas(tail)):
        inside = tail[formula.start : formula.end]
        tail = tail[: formula.start] + inside.replace("\n", " ") + tail[formula.end :]
    lines = [line for line in tail.splitlines() if line.strip() and not _HEADING_LINE.match(line)]
    if not lines:
        return ""
    return _last_value(lines[-1])


def _announcements(text: str) -> Iterator[str]:
    """Yield what follows each announcement, from the last one to the first."""
    end = len(text)
    while (start := max(text.rfind(mark, 0, end) for mark in _MARKS)) >= 0:
        end = start
        line_start = max(text.rfind("\n", 0, start) + 1, start - _LONGEST_LINE)
        before, rest = text[line_start:start], text[start : start + _LONGEST_PHRASE]
        if rest.startswith("#"):
            match = _GSM8K.match(rest) if not before.strip() else None
        elif _SUPPOSED.search(before):
            match = None
        else:
            match = _ANNOUNCEMENT.match(rest)
            if not match and _HEADING_START.fullmatch(before):
                match = _HEADING.match(rest)
        if match:
            yield rest[match.end() :]


def _value(rest: str) -> str:
    """Return the value in what follows an announcement: a formula, a number, else a phrase."""
    rest = _LEAD.sub("", rest, count=1) if _LEAD.match(rest) else rest
    if joined := _formulas_at_start(rest):
        return joined
    phrase = _PHRASE_END.split(rest, maxsplit=1)[0]
    if not _MATHEMATICS.search(phrase):
        phrase = _PHRASE_END.split(rest.replace("**", ""), maxsplit=1)[0]
    phrase = _CLOSING.sub("", phrase.strip(" \t*"))
    if _VALUE_START.match(phrase):
        return _without_explanation(phrase)
    statements = list(_STATEMENT.finditer(phrase))
    if statements:
        value = phrase[statements[-1].end() :]
        return _formulas_at_start(value) or _without_explanation(value)
    return _last_value(phrase) or phrase.strip("$ ")


def _formulas_at_start(text: str) -> str:
    """Return the formula that a text begins with, and those that `,` or `and` joins to it."""
    contents, end = list[str](), 0
    for formula in formulas(text[:_LONGEST_PHRASE]):
        if contents and not _BETWEEN.fullmatch(text[end : formula.start]):
            break
        if not contents and formula.start:
            return ""
        contents.append(formula.content)
        end = formula.end
    if len(contents) > 1 and not re.match(r"\s*(?:[.;!?*]|\\?[\"”]|\n|$)", text[end:]):
        contents = contents[:1]
    return ", ".join(contents)


def _without_explanation(phrase: str) -> str:
    """Cut `72, which is the total` after its value, but not inside brackets."""
    for match in _EXPLANATION.finditer(phrase):
        value = phrase[: match.start()]
        if all(value.count(left) <= value.count(right) for left, right in ("()", "[]", "{}")):
            phrase = value
            break
    return phrase.strip(" \t*$").rstrip(".,;: ")


def _last_value(line: str) -> str:
    line = _without_aside(line)
    found = list(formulas(line))
    if not found:
        return last_stated(line)
    behind = line[found[-1].end :]
    if _SAID_BEHIND.search(behind):
        return last_number(behind)
    content = found[-1].content
    if _CONDITION.search(line[: found[-1].start]):  # `with $T=3, AB=7$`
        content = content.rpartition(",")[2].strip()
    return ", ".join(_joined(line, found)) or stated(content)


def _without_aside(line: str) -> str:
    """Cut `, attained at x = 2` and `(whatever T is)` from a line that has said its value."""
    remark = _REMARK.search(line)
    if remark and re.search(r"\d", line[: remark.start()]):
        line = line[: remark.start()]
    aside = _ASIDE.search(line)
    is_said = aside and _SAID.search(line[: aside.start()])
    return line[: aside.start()] if aside and is_said else line


def _joined(line: str, found: Sequence[Formula]) -> list[str]:
    """Return the last formulas of a line where all are its value.

    So they are where each names its value, `$x=3$ or $x=5$`, and where nothing but they follows
    "are", a colon or the beginning of the line.
    """
    first = len(found) - 1
    while first and _BETWEEN.fullmatch(line[found[first - 1].end : found[first].start]):
        first -= 1
    contents = [formula.content for formula in found[first:]]
    if not _LISTED.search(line[: found[first].start]):
        named = [_names(content) for content in contents]
        contents = contents[len(named) - named[::-1].index(False) if False in named else 0 :]
    return contents if len(contents) > 1 else []


def _names(content: str) -> bool:
    name, _, value = content.partition("=")
    return bool(value) and is_name(name.strip())
