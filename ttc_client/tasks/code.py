"""Programs: equal where they do the same on the same inputs, right where they pass hidden tests.

What a model wrote runs in a sandbox alone. A fault of the sandbox or of the tests is an error of
the search, never a grade.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ttc_client.answers.extract import spoken
from ttc_client.sandbox.guest import encoded
from ttc_client.sandbox.jail import find_jail
from ttc_client.sandbox.sandbox import Sandbox, SandboxError
from ttc_client.tasks.inputs import argument_lists, texts
from ttc_client.tasks.programs import program_in
from ttc_client.tasks.prompts import CODE_SYSTEM_PROMPT, under
from ttc_client.tasks.rows import Cell, Reading, Row
from ttc_client.tasks.suites import COLUMNS, Suite, as_data, read_suite, suite_of
from ttc_client.tasks.workers import Workers
from ttc_client.together import together
from ttc_client.types import Message, Problem

_TOLERANCE = 1e-6
_INTEGER = re.compile(r"[+-]?\d+")


@dataclass(frozen=True, slots=True)
class Code:
    """A function to complete or a program to write, in Python; `suites` says what a set may hold.

    Raises ConfigError where there is no sandbox, unless `unsafe_code` does without.
    """

    system_prompt: str = CODE_SYSTEM_PROMPT
    unsafe_code: bool = field(
        default=False,
        metadata={"help": "Run what a model wrote with your own rights where there is no sandbox."},
    )
    name: str = "code"
    about: ClassVar[str] = (
        "a Python function or program; equal by its outputs, graded by hidden tests in a sandbox"
    )

    def __post_init__(self) -> None:
        find_jail(unsafe=self.unsafe_code)

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """Where tests, the function's name and the rest stand."""
        return COLUMNS

    @property
    def needs_gold(self) -> bool:
        """The tests say what is right."""
        return False

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read the tests; raises UnreadableRowError for a row without them."""
        suite, question = read_suite(cell), cell("problem")
        shown = suite.public if suite.entry and not suite.prompt else ()
        if shown and isinstance(question, str) and shown[0] not in question:
            question += "\n\nYour code should pass such tests:\n\n" + "\n".join(map(str, shown))
        is_text = isinstance(question, str)
        return Reading(as_data(suite), question=question if is_text else None, gold="")

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems as they are."""
        return problems

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt, where there is one."""
        return under(self.system_prompt, problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the program that a completion gives, with what it needs of the prompt."""
        suite = suite_of(problem)
        return program_in(spoken(text), suite.entry, suite.prompt)

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return what the programs do on the public inputs and on others made from them.

        One that comes to no result on any input is equal to itself alone. Raises SandboxError.
        """
        suite, sandbox = suite_of(problem), workers.sandbox(unsafe=self.unsafe_code)
        work = (_behaviour(answer, suite, problem.question, sandbox) for answer in answers)
        return await together(work)

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return 1 for programs that pass all tests, 0 for others; raises SandboxError."""
        suite, sandbox = suite_of(problem), workers.sandbox(unsafe=self.unsafe_code)
        shares = await together(
            share_passed(answer, suite, suite.tests, sandbox) for answer in answers
        )
        return [float(share == 1) for share in shares]


async def share_passed(program: str, suite: Suite, tests: Sequence[Any], sandbox: Sandbox) -> float:
    """Return the share of some tests of a suite that a program passes; raises SandboxError.

    `suite.public` are those that a search may look at.
    """
    if not tests:
        raise SandboxError("there are no tests")
    if not program:
        return 0.0
    if suite.entry:
        passed = await sandbox.test(program, tests, _names(suite, tests), suite.setup)
    else:
        passed = [await _prints(program, str(t[0]), str(t[1]), sandbox) for t in tests]
    return sum(passed) / len(passed)


def _names(suite: Suite, tests: Sequence[str]) -> list[str]:
    """Return the names that tests take from the program: its entry, and classes that they make."""
    used = set(re.findall(r"(?<![\w.'\"])[A-Z]\w*(?=\()", "\n".join(tests)))
    defined = set(re.findall(r"\b[A-Z]\w*\b", suite.setup))
    in_tests = set(re.findall(r"\bclass\s+(\w+)|\bimport\s+(.*)", "\n".join(tests)))
    known = {name for pair in in_tests for part in pair for name in re.findall(r"\w+", part)}
    builtin = {name for name in used if name.endswith(("Error", "Exception"))}
    return [suite.entry, *sorted(used - defined - known - builtin)]


async def _prints(program: str, given: str, wanted: str, sandbox: Sandbox) -> bool:
    ran = await sandbox.run(program, given)
    return ran.is_whole and same_output(ran.output, wanted)


def same_output(output: str, wanted: str) -> bool:
    """Whether an output is the wanted one, word by word.

    Numbers are equal within 1e-6, absolute or relative, where the wanted one has a fraction.
    """
    ours, theirs = output.split(), wanted.split()
    return len(ours) == len(theirs) and all(map(_same_word, ours, theirs))


def _same_word(ours: str, theirs: str) -> bool:
    if ours == theirs:
        return True
    try:
        one, other = float(ours), float(theirs)
    except ValueError:
        return False
    if _INTEGER.fullmatch(theirs):
        return False
    return abs(one - other) <= _TOLERANCE * max(1.0, abs(other))


async def _behaviour(program: str, suite: Suite, question: str, sandbox: Sandbox) -> str:
    if suite.entry:
        calls = [[encoded(a, []) for a in each] for each in argument_lists(suite, question)]
        done = await sandbox.call(program, suite.entry, calls) if calls else []
        is_any = any(not said.startswith(("error", "ended")) for said in done)
    else:
        runs = [await sandbox.run(program, given) for given in texts(suite)]
        done = [" ".join(r.output.split()) if r.is_whole else f"error {r.ending}" for r in runs]
        is_any = any(ran.is_whole for ran in runs)
    if not is_any:
        return f"text:{program}"
    return hashlib.sha256("\0".join(done).encode(errors="surrogatepass")).hexdigest()
