"""Cut plain LaTeX at its outermost level, by the nesting of its brackets alone."""

import re
from collections.abc import Collection, Iterator

_TOKEN = re.compile(r"\\[a-zA-Z]+|\\.|\s+|[^\\]", re.DOTALL)
_MEMBERSHIP = re.compile(r"[^\[\]]{1,20}\\in(?![a-zA-Z])")
_HALF_OPEN = re.compile(
    r"(?P<left>[\[\](])(?P<ends>[^\[\]();,]*[;,][^\[\]();,]*)(?P<right>[\[\])])"
)
_OPENING = frozenset({"(", "[", "{", r"\{", r"\langle", r"\lfloor", r"\lceil", r"\begin"})
_CLOSING = frozenset({")", "]", "}", r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\end"})


def nesting(text: str) -> int | None:
    """Return the greatest depth of brackets, or None where they do not balance."""
    deepest = depth = 0
    for _, depth in _tokens(text):
        deepest = max(deepest, depth)
        if depth < 0:
            return None
    return deepest if depth == 0 else None


def split(text: str, separators: Collection[str]) -> tuple[list[str], list[str]]:
    """Return the stripped parts of a balanced text between outermost separators, and those."""
    parts, found = [""], list[str]()
    for token, depth in _tokens(text):
        if depth == 0 and token in separators:
            found.append(token)
            parts.append("")
        else:
            parts[-1] += token
    return [part.strip() for part in parts], found


def enclosed(text: str) -> tuple[str, str, str] | None:
    """Return opening bracket, inside and closing bracket where one pair encloses all the text."""
    tokens = list(_tokens(text))
    if len(tokens) < 2 or tokens[0][0] not in _OPENING or tokens[0][0] == r"\begin":
        return None
    if any(depth == 0 for _, depth in tokens[:-1]):
        return None
    return tokens[0][0], "".join(token for token, _ in tokens[1:-1]).strip(), tokens[-1][0]


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


def _tokens(text: str) -> Iterator[tuple[str, int]]:
    """Yield each token with the depth after it."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        depth += (token in _OPENING) - (token in _CLOSING)
        yield token, depth
