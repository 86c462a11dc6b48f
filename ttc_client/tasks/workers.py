"""The processes that key and grade answers, opened by `Client` for all its searches."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Self

from ttc_client.answers import AnswerPool
from ttc_client.answers.math_verify import MathVerify
from ttc_client.sandbox.jail import find_jail
from ttc_client.sandbox.sandbox import Sandbox
from ttc_client.types import Problem

Rate = Callable[[Problem, Sequence[str]], Awaitable[Sequence[float]]]
"""Says how good each answer to a problem is, from 0 to 1; NaN for one that it cannot rate."""


class Workers:
    """Workers of our own, in `answers`, and those of other graders, started when first asked for.

    `rate` is the judge of answers that have no right one, None where there is none. Use as a
    context manager.
    """

    def __init__(self, rate: Rate | None = None) -> None:
        self.rate = rate
        self.answers = AnswerPool()
        self._math_verify: MathVerify | None = None
        self._sandbox: Sandbox | None = None
        self._starting = asyncio.Lock()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.answers)
            self._resources = stack.pop_all()
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._resources.aclose()

    async def math_verify(self) -> MathVerify:
        """Return the workers of math-verify; raises ConfigError where it is not installed."""
        async with self._starting:
            if self._math_verify is None:
                self._math_verify = await self._resources.enter_async_context(MathVerify())
        return self._math_verify

    def sandbox(self, *, unsafe: bool = False) -> Sandbox:
        """Return where programs run that a model wrote, one for all searches.

        Raises ConfigError where there is none, unless `unsafe` does without.
        """
        if self._sandbox is None:
            self._sandbox = Sandbox(find_jail(unsafe=unsafe))
        return self._sandbox
