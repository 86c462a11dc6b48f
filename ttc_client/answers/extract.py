r"""Find the final answer in a solution's text.

Knows how models give an answer (`\boxed{...}`, "the final answer is ..."), and what is not part of
a solution: thoughts, special tokens, talk about boxes. Every function is linear in the text, and
most of a long text is only searched, never scanned in Python.
"""

import re
from collections.abc import Iterator
from itertools import chain, islice

from ttc_client.answers.announced import announced_answer, last_answer
from ttc_client.thoughts import split_thought

MAX_ANSWER_CHARS = 50_000
"""A box that has not closed within this many characters holds no answer."""

_MAX_BOXES = 32
_TAIL_CHARS = 4_000

_SPECIAL = re.compile(
    r"<[|｜][\w▁ /-]{1,40}[|｜]>|</?(?:s|bos|eos|pad|unk)>|<(?:start|end)_of_turn>|\[/?INST\]"
)
_NEXT_TURN = re.compile(
    r"<[|｜](?:im_start|start_header_id|user|User|assistant|Assistant|system)[|｜]>"
    r"|<start_of_turn>|\[INST\]"
)
_MAX_HEADERS = 8
"""Headers of turns that may stand before the text."""
_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_NATURAL_END = re.compile(r"(?<!\\)\$|\\[)\]]|\n")
_NO_ANSWER = re.compile(
    r"\.{2,}|…|\?+|_{2,}|\\[lc]?dots"
    r"|(?:\\text\s*\{)?(?:(?:your|the|my|final) )*(?:final )?answer(?: here)?\}?",
    re.IGNORECASE,
)
"""What stands in a box that is only talked about."""
_PROSE = re.compile(r"[a-z]{2,}(?:[\s.,;:!?]|$)")
_SPACE = r"(?:[\s$]|\\q?quad|\\[,;: ()\[\]])"
_LINK = r"(?:[,;&]|(?:\\text\s*\{\s*)?(?:,\s*)?\b(?:and|or)\b\s*\}?)"
_NAME = r"(?P<name>(?<![\w\\])[a-zA-Z](?:_\{?\w\}?)?)\s*=\s*"
_COUNTED = r"(?: [a-z]{3,}){1,2}(?= and )"
_BETWEEN = re.compile(rf"(?:{_COUNTED})?{_SPACE}*(?:{_LINK}{_SPACE}*)+(?:{_NAME}{_SPACE}*)?")
"""What joins two boxes to one answer; without a word or a comma they are two."""
_NAME_BEFORE = re.compile(rf"{_NAME}{_SPACE}*$")
_LONGEST_LINK = 60


def extract_answer(text: str) -> str:
    r"""Return the answer that a solution gives, without its box, or "" where it gives none.

    The last `\boxed` or `\fbox` wins, together with those that a comma or a word joins to it, but
    for a value that is announced as the answer after it. One that never closes holds what stands
    before the end of its formula or line. Without a box: what follows the last "answer is" or
    "answer:" (or GSM8K's `####`); else the last formula, else the last number, of the last line.
    """
    text = spoken(text)
    answer = _stated(text)
    return answer if answer or _has_box(text) else last_answer(text[-_TAIL_CHARS:])


def stated_answer(text: str) -> str:
    """Return the boxed or announced answer, "" where there is none, whatever number comes last."""
    return _stated(spoken(text))


def _stated(text: str) -> str:
    boxes = _boxes(text)
    last = next(boxes, None)
    if not last:
        return announced_answer(text)
    behind = text[last[1] : last[1] + _TAIL_CHARS]
    return announced_answer(behind, only_values=True) or _joined(text, chain([last], boxes))


def _has_box(text: str) -> bool:
    return text.rfind(r"\boxed") >= 0 or text.rfind(r"\fbox") >= 0


def spoken(text: str) -> str:
    """Return the text behind the thoughts, without special tokens and the turns after it."""
    text = split_thought(text).answer
    if ("<" not in text and "INST]" not in text) or not _SPECIAL.search(text):
        return text
    for turn in islice(_NEXT_TURN.finditer(text), _MAX_HEADERS):
        if _SPECIAL.sub("", text[: turn.start()]).strip():
            text = text[: turn.start()]
            break
    return _SPECIAL.sub("\n", text)


def _boxes(text: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, end and content of each box that holds an answer, the last one first."""
    begin, end = 0, len(text)
    for _ in range(_MAX_BOXES):
        start = max(text.rfind(r"\boxed", begin, end), text.rfind(r"\fbox", begin, end))
        if start < 0:
            return
        content, length = _box(text[start : start + MAX_ANSWER_CHARS])
        if content:
            yield start, start + length, content
        begin, end = max(0, start - MAX_ANSWER_CHARS), start


def _box(text: str) -> tuple[str, int]:
    """Return what stands in a box, "" where it is not an answer, and the length of the box."""
    opening = _BOX.match(text)
    body = text[opening.end() :] if opening else text
    content, length = _braced(body) if body.startswith("{") else _unbraced(body)
    is_answer = not _NO_ANSWER.fullmatch(content)
    return content if is_answer else "", len(text) - len(body) + length


def _braced(body: str) -> tuple[str, int]:
    depth = 0
    for match in _BRACE.finditer(body):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return body[1 : match.start()].strip(), match.end()
    if len(body) > MAX_ANSWER_CHARS - len(r"\boxed "):
        return "", len(body)
    return _NATURAL_END.split(body[1:], maxsplit=1)[0].strip(), len(body)


def _unbraced(body: str) -> tuple[str, int]:
    if _PROSE.match(body):
        return "", 0
    line = body.split("\n", 1)[0]
    end = _NATURAL_END.search(line)
    answer = line[: end.start()] if end else line.split(" ", 1)[0]
    return answer.strip().rstrip(".,;"), len(answer)


def _joined(text: str, boxes: Iterator[tuple[int, int, str]]) -> str:
    """Return the last box together with those that a comma or a word joins to it."""
    contents, names = list[str](), list[str]()
    after = len(text)
    for start, end, content in boxes:
        gap = text[end:after] if contents and after - end <= _LONGEST_LINK else ""
        link = _BETWEEN.fullmatch(gap)
        if contents and not link:
            break
        if link:
            names.append(link["name"] or "")
        contents.append(content)
        after = start
    name = _NAME_BEFORE.search(text[max(0, after - _LONGEST_LINK) : after])
    names.append(name["name"] if name else "")
    if len(contents) > 1 and all(names) and len(set(names)) == len(names):
        contents = [f"{name}={content}" for name, content in zip(names, contents, strict=True)]
    return ", ".join(reversed(contents))
