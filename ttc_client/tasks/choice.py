"""Multiple choice: the answer is the letter of an option, which the reply may also give by text."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Any, ClassVar

from ttc_client.answers.letters import letter_of
from ttc_client.errors import ConfigError
from ttc_client.tasks.options import Marked, gold_letters, options_in, options_of
from ttc_client.tasks.prompts import CHOICE_SYSTEM_PROMPT, under
from ttc_client.tasks.rows import Cell, Reading, Row
from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem

_MIXING_SEED = 0
"""Mixes the options of sets whose right option always comes first, unless `shuffle` does."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Options by letter, A to Z; `data["options"]` has them, or else lines of the question.

    `shuffle` seeds another order of the options for each problem of a set, None keeps the set's.
    `first_option` is the index of the first option where gold answers are numbers. Without
    `show_options` the question is asked alone and the reply matched with the options by its text.
    """

    system_prompt: str = CHOICE_SYSTEM_PROMPT
    shuffle: int | None = field(
        default=None, metadata={"help": "Shuffle the options of each problem by this seed."}
    )
    first_option: int | None = field(
        default=None,
        metadata={
            "help": "What the first option is called where gold answers are numbers: 0 or 1."
        },
    )
    show_options: bool = field(
        default=True,
        metadata={"help": "Ask the question with its options, or alone, to be matched with them."},
    )
    name: str = "choice"
    about: ClassVar[str] = (
        "a letter among options; read from the letter or from the option's own text"
    )

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Where options stand beside the usual columns, and what sets call question and gold."""
        return {
            "options": ("options", "choices", "endings", "mc1_targets"),
            "problem": (
                "question",
                "Question",
                "problem",
                "question_stem",
                "ctx",
                "sent",
                "prompt",
            ),
            "answer": ("answer", "answerKey", "answer_index", "gold", "gold_label", "label", "cop"),
            "id": ("unique_id", "id", "question_id", "Record ID"),
        }

    @property
    def needs_gold(self) -> bool:
        """A row without a gold answer is left out, unless its options say which is right."""
        return True

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read the options; raises UnreadableRowError for a row that has none."""
        question = cell("problem")
        if cell("options") is None and isinstance(question, str) and (own := options_in(question)):
            return Reading({"options": list(own)})
        found = options_of(row, cell("options"))
        data = {"options": list(found.texts), "labels": list(found.labels)}
        return Reading(data | {"right_first": found.right_first}, gold=found.gold or None)

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems with golds as letters, the options in order and in the question."""
        marked = [Marked(p.data["options"], p.data.get("labels", ()), p.gold) for p in problems]
        letters = gold_letters(marked, self.first_option)
        return [self._asked(p, letter) for p, letter in zip(problems, letters, strict=True)]

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt; raises ConfigError without options."""
        if not _options(problem):
            raise ConfigError(
                "the problem has no options: write them below the question, a line each, as in "
                "'A. twelve', or bench a set that has a column of them"
            )
        return under(self.system_prompt, problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the letter of the option that a completion chooses."""
        return letter_of(text, _options(problem))

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return the letters themselves."""
        return answers

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return 1 for the right letter and 0 for others."""
        return [float(answer == problem.gold) for answer in answers]

    def _asked(self, problem: Problem, letter: str) -> Problem:
        options: list[str] = list(problem.data["options"])
        right = ascii_uppercase.index(letter)
        order, seed = list(range(len(options))), self.shuffle
        in_question = bool(options_in(problem.question))
        if seed is None and problem.data.get("right_first"):
            seed = _MIXING_SEED
        if seed is not None and not in_question:
            random.Random(repr((seed, problem.question))).shuffle(order)
        options = [options[place] for place in order]
        question = problem.question
        if self.show_options and not in_question:
            question = "\n".join((question, "", *_lines(options)))
        return replace(
            problem,
            question=question,
            gold=ascii_uppercase[order.index(right)],
            data={"options": options},
            messages=(),
        )


def _options(problem: Problem) -> Sequence[str]:
    listed: Any = problem.data.get("options")
    return listed or options_in(problem.question)


def _lines(options: Sequence[str]) -> list[str]:
    lettered = zip(ascii_uppercase, options, strict=False)
    return [f"{letter}. {' '.join(option.split())}" for letter, option in lettered]
