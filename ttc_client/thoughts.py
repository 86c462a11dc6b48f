"""Tell a model's thought from its final response, in the marks of every family that has some.

Pure text. A thought stands at the beginning: `<think>…</think>`, another pair of marks, or
gpt-oss's channels. Where the prompt opens it, its first mark is missing.
"""

import re
from typing import NamedTuple

OPEN, CLOSE = "<think>", "</think>"
"""The marks in which thoughts are kept that a server sends beside the response."""

_PAIRS = (
    (OPEN, CLOSE),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_OPENING = tuple(mark for mark, _ in _PAIRS)
_HARMONY = re.compile(
    r"<\|channel\|>(?P<name>\w+)[^<]*<\|message\|>(?P<text>.*?)"
    r"(?:<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)
_BARE_HARMONY = re.compile(r"\s*analysis(?=[A-Z\s\"'`(\[$\\\d])")
_STRIPPED = re.compile(r"analysis[A-Z]")
_BARE_FINAL = "assistantfinal"
_FINAL = "<|channel|>final<|message|>"

_MARKS = re.compile(
    "|".join(re.escape(mark) for pair in _PAIRS for mark in pair)
    + r"|(?:<\|start\|>assistant)?<\|channel\|>[^<]*<\|message\|>|<\|(?:end|return|call)\|>"
)
_QUOTES = "`'\"“”‘’«»"


class Thought(NamedTuple):
    """A text without its marks. `is_open` says that the thought came to no end.

    `answer` is the final response, "" while the thought is open; all of it where nothing was
    thought.
    """

    thought: str
    answer: str
    is_open: bool = False


class Forced(NamedTuple):
    """What a budget of thought did to a step: tokens put in, times it went on, and its end."""

    num_tokens: int = 0
    waits: int = 0
    is_closed: bool = False


NOT_FORCED = Forced()


def with_thought(thought: str, answer: str | None) -> str:
    """Return one text of a thought and the response, which is None where there is none yet."""
    if not thought.strip():
        return answer or ""
    if answer is None:
        return f"{OPEN}\n{thought}"
    return f"{OPEN}\n{thought}\n{CLOSE}\n\n{answer}"


def opened_by(prompt: str) -> str:
    """Return the mark that ends the thought which a rendered prompt leaves open, "" if none is."""
    end = prompt.rstrip()
    return next((close for mark, close in _PAIRS if end.endswith(mark)), "")


def ends_thought(prompt: str) -> bool:
    """Return whether a rendered prompt ends with a thought that it ended itself."""
    end = prompt.rstrip()
    return any(end.endswith(close) for _, close in _PAIRS)


class Ending(NamedTuple):
    """How a thought ends: with `mark`, the last of the `whole` that ends it; `after` comes next."""

    mark: str
    whole: str
    after: str = "\n\n"


def ending_of(text: str, opened: str = "") -> Ending | None:
    """Return how the thought ends with which a text begins, None if it begins with none.

    `opened` is the mark that ends the thought which the prompt opened, if any.
    """
    begin = text.lstrip()
    if opened:
        return Ending(opened, opened)
    for mark, close in _PAIRS:
        if begin.startswith(mark):
            return Ending(close, close)
    if begin.startswith(("<|channel|>", "<|start|>")):
        return Ending(_FINAL, f"<|end|><|start|>assistant{_FINAL}", "")
    return None


def is_stripped(text: str) -> bool:
    """Return whether a text begins as gpt-oss's thought does without its special tokens."""
    return bool(_STRIPPED.match(text))


def unmarked(text: str) -> str:
    """Return a text with a blank line in the place of each mark, so that a thought has steps."""
    return _MARKS.sub("\n\n", text)


def split_thought(text: str, *, opened: bool = False) -> Thought:
    """Tell the thought from the response.

    `opened` says that the prompt opened the thought. Without that, a text that begins with no mark
    but holds one that closes a thought is a thought up to there.
    """
    if harmony := _harmony(text):
        return harmony
    begun = text.lstrip()
    if begun.startswith(_OPENING):
        mark, close = next(pair for pair in _PAIRS if begun.startswith(pair[0]))
        rest = begun[len(mark) :]
        return _closed(rest, mark, close) or Thought(rest.strip(), "", is_open=True)
    if "/" in text or "<|" in text:  # every mark that closes holds one of these; few texts do
        for mark, close in _PAIRS:
            if close in text and (found := _closed(text, mark, close)):
                return found
    return Thought(text.strip(), "", is_open=True) if opened else Thought("", text)


def _closed(text: str, mark: str, close: str) -> Thought | None:
    """Split at the mark that ends a thought which began before the text; None without one.

    Marks in quotes are talked about. Pairs within the thought or the response are passed over; of
    the others the last one ends the thought, which may have mentioned earlier ones.
    """
    tags = list(re.finditer(f"{re.escape(mark)}|{re.escape(close)}", text))
    plain = [tag for tag in tags if not _is_quoted(text, tag)]
    depth, end = 0, None
    for tag in plain:
        if tag[0] == mark:
            depth += 1
        elif depth:
            depth -= 1
        else:
            end = tag
    if end is None:  # a mark that opens was mentioned alone
        end = next((tag for tag in reversed(plain) if tag[0] == close), None)
    if end is None:
        return None
    return Thought(text[: end.start()].strip(), text[end.end() :].lstrip("\n"))


def _is_quoted(text: str, tag: re.Match[str]) -> bool:
    before, after = text[tag.start() - 1 : tag.start()], text[tag.end() : tag.end() + 1]
    return bool(before) and bool(after) and before in _QUOTES and after in _QUOTES


def _harmony(text: str) -> Thought | None:
    """Read gpt-oss's channels, with their special tokens or after a server has stripped them."""
    if "<|channel|>" in text and (parts := list(_HARMONY.finditer(text))):
        thought = "\n".join(part["text"].strip() for part in parts if part["name"] != "final")
        final = [part["text"] for part in parts if part["name"] == "final"]
        return Thought(thought, "".join(final), is_open=not final)
    if not (begin := _BARE_HARMONY.match(text)):
        return None
    thought, found, answer = text[begin.end() :].rpartition(_BARE_FINAL)
    if not found:
        return None  # an ordinary text may begin with this word
    return Thought(re.sub(r"assistant(?:analysis|commentary)", "\n", thought).strip(), answer)
