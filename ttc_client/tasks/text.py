"""Short answers in words, equal where they read the same but for case, articles and punctuation."""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

from ttc_client.answers.extract import spoken, stated_answer
from ttc_client.tasks.functions import Measure, called, check_measure, python_function, scored
from ttc_client.tasks.prompts import TEXT_SYSTEM_PROMPT, under
from ttc_client.tasks.rows import Cell, Reading, Row
from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’“”–—…")
_MARK = re.compile(r"(?:^|\n)[ \t*_#>]*(?:final )?answer[ \t*_]*:[ \t*_]*", re.IGNORECASE)


def normalised(text: str) -> str:
    """Return a text without case, articles, punctuation and extra space, as SQuAD compares it."""
    words = _ARTICLE.sub(" ", text.casefold().translate(_PUNCTUATION)).split()
    return " ".join(words)


def exact(answer: str, gold: str) -> float:
    """Return 1 where both read the same."""
    return float((normalised(answer) or answer) == (normalised(gold) or gold))


def f1(answer: str, gold: str) -> float:
    """Return the harmonic mean of precision and recall over words (SQuAD, arXiv 1606.05250)."""
    ours, theirs = (Counter(normalised(text).split()) for text in (answer, gold))
    if not ours or not theirs:
        return exact(answer, gold)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


def contains(answer: str, gold: str) -> float:
    """Return 1 where the words of the gold answer stand in the answer, in one piece."""
    wanted = normalised(gold)
    return float(bool(wanted) and f" {wanted} " in f" {normalised(answer)} ")


MEASURES: Final[Mapping[str, Measure]] = {"exact": exact, "f1": f1, "contains": contains}


@dataclass(frozen=True, slots=True)
class Text:
    """Free text with a right answer. `data["golds"]` has the right answers where they are several.

    `key` names a function that returns equal strings for equivalent answers, `score` how an answer
    is graded: "exact", "f1", "contains", or a function of problem and answer. Raises ConfigError.
    """

    system_prompt: str = TEXT_SYSTEM_PROMPT
    key: str | None = field(
        default=None,
        metadata={
            "help": "What equivalent answers share: python:module:function of an answer; without "
            "one, an answer without case, articles and punctuation."
        },
    )
    score: str = field(
        default="exact",
        metadata={
            "help": "How an answer is graded: exact, f1, contains, or python:module:function of "
            "problem and answer; that of open by its judge, or a function."
        },
    )
    name: str = "text"
    about: ClassVar[str] = (
        "a short answer in words; equal without case, articles and punctuation, or by --key"
    )

    def __post_init__(self) -> None:
        check_measure(self.score, MEASURES)
        if self.key:
            python_function(self.key, "key")

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """A passage that the question is about, and what sets call the answers."""
        return {
            "context": ("context", "passage"),
            "answer": ("answer", "answers", "target", "output", "label"),
            "problem": ("question", "problem", "prompt", "input"),
        }

    @property
    def needs_gold(self) -> bool:
        """A function may grade without a gold answer."""
        return self.score in MEASURES

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read the right answers, and put the passage before the question."""
        golds = golds_of(cell("answer"))
        context, question = cell("context"), cell("problem")
        passage = isinstance(context, str) and context.strip() and isinstance(question, str)
        return Reading(
            data={"golds": golds} if len(golds) > 1 else {},
            question=f"{context.strip()}\n\n{question}" if passage else None,
            gold=golds[0] if golds else None,
        )

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems as they are."""
        return problems

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt, where there is one."""
        return under(self.system_prompt, problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the paragraph behind the last "Answer:", what is announced, or else all of it."""
        text = spoken(text).strip()
        *before, marked = _MARK.split(text)
        if before:
            return _unquoted(marked.strip().partition("\n\n")[0])
        return stated_answer(text) or _unquoted(text)

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return the normalised answers, or what the user's function makes of them."""
        if not self.key:
            return [normalised(answer) or answer for answer in answers]
        function = python_function(self.key, "key")
        return [str(await called(function, answer)) for answer in answers]

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return the score of each answer, the best over the right ones."""
        golds = problem.data.get("golds") or ([problem.gold] if problem.gold else [])
        return await scored(self.score, MEASURES, problem, answers, golds)


def golds_of(cell: Any) -> list[str]:
    """Return the right answers of a cell: one, a list, or an object as of SQuAD or TriviaQA."""
    if isinstance(cell, Mapping):
        members = cast(Mapping[str, Any], cell)
        cell = members.get("text", [members.get("value"), *(members.get("aliases") or ())])
    several = cast(list[Any], cell if isinstance(cell, list | tuple) else [cell])
    texts = [str(each).strip() for each in several if each is not None]
    return list(dict.fromkeys(text for text in texts if text))


def _unquoted(text: str) -> str:
    """Return a text without the markup and the quotation marks around all of it."""
    text = text.strip().strip("*_ \t\n")
    is_quoted = len(text) > 1 and (text[0], text[-1]) in {('"', '"'), ("“", "”"), ("`", "`")}
    return text[1:-1].strip() if is_quoted else text
