r"""Find the final answer in a solution's text.

Knows how models announce an answer (`\boxed{...}`, "the final answer is ..."); knows nothing of
what an answer means. Every function is linear in the text, and most of a long text is only
searched, never scanned in Python.
"""

import re

MAX_ANSWER_CHARS = 50_000
"""A box that has not closed within this many characters holds no answer."""

_MAX_EMPTY_BOXES = 32
_TAIL_CHARS = 4_000

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_NATURAL_END = re.compile(r"(?<!\\)\$|\\[)\]]|\n")
_ANNOUNCED = re.compile(
    r"(?:answer\s+is\b\s*:?|answer\**\s*:|####)[\s*]*(?P<answer>[^\n]+)", re.IGNORECASE
)
_FORMULA = re.compile(r"\$\$?([^$\n]+)\$|\\\(([^\n]+?)\\\)|\\\[([^\n]+?)\\\]")
_PHRASE_END = re.compile(r"[.!?]?\*\*|[.!?](?:\s|$)")
_NUMBER = re.compile(r"-?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:/\d+)?")
_HEADING = re.compile(r"\s*(?:#|step\s+\d)", re.IGNORECASE)


def extract_answer(text: str) -> str:
    r"""Return the answer that a solution gives, without its box, or "" where it gives none.

    The last `\boxed` or `\fbox` that is not empty wins; one that never closes holds what stands
    before the end of its formula or line. Without a box: what follows the last "answer is" or
    "answer:" (or GSM8K's `####`); else the last formula, else the last number, of the last line.
    """
    begin, end = 0, len(text)
    for _ in range(_MAX_EMPTY_BOXES):
        start = max(text.rfind(r"\boxed", begin, end), text.rfind(r"\fbox", begin, end))
        if start < 0:
            break
        if answer := _box_content(text[start : start + MAX_ANSWER_CHARS]):
            return answer
        begin, end = max(0, start - MAX_ANSWER_CHARS), start
    return _announced(text[-_TAIL_CHARS:]) if end == len(text) else ""


def _box_content(box: str) -> str:
    body = _BOX.sub("", box, count=1)
    if not body.startswith("{"):
        return _unbraced(body)
    depth = 0
    for match in _BRACE.finditer(body):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        if depth == 0:
            return body[1 : match.start()].strip()
    if len(box) == MAX_ANSWER_CHARS:
        return ""
    return _NATURAL_END.split(body[1:], maxsplit=1)[0].strip()


def _unbraced(body: str) -> str:
    line = body.split("\n", 1)[0]
    end = _NATURAL_END.search(line)
    answer = line[: end.start()] if end else line.split(" ", 1)[0]
    return answer.strip().rstrip(".,;")


def _announced(tail: str) -> str:
    announcements = list(_ANNOUNCED.finditer(tail))
    if announcements:
        return _first_phrase(announcements[-1]["answer"])
    lines = [line for line in tail.splitlines() if line.strip() and not _HEADING.match(line)]
    if not lines:
        return ""
    if formulas := _FORMULA.findall(lines[-1]):
        return "".join(formulas[-1]).split("=")[-1].strip()
    numbers = _NUMBER.findall(lines[-1])
    return numbers[-1].rstrip(",") if numbers else ""


def _first_phrase(rest: str) -> str:
    if formula := _FORMULA.match(rest):
        return "".join(formula.groups("")).strip()
    return _PHRASE_END.split(rest, maxsplit=1)[0].strip(" \t*$")
