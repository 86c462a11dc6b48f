"""Find the formulas in what models and data sets wrote, and typeset them.

A text becomes its parts: strings, and for each formula its place in a list that a page holds once.
What cannot be typeset stays as it was written.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ttc_client.report.mathml import Node, load_converter, to_mathml

Rich = str | list[str | int]
"""A text without formulas, or its parts: texts, and indices into the list of formulas."""

_LONGEST, _LONGEST_GROUP, _LONGEST_DRAWING = 2_000, 500, 20_000
_ENVIRONMENTS = {"align", "align*", "equation", "equation*", "gather", "gather*", "eqnarray*"}
_OPENING = re.compile(
    r"\\\$|\$\$?|\\\[|\\\(|\\boxed\s*\{|\\fbox\s*\{|\\begin\{([a-z]+\*?)\}|\[asy\]"
)
_CLOSING = {"$$": "$$", r"\[": r"\]", r"\(": r"\)", "[asy]": "[/asy]"}
_GROUPING = re.compile(r"\\.|[{}]", re.DOTALL)
_TEX = re.compile(r"[\\^_{]")


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula: its LaTeX, its rows of MathML, and whether it stands on a line of its own."""

    tex: str
    rows: list[Node]
    display: bool


@dataclass(frozen=True, slots=True)
class _Span:
    """Where a formula lies in a text, with its delimiters."""

    start: int
    end: int
    tex: str
    display: bool


class Typesetter:
    """Typeset the texts of one page; each formula is converted, and kept, once."""

    def __init__(self) -> None:
        self.formulas: list[Formula] = []
        self._places: dict[tuple[str, bool], int | None] = {}
        self._convert = load_converter()

    @property
    def can_convert(self) -> bool:
        """Whether the library that converts formulas is installed."""
        return self._convert is not None

    def text(self, text: str) -> Rich:
        """Return the parts of a text in which formulas stand between delimiters."""
        if "$" not in text and "\\" not in text:
            return text
        parts: list[str | int] = []
        end = 0
        for span in _spans(text):
            place = self._place(span.tex, span.display)
            if place is not None:
                parts += [_unescaped(text[end : span.start]), place]
                end = span.end
        if not parts:
            return text
        return [part for part in (*parts, _unescaped(text[end:])) if part != ""]

    def answer(self, answer: str) -> Rich:
        """Return the parts of an answer, which is a formula whether delimiters say so or not."""
        found = self.text(answer)
        if not isinstance(found, str) or not _TEX.search(answer):
            return found
        place = self._place(answer.strip(), display=False)
        return answer if place is None else [place]

    def _place(self, tex: str, display: bool) -> int | None:
        if (tex, display) not in self._places:
            rows = self._convert and to_mathml(tex, self._convert, display=display)
            self._places[tex, display] = len(self.formulas) if rows else None
            if rows:
                self.formulas.append(Formula(tex, rows, display))
        return self._places[tex, display]


def _spans(text: str) -> Iterator[_Span]:
    """Find the formulas of a text; an opening that never closes does not count."""
    place = 0
    while found := _OPENING.search(text, place):
        span = _span(text, found)
        place = span.end if span else found.end()
        if span and span.tex.strip():
            yield span


def _span(text: str, found: re.Match[str]) -> _Span | None:
    """Return the formula that begins with a delimiter, or what is to be skipped, without TeX."""
    start, opening = found.start(), found[0]
    if opening == "$":
        return _dollars(text, start)
    if closing := _CLOSING.get(opening):
        is_drawing = opening == "[asy]"
        longest = _LONGEST_DRAWING if is_drawing else _LONGEST
        end = text.find(closing, found.end(), found.end() + longest)
        tex = "" if is_drawing else text[found.end() : end]
        return None if end < 0 else _Span(start, end + len(closing), tex, opening != r"\(")
    if found[1] in _ENVIRONMENTS:
        closing = f"\\end{{{found[1]}}}"
        end = text.find(closing, found.end(), found.end() + _LONGEST) + len(closing)
        return None if end < len(closing) else _Span(start, end, text[start:end], display=True)
    if opening.endswith("{") and not found[1]:
        end = _closed(text, found.end())
        return _Span(start, end, text[start:end], display=False) if end else None
    return None


def _dollars(text: str, start: int) -> _Span | None:
    """Return what lies between dollars, by Pandoc's rule, so that $5 and $10 are sums of money."""
    place = start + 1
    if text[place : place + 1].isspace():
        return None
    while (end := text.find("$", place, start + _LONGEST)) > 0:
        if text[end - 1] == "\\":
            place = end + 1
        elif (
            text[end - 1].isspace()
            or text[end + 1 : end + 2].isdigit()
            or "\n\n" in text[start:end]
        ):
            return None
        else:
            return _Span(start, end + 1, text[start + 1 : end], display=False)
    return None


def _closed(text: str, start: int) -> int:
    """Return the end of a group whose brace is open at `start`; 0 if it is never closed."""
    depth = 1
    for found in _GROUPING.finditer(text, start, start + _LONGEST_GROUP):
        depth += {"{": 1, "}": -1}.get(found[0], 0)
        if not depth:
            return found.end()
    return 0


def _unescaped(text: str) -> str:
    return text.replace(r"\$", "$")
