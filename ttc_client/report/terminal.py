"""What everything that is printed shares: clean text, JSON, counts in words, coloured scores.

What models wrote is data: it is stripped of control characters and never read as markup.
"""

import re
import sys
from collections.abc import Sequence

import msgspec
from rich.cells import cell_len
from rich.text import Text

from ttc_client.types import Usage

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_NO_ASCII = re.compile(r"[^\x00-\x7f]")


def clean(text: str) -> str:
    """Return a model's text without what terminals act on, reverse or cannot print."""
    return _CONTROL.sub("�", text.replace("\r\n", "\n"))


def print_json(value: object) -> None:
    """Print a value as one line of JSON, with escapes for what terminals act on."""
    text = _CONTROL.sub(_escape, msgspec.json.encode(value).decode()) + "\n"
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # a terminal that is not UTF-8
        text = _NO_ASCII.sub(_escape, text)
    sys.stdout.write(text)


def _escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


def counted(count: float, one: str, many: str = "") -> str:
    """Return a count with its noun: "1 candidate", "2 candidates"."""
    return f"{count:g} {one if count == 1 else many or one + 's'}"


def packed(parts: Sequence[str], width: int) -> list[str]:
    """Join parts by dots into lines of at most `width` columns, each part on one line."""
    lines: list[str] = []
    for part in filter(None, parts):
        joined = f"{lines[-1]} · {part}" if lines else part
        if lines and cell_len(joined) <= width:
            lines[-1] = joined
        else:
            lines.append(part)
    return lines


def thought_length(thought: str) -> str:
    """Say how long a thought is that is not shown: "thought for 312 words"."""
    return f"thought for {counted(len(thought.split()), 'word')}"


def score_style(score: float | None) -> str:
    """Return the colour of a score, from red to green."""
    if score is None:
        return "dim"
    return "red" if score < 1 / 3 else "yellow" if score < 2 / 3 else "green"


def score_text(score: float | None) -> Text:
    """Return a score in its colour, five characters wide."""
    return Text("  –  " if score is None else f"{score:.3f}", style=score_style(score))


def retries(usage: Usage) -> str:
    """Say how many requests were sent again, and why; nothing where none were."""
    return _by_cause(usage.retries, "retry", "retries")


def failures(usage: Usage) -> str:
    """Say how many sequences were given up, and why; nothing where none were."""
    return _by_cause(usage.failures, "failed sequence", "failed sequences")


def _by_cause(counts: dict[str, int], one: str, many: str) -> str:
    if not counts:
        return ""
    often_first = sorted(counts.items(), key=lambda item: -item[1])
    causes = ", ".join(f"{cause} ×{count}" for cause, count in often_first)
    return f"{counted(sum(counts.values()), one, many)} ({causes})"
