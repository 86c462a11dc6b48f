"""DemoMath as multiple choice: the right answer among those that common slips lead to."""

import random
import re
from collections import Counter

from ttc_servers.demomath.author import CarelessAuthor, near_miss
from ttc_servers.demomath.latex import parse_number
from ttc_servers.demomath.problems import Problem, boxed, fixed_test_set, is_right

NUM_OPTIONS = 4
_TRIES = 16
_SCALE, _NOISE = 3.0, 0.05
_DIGITS = re.compile(r"\d+")


def options(problem: Problem) -> list[str]:
    """Return four answers, one of them right, in an order that the problem decides.

    The others are what a careless author comes to most often, filled up with answers that are a
    digit off.
    """
    rng = random.Random(f"options/{problem.unique_id}")
    author = CarelessAuthor(rng, _SCALE, _NOISE)
    slips = Counter(boxed(problem.steps(author)[-1]) for _ in range(_TRIES))
    chosen = [problem.forms[0]]
    for answer, _ in slips.most_common():
        _add(chosen, answer or "", problem)
    while len(chosen) < NUM_OPTIONS:
        _add(chosen, _digit_off(chosen[0], rng), problem)
    rng.shuffle(chosen)
    return chosen


def fixed_choice_set() -> list[dict[str, object]]:
    """Return the rows of the fixed test set, each with its four `options`."""
    return [{**problem.row(), "options": options(problem)} for problem in fixed_test_set()]


def _add(chosen: list[str], answer: str, problem: Problem) -> None:
    known = {option.replace(" ", "") for option in chosen}
    is_new = answer not in known and parse_number(answer) not in _numbers(chosen)
    if answer and len(chosen) < NUM_OPTIONS and is_new and not is_right(problem, answer):
        chosen.append(answer)


def _numbers(chosen: list[str]) -> set[object]:
    return {number for option in chosen if (number := parse_number(option)) is not None}


def _digit_off(answer: str, rng: random.Random) -> str:
    numbers = list(_DIGITS.finditer(answer))
    number = rng.choice(numbers)
    other = str(abs(near_miss(int(number[0]), rng)))
    return f"{answer[: number.start()]}{other}{answer[number.end() :]}".replace(" ", "")
