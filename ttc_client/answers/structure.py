"""Cut plain LaTeX at its outermost level, by the nesting of its brackets alone."""

import re
from collections.abc import Collection

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|[^\\\w\s.]", re.DOTALL)
"""What may nest or separate: a command or a sign; letters, digits and spaces do neither."""
_MEMBERSHIP = re.compile(r"[^\[\]]{1,20}\\in(?![a-zA-Z])")
_HALF_OPEN = re.compile(
    r"(?P<left>[\[\](])(?P<ends>[^\[\]();,]*[;,][^\[\]();,]*)(?P<right>[\[\])])"
)
_OPENING = frozenset({"(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil", r"\begin"})
_CLOSING = frozenset({")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\end"})


def nesting(text: str) -> int | None:
    """Return the greatest depth of brackets, or None where they do not balance."""
    deepest = depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in _OPENING:
            depth += 1
            deepest = max(deepest, depth)
        elif token in _CLOSING:
            depth -= 1
            if depth < 0:
                return None
    return deepest if depth == 0 else None


def split(text: str, separators: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the stripped parts of a balanced text between outermost separators, and those."""
    parts, found = list[str](), list[str]()
    depth = start = 0
    if any(separator in text for separator in separators):
        for match in _TOKEN.finditer(text):
            token = match[0]
            if token in _OPENING:
                depth += 1
            elif token in _CLOSING:
                depth -= 1
            elif depth == 0 and token in separators:
                found.append(token)
                parts.append(text[start : match.start()].strip())
                start = match.end()
    parts.append(text[start:].strip())
    return parts, found


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Return opening bracket, inside and closing bracket where one pair encloses all the text."""
    first = _TOKEN.match(text)
    if not first or first[0] not in _OPENING or first[0] == r"\begin":
        return None
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += (match[0] in _OPENING) - (match[0] in _CLOSING)
        if depth == 0:
            inside = text[first.end() : match.start()].strip()
            return (first[0], inside, match[0]) if match.end() == len(text) else None
    return None


def upright_brackets(text: str) -> str:
    r"""Return intervals written as `]1,2[` with round brackets; other text as it is."""
    if "[" not in text and "]" not in text:
        return text
    membership = _MEMBERSHIP.match(text)
    start = membership.end() if membership else 0
    parts = [_HALF_OPEN.fullmatch(part.strip()) for part in text[start:].split(r"\cup")]
    found = [part for part in parts if part]
    if len(found) < len(parts) or not any(
        part["left"] == "]" or part["right"] == "[" for part in found
    ):
        return text
    upright = [
        f"{part['left'].replace(']', '(')}{part['ends']}{part['right'].replace('[', ')')}"
        for part in found
    ]
    return text[:start] + r" \cup ".join(upright)
