"""Convert LaTeX formulas to MathML that is safe to show and that browsers can draw.

A formula becomes plain nested lists, `[tag, {attribute: value}, child, ...]`, of known tags and
attributes alone; a script builds elements of them, and their texts stay texts. What browsers no
longer draw (MathML Core has no `menclose`, no `mathvariant`) is said with a class of page.css.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from html import unescape
from typing import Any
from xml.etree.ElementTree import Element

from ttc_client.report.letters import styled

Node = list[Any]
"""A tag, its attributes where it has any, and its children: nodes, or one text."""

Converter = Callable[..., Element]
"""Converts LaTeX; `display` is "block" for a formula on a line of its own, else "inline"."""

_LONGEST, _DEEPEST = 2_000, 40
_DEFINES = re.compile(r"\\(?:re)?new|\\provide|\\[egx]?def(?![a-z])|\\let(?![a-z])|\\Declare")
"""What defines macros, with which a few characters can grow to gigabytes."""
_ESCAPED = re.compile(r"&#x[0-9A-Fa-f]{1,6};")
_MANY = 0
_ARITIES = {
    **dict.fromkeys(("mrow", "mstyle", "mpadded", "mphantom", "msqrt", "menclose"), _MANY),
    **dict.fromkeys(("mtable", "mtr", "mtd"), _MANY),
    **dict.fromkeys(("mfrac", "mroot", "msub", "msup", "munder", "mover"), 2),
    **dict.fromkeys(("msubsup", "munderover"), 3),
}
_TOKENS = {"mi", "mn", "mo", "mtext", "mspace"}
_FLAGS = {
    *("stretchy", "fence", "accent", "accentunder", "movablelimits", "largeop", "displaystyle"),
    "separator",
}
_LENGTHS = {
    *("width", "height", "depth", "lspace", "rspace", "voffset"),
    *("minsize", "maxsize", "linethickness"),
}
_LENGTH = re.compile(r"[+-]?(\d{0,2}(?:\.\d{1,4})?)(?:em|ex|pt|px|mm)?")
_CLASSES = {
    "box": "boxed",
    "updiagonalstrike": "struck",
    "downdiagonalstrike": "struck",
    "updiagonalstrike downdiagonalstrike": "struck",
    "horizontalstrike": "struck",
}
_RELATIONS = set("=<>≤≥≠≈≡∼→⇒⇔+−-±,;")
_FEWEST_TO_BREAK = 10
_SIGNS = {"+", "-", "−", "±", "∓"}
_BEFORE_OPERANDS = set("([{⟨=<>≤≥≠≈≡∼→⇒⇔+−-±∓,;:⋅·×÷/")
"""What a sign belongs to the number after, as in TeX."""
_BARS = {"|", "‖", "∥"}
_NOT_OPERATORS = set("∞∅∠∡△")
"""What the library takes for operators, with space around them, but should not."""


class _CannotShowError(Exception):
    """The formula holds what is not known to be harmless or to be drawn."""


def load_converter() -> Converter | None:
    """Return what converts LaTeX, an extra; None where it is not installed."""
    try:
        from latex2mathml.converter import convert_to_element
    except ImportError:
        return None
    return convert_to_element


def to_mathml(tex: str, convert: Converter, *, display: bool = False) -> list[Node] | None:
    """Return a formula as rows between which a line may break; None if it cannot be shown."""
    if len(tex) > _LONGEST or _DEFINES.search(tex) or _depth(tex) > _DEEPEST:
        return None
    try:
        row = _node(next(iter(convert(tex, display="block" if display else "inline"))))
    except Exception:  # of many kinds, for what models write: IndexError, KeyError
        return None
    if not any(_texts(row)):
        return None
    return [row] if display else _broken(row)


def _depth(tex: str) -> int:
    """Return an upper bound of how deeply groups and commands lie in each other."""
    deepest = depth = 0
    for piece in re.findall(r"[{}]|\\left(?![a-z])|\\right(?![a-z])|\\begin|\\end", tex):
        depth += 1 if piece in ("{", r"\left", r"\begin") else -1
        deepest = max(deepest, depth)
    return deepest + max((len(run) for run in re.findall(r"[\^_]+", tex)), default=0)


def _node(element: Element) -> Node:
    tag = element.tag
    attributes = dict(_attributes(element))
    if tag in _TOKENS:
        return _token(tag, attributes, _text(element))
    if tag not in _ARITIES:
        raise _CannotShowError(tag)
    children = _signed(_fitting(tag, [_node(child) for child in element]))
    return _made("mrow" if tag == "menclose" else tag, attributes, children)


def _token(tag: str, attributes: dict[str, str], text: str) -> Node:
    if tag == "mo" and text in _NOT_OPERATORS:
        return ["mi", {"mathvariant": "normal"}, text]
    if tag == "mo" and text in _BARS:
        attributes = {**attributes, "lspace": "0em", "rspace": "0em"}
    return _made(tag, attributes, [text])


def _signed(children: list[Node]) -> list[Node]:
    """Return a row whose signs at the beginning, or behind an operator, stand close to a number."""
    signed: list[Node] = []
    for child in children:
        is_first = not signed or (signed[-1][0] == "mo" and signed[-1][-1] in _BEFORE_OPERANDS)
        if child[0] == "mo" and child[-1] in _SIGNS and is_first:
            child = ["mo", {"form": "prefix"}, child[-1]]
        signed.append(child)
    return signed


def _fitting(tag: str, children: list[Node]) -> list[Node]:
    """Return as many children as the tag takes: a matrix with a power comes in three pieces."""
    surplus = len(children) - _ARITIES[tag]
    if _ARITIES[tag] == _MANY or not surplus:
        return children
    if surplus < 0 or tag in ("mfrac", "mroot"):
        raise _CannotShowError(tag)
    return [["mrow", *children[: surplus + 1]], *children[surplus + 1 :]]


def _made(tag: str, attributes: dict[str, str], children: Sequence[Node | str]) -> Node:
    return [tag, attributes, *children] if attributes else [tag, *children]


def _text(element: Element) -> str:
    """Return the text of a token; raises where it is a command that is not known."""
    text = _ESCAPED.sub(lambda found: unescape(found[0]), element.text or "")
    if text.startswith("\\") and len(text) > 1:
        raise _CannotShowError(text)
    return styled(text, element.attrib.get("mathvariant", ""))


def _attributes(element: Element) -> Iterator[tuple[str, str]]:
    for name, value in element.attrib.items():
        is_flag = name in _FLAGS and value in ("true", "false")
        is_form = name == "form" and value in ("prefix", "infix", "postfix")
        is_level = name == "scriptlevel" and re.fullmatch(r"[+-]?[0-3]", value)
        if is_flag or is_form or is_level or (name in _LENGTHS and _is_short(value)):
            yield name, value
        elif name == "columnalign" and value in ("left", "right"):
            yield "class", f"to-{value}"
        elif name == "notation" and value in _CLASSES:
            yield "class", _CLASSES[value]
        elif name == "mathvariant" and element.tag == "mi" and value in ("bold", "normal"):
            yield "mathvariant", "normal"  # else one letter alone is italic


def _is_short(length: str) -> bool:
    """Say whether a length is one that moves nothing over the rest of the page."""
    found = _LENGTH.fullmatch(length)
    return bool(found) and float(found[1] or 0) <= (40 if length.endswith(("pt", "px")) else 6)


def _texts(node: Node) -> Iterator[str]:
    for child in node[1:]:
        if isinstance(child, str):
            yield child.strip()
        elif isinstance(child, list):
            yield from _texts(child)  # pyright: ignore[reportUnknownArgumentType]


def _broken(row: Node) -> list[Node]:
    """Split a long row after its relations and signs, outside brackets, as TeX breaks lines."""
    children: list[Any] = [child for child in row[1:] if not isinstance(child, dict | str)]
    if len(children) < _FEWEST_TO_BREAK:
        return [row]
    rows: list[Node] = [["mrow"]]
    depth = 0
    for index, child in enumerate(children):
        text = child[-1] if child[0] == "mo" and child[1] != {"form": "prefix"} else ""
        depth += (text in ("(", "[")) - (text in (")", "]"))
        is_between = len(rows[-1]) > 1 and index < len(children) - 1
        breaks = depth == 0 and text in _RELATIONS and bool(text) and is_between
        rows[-1].append(["mo", {"form": "infix"}, text] if breaks else child)
        if breaks:
            rows.append(["mrow"])
    return rows
