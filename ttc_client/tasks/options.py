"""Read the options of multiple-choice questions, in the layouts that data sets have, and the gold.

Lists, the text of a list, objects by letter or of labels and texts, a column for each (MMLU-Pro,
MMLU, GPQA, ARC, SciQ and others), or lines of the question. Pure.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple, cast

from ttc_client.answers.letters import MAX_OPTIONS, option_of
from ttc_client.errors import ConfigError
from ttc_client.tasks.rows import Row, UnreadableRowError

_RIGHT_FIRST = (
    ("Correct Answer", ("Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")),
    ("correct_answer", ("distractor1", "distractor2", "distractor3")),
)
"""Columns of sets that name the right option and the wrong ones, such as GPQA and SciQ."""
_SERIES = (
    "ABCDEFGHIJ",
    "abcdefghij",
    *([f"{stem}{i}" for i in range(10)] for stem in ("option", "choice", "ending", "answer")),
    *([f"{stem}{i}" for i in range(1, 11)] for stem in ("option", "choice", "sol", "answer")),
    *([f"{stem}_{i}" for i in range(1, 11)] for stem in ("option", "choice")),
    *([f"{stem}{i}" for i in "abcdefghij"] for stem in ("option_", "choice_", "op", "opt")),
    *([f"{stem}{i}" for i in "ABCDEFGHIJ"] for stem in ("option_", "choice_", "option ", "op")),
)
"""Names of the columns of sets with a column for each option."""
_LINE = re.compile(r"^[ \t]*(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])[).:])[ \t]+(\S.*?)[ \t]*$", re.M)


class Options(NamedTuple):
    """Option texts, and what the set calls each: "" where it says nothing."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()
    gold: str = ""
    right_first: bool = False


def options_of(row: Row, cell: Any) -> Options:
    """Return a row's options, from the cell of that field if it has one, else from its columns.

    Raises UnreadableRowError where there are none, or fewer than two.
    """
    found = _listed(cell) if cell is not None else _by_column(row)
    if found is None:
        raise UnreadableRowError("has no options")
    if not 2 <= len(found.texts) <= MAX_OPTIONS:
        raise UnreadableRowError(f"has {len(found.texts)} options")
    if not all(text.strip() for text in found.texts):
        raise UnreadableRowError("has an option without a text")
    return found


def options_in(question: str) -> tuple[str, ...]:
    """Return the options that a question itself lists, a line each, from A on; () if it does not.

    The last such list counts.
    """
    options: list[str] = []
    for match in _LINE.finditer(question):
        letter = (match[1] or match[2]).upper()
        if letter == "A":
            options = [match[3]]
        elif options and letter == ascii_uppercase[len(options) % MAX_OPTIONS]:
            options.append(match[3])
    return tuple(options) if len(options) > 1 else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _listed(cell: Any) -> Options | None:
    """Read one cell: a list, an object, or the text of either in JSON's or Python's spelling."""
    if isinstance(cell, str):
        cell = _parsed(cell)
    if isinstance(cell, Mapping):
        return _mapped(cast(Mapping[str, Any], cell))
    if not isinstance(cell, Sequence):
        return None
    members = cast(Sequence[Any], cell)
    if members and all(isinstance(member, Mapping) for member in members):
        return _objects(cast(Sequence[Mapping[str, Any]], members))
    return Options(_without_letters(tuple(map(_text, members))))


def _parsed(text: str) -> Any:
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
    lines = options_in(text)
    return list(lines) if lines else [part.strip() for part in text.split("|")]


def _mapped(cell: Mapping[str, Any]) -> Options | None:
    """Read `{"text": [...], "label": [...]}` or `{"A": ..., "B": ...}`."""
    texts = cell.get("text", cell.get("choices"))
    labels = cell.get("label", cell.get("labels"))
    if isinstance(texts, Sequence) and not isinstance(texts, str):
        texts = tuple(map(_text, cast(Sequence[Any], texts)))
        marks = list(cast(Sequence[Any], labels or ()))
        if sum(mark == 1 for mark in marks) == 1 and set(marks) <= {0, 1}:  # TruthfulQA
            return Options(texts, gold=ascii_uppercase[marks.index(1)])
        return Options(texts, tuple(map(_text, marks)))
    return Options(tuple(map(_text, cell.values())), tuple(map(str, cell)))


def _objects(members: Sequence[Mapping[str, Any]]) -> Options | None:
    """Read `[{"label": "A", "text": ...}, ...]`."""
    if not all("text" in member for member in members):
        return None
    labels = tuple(str(member.get("label", member.get("id", ""))) for member in members)
    return Options(tuple(_text(member["text"]) for member in members), labels)


def _without_letters(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Take the letters off options that all begin with theirs, as in "A) twelve"."""
    led = options_in("\n".join(" ".join(text.split()) for text in texts))
    return led if len(led) == len(texts) else texts


def _by_column(row: Row) -> Options | None:
    for right, wrong in _RIGHT_FIRST:
        if row.get(right) is not None:
            texts = [row[right], *(row[name] for name in wrong if row.get(name) is not None)]
            return Options(tuple(map(_text, texts)), gold="A", right_first=True)
    for names in _SERIES:
        texts = [row[name] for name in names if row.get(name) not in (None, "")]
        if len(texts) > 1 and all(row.get(name) is not None for name in names[:2]):
            labels = tuple(names[: len(texts)])
            return Options(tuple(map(_text, texts)), labels)
    return None


class Marked(NamedTuple):
    """A problem's options, what the set calls them, and how it writes the right one."""

    options: Sequence[str]
    labels: Sequence[str]
    gold: str


def gold_letters(marked: Sequence[Marked], first: int | None) -> list[str]:
    """Return the letter of each problem's right option.

    The set may write letters, labels of its own, indices or the options' texts. `first` is the
    index of the first option; None finds it in the set: 0 where some gold is 0, 1 where some gold
    is the number of its options. Raises ConfigError where it does not say, never guessing.
    """
    for read in (_by_label, _by_letter):
        if None not in (letters := [read(each) for each in marked]):
            return cast(list[str], letters)
    if all(each.gold.isdecimal() for each in marked) and not all(map(_is_text, marked)):
        first = _first_index(marked) if first is None else first
    else:
        first = None
    return [_letter(each, first) for each in marked]


def _by_label(each: Marked) -> str | None:
    labels = [label.strip().casefold() for label in each.labels]
    gold = each.gold.strip().casefold()
    return ascii_uppercase[labels.index(gold)] if labels.count(gold) == 1 else None


def _by_letter(each: Marked) -> str | None:
    letter = each.gold.strip().strip("()[].:").upper()
    index = ascii_uppercase.find(letter) if len(letter) == 1 else -1
    return letter if 0 <= index < len(each.options) else None


def _is_text(each: Marked) -> bool:
    return option_of(each.gold, each.options) is not None


def _first_index(marked: Sequence[Marked]) -> int:
    golds = [int(each.gold) for each in marked]
    has_zero = 0 in golds
    has_last = any(gold == len(m.options) for gold, m in zip(golds, marked, strict=True))
    if has_zero == has_last:
        both = "both 0 and the number of options" if has_zero else "neither 0 nor the last number"
        raise ConfigError(
            f"the gold answers are numbers, and among them {'are' if has_zero else 'is'} {both}: "
            "say with --first-option 0 or 1 which number the first option has"
        )
    return 0 if has_zero else 1


def _letter(each: Marked, first: int | None) -> str:
    if letter := _by_letter(each):
        return letter
    if first is not None and 0 <= (index := int(each.gold) - first) < len(each.options):
        return ascii_uppercase[index]
    if first is None and (found := option_of(each.gold, each.options)) is not None:
        return ascii_uppercase[found]
    raise ConfigError(
        f"the gold answer {each.gold!r} is none of the options {list(each.options)}: it must be a "
        "letter, a number or an option's text; name its column with --column answer=COLUMN"
    )
