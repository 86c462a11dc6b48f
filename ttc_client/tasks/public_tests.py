"""The public tests of a `code` problem as a verifier: the share of them that a program passes."""

import asyncio
from functools import lru_cache

from ttc_client.answers.extract import spoken
from ttc_client.sandbox.jail import find_jail
from ttc_client.sandbox.sandbox import Sandbox
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.tasks.code import share_passed
from ttc_client.tasks.programs import program_in
from ttc_client.tasks.suites import suite_of
from ttc_client.types import Problem


async def public_tests(problem: Problem, steps: tuple[str, ...]) -> float | None:
    """Return the share of public tests that a solution's program passes, None where it has none.

    Raises SandboxError, and ConfigError where there is no sandbox.
    """
    suite = suite_of(problem)
    if not suite.public:
        return None
    text = spoken(STEP_DELIMITER.join(steps))
    program = program_in(text, suite.entry, suite.prompt)
    return await share_passed(program, suite, suite.public, _sandbox(asyncio.get_running_loop()))


setattr(public_tests, "reads", "solutions")  # noqa: B010 - half a program passes nothing


@lru_cache(maxsize=1)
def _sandbox(loop: asyncio.AbstractEventLoop) -> Sandbox:
    """Return the one sandbox of an event loop, so that all searches share its room."""
    return Sandbox(find_jail())
