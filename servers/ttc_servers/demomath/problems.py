"""Draw DemoMath problems, write their solutions, and check any solution step by step.

A problem belongs to the split that a hash of its text names, so no split can share one.
"""

import hashlib
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os.path import commonprefix

from ttc_servers.demomath import algebra, arithmetic, newcomers
from ttc_servers.demomath.author import Author, CarelessAuthor
from ttc_servers.demomath.latex import parse_number, plain
from ttc_servers.demomath.statement import Statement

FAMILIES: dict[str, Callable[[random.Random, int], Statement]] = {
    "integers": arithmetic.integers,
    "fractions": arithmetic.fractions,
    "linear": algebra.linear,
    "systems": algebra.systems,
    "polynomials": algebra.polynomials,
    "quadratics": algebra.quadratics,
    "remainders": arithmetic.remainders,
    "sequences": algebra.sequences,
    "stories": arithmetic.stories,
}
LEVELS = (1, 2, 3, 4, 5)
SPLITS = {"test": range(10), "validation": range(10, 20), "train": range(20, 100)}
"""Which hundredths of the hash belong to each split."""

_CLOSING = r"Therefore, the final answer is: $\boxed{%s}$. I hope it is correct."
_CLOSED = re.compile(r"final answer is: \$\\boxed\{(.*)\}\$")
_LEAD = re.compile(r"^## .*\n([A-Z][a-z]+ )\$")
_MATH = re.compile(r"\$([^$]*)\$")
_CANONICAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem, its family and level, and the right steps and answer forms."""

    problem: str
    subject: str
    level: int
    family: str
    statement: Statement

    @property
    def unique_id(self) -> str:
        """Return `family/hash`, the same wherever the problem is drawn."""
        return f"{self.family}/{hashlib.sha256(self.problem.encode()).hexdigest()[:12]}"

    @property
    def forms(self) -> tuple[str, ...]:
        """Return the forms of the right answer, the canonical one first."""
        return self.statement.solve(Author()).forms

    def steps(self, author: Author | None = None, rng: random.Random | None = None) -> list[str]:
        r"""Return an author's solution as steps, each but the last ending in `\n\n`.

        Without an author the solution is right; without an rng the answer is in canonical form,
        else half of the time in another.
        """
        work = self.statement.solve(author or Author())
        steps = [
            f"## Step {index}: {step.title}\n{step.lead}${step.equations}$.\n\n"
            for index, step in enumerate(work.steps, 1)
        ]
        form = work.forms[0]
        if rng and rng.random() > _CANONICAL_SHARE:
            form = rng.choice(work.forms)
        return [*steps, _CLOSING % form]

    def row(self) -> dict[str, str | int]:
        """Return the problem as a row with MATH-500's columns."""
        return {
            "problem": self.problem,
            "solution": "".join(self.steps()),
            "answer": self.forms[0],
            "subject": self.subject,
            "level": self.level,
            "unique_id": self.unique_id,
        }


def split_of(problem: str) -> str:
    """Return the split that a problem's text belongs to."""
    share = int.from_bytes(hashlib.sha256(problem.encode()).digest()[:4], "big") % 100
    return next(split for split, shares in SPLITS.items() if share in shares)


def draw(rng: random.Random, split: str, level: int) -> Problem:
    """Draw one problem of a split and a level, its family at random."""
    if split not in SPLITS:
        raise ValueError(f"no split {split!r}: choose one of {', '.join(SPLITS)}")
    if level not in LEVELS:
        raise ValueError(f"no level {level}: levels are 1 to 5")
    family = rng.choice(list(FAMILIES))
    while True:
        statement = FAMILIES[family](rng, level)
        if split_of(statement.text) == split:
            return Problem(statement.text, statement.subject, level, family, statement)


def draw_worded(rng: random.Random, split: str) -> Problem:
    """Draw what a newcomer might ask; none with a formula of the fixed test set."""
    while True:
        statement = newcomers.question(rng)
        asked = newcomers.bare(statement.text)
        if split_of(statement.text) == split and not any(f in asked for f in _test_formulas()):
            return Problem(statement.text, statement.subject, 1, "newcomers", statement)


@lru_cache(maxsize=1)
def _test_formulas() -> frozenset[str]:
    """Return the formulas of the fixed test set, as they are typed by hand."""
    typed = (
        newcomers.bare(plain(math))
        for problem in fixed_test_set()
        for math in _MATH.findall(problem.problem)
    )
    return frozenset(text for text in typed if re.search(r"[-+*/^]", text) and len(text) > 3)


def generate(
    split: str, n: int, seed: int = 0, levels: Sequence[int] = LEVELS
) -> Iterator[Problem]:
    """Yield n different problems, the levels in turn; the same for the same arguments."""
    rng, seen = random.Random(f"{split}/{seed}"), set[str]()
    while len(seen) < n:
        problem = draw(rng, split, levels[len(seen) % len(levels)])
        if problem.problem not in seen:
            seen.add(problem.problem)
            yield problem


def fixed_test_set() -> list[Problem]:
    """Return the 500 test problems on which results are quoted, 100 of each level."""
    return sorted(generate("test", 500), key=lambda problem: problem.level)


def boxed(step: str) -> str | None:
    """Return the answer that a step closes with, without its spaces; None where it goes on."""
    found = _CLOSED.search(step)
    return found[1].replace(" ", "") if found else None


def is_right(problem: Problem, answer: str | None) -> bool:
    """Return whether an answer is one of the right answer's forms, or the same number."""
    if answer is None:
        return False
    answer, forms = answer.replace(" ", ""), [form.replace(" ", "") for form in problem.forms]
    number = parse_number(answer)
    return answer in forms or (number is not None and number == parse_number(forms[0]))


def check_steps(problem: Problem, steps: Sequence[str]) -> list[bool]:
    """Return for each step whether every value so far is right.

    The values are what stands between dollar signs; words do not count. The closing step is
    right where its answer is, in whatever form.
    """
    right, labels = problem.steps()[:-1], []
    good = True
    for index, step in enumerate(steps):
        answer = boxed(step)
        if answer is not None:
            good = good and is_right(problem, answer)
        else:
            good = good and index < len(right) and _values(step) == _values(right[index])
        labels.append(good)
    return labels


def _values(step: str) -> list[str]:
    return [math.replace(" ", "") for math in _MATH.findall(step)]


def first_error(problem: Problem, steps: Sequence[str]) -> int | None:
    """Return where in the joined steps the first wrong character stands; None without one."""
    labels = check_steps(problem, steps)
    if all(labels):
        return None
    bad = labels.index(False)
    right = problem.steps()
    expected = [_CLOSING % form for form in problem.forms]
    if boxed(steps[bad]) is None and bad < len(right) - 1:
        expected = [_led(right[bad], steps[bad])]
    agreed = max(len(commonprefix([text, steps[bad]])) for text in expected)  # noqa: RUF071
    return sum(map(len, steps[:bad])) + min(agreed, max(len(steps[bad]) - 1, 0))


def _led(step: str, by: str) -> str:
    """Return a right step with the words before its equations that another has there."""
    found = _LEAD.search(by)
    return step.replace("\n$", f"\n{found[1]}$", 1) if found else step


def careless_steps(problem: Problem, rng: random.Random, scale: float, noise: float) -> list[str]:
    """Return a careless author's solution; see `CarelessAuthor` for scale and noise."""
    return problem.steps(CarelessAuthor(rng, scale, noise), rng)
