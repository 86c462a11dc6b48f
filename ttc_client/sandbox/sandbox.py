"""Put a program to tests: run it on inputs, call its functions, or let tests call them.

A failure of the sandbox itself is tried once more, and then raised: it says nothing of the program.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ttc_client.sandbox.jail import Jail
from ttc_client.sandbox.process import Ending, Guest, Limits, SandboxError, guest

T = TypeVar("T")

_TRIES = 2
_JUDGE_EXTRA_S = 10.0
"""Seconds that tests get beyond those of the program: what they do themselves is not its fault."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program wrote, as text, why it ended, and its exit code."""

    output: str
    ending: Ending
    exit_code: int

    @property
    def is_whole(self) -> bool:
        """Whether it came to its end by itself, without an error."""
        return self.ending == "exit" and self.exit_code == 0


class Sandbox:
    """A jail, its limits, and how many programs run in it at once, by default one per CPU."""

    def __init__(
        self, jail: Jail, limits: Limits | None = None, at_once: int | None = None
    ) -> None:
        self.jail, self.limits = jail, limits or Limits()
        self._room = asyncio.Semaphore(at_once or os.cpu_count() or 1)

    async def run(self, source: str, given: str = "") -> Ran:
        """Run a program with an input; raises SandboxError where it cannot be started."""
        return await self._tried(lambda: self._run(source, given))

    async def call(self, source: str, name: str, calls: Sequence[Sequence[Any]]) -> list[str]:
        """Return what a function returns for each list of arguments, or raises, as text.

        The arguments are encoded as `guest.encoded` does. Raises SandboxError.
        """
        return await self._tried(lambda: self._call(source, name, calls))

    async def test(
        self, source: str, tests: Sequence[str], names: Sequence[str], setup: str = ""
    ) -> tuple[bool, ...]:
        """Return which tests pass, sources that call the program's functions by these names.

        `setup` is run before them. Raises SandboxError where there is no test, where none calls
        the program, and where they cannot be run.
        """
        if not tests:
            raise SandboxError("there are no tests")
        return await self._tried(lambda: self._test(source, tests, names, setup))

    async def _tried(self, work: Callable[[], Awaitable[T]]) -> T:
        async with self._room:
            for _ in range(_TRIES - 1):
                try:
                    return await work()
                except SandboxError:
                    continue
            return await work()

    def _order(self, do: str, **more: Any) -> dict[str, Any]:
        limits = self.limits.of_process(self.jail)
        return {"do": do, "limits": limits, "user": self.jail.user(), **more}

    async def _run(self, source: str, given: str) -> Ran:
        async with guest(self.jail, self.limits) as program:
            data = given.encode(errors="surrogatepass")
            await program.ready(self._order("program", source=source), data)
            output, code = b"", -1
            try:
                async with asyncio.timeout(self.limits.wall_s):
                    output = await program.output()
                    code = await program.exit_code()
            except TimeoutError:
                program.end("time")
            return Ran(output.decode(errors="replace"), program.ending or "exit", code)

    async def _call(self, source: str, name: str, calls: Sequence[Sequence[Any]]) -> list[str]:
        async with guest(self.jail, self.limits) as program:
            await program.ready(self._order("functions", source=source))
            deadline = asyncio.get_running_loop().time() + self.limits.wall_s
            said: list[str] = []
            for arguments in calls:
                asked = dict[str, Any](do="call", on=name, arguments=list(arguments), named={})
                reply = await _asked(program, asked, deadline)
                said.append(_shown(reply) if reply else "ended")
            return said

    async def _test(
        self, source: str, tests: Sequence[str], names: Sequence[str], setup: str
    ) -> tuple[bool, ...]:
        async with guest(self.jail, self.limits) as program, guest(self.jail, self.limits) as judge:
            order = self._order("tests", tests=list(tests), names=list(names), setup=setup)
            await judge.ready(order)
            await program.ready(self._order("functions", source=source))
            deadline = asyncio.get_running_loop().time() + self.limits.wall_s
            try:
                async with asyncio.timeout_at(deadline + _JUDGE_EXTRA_S):
                    return await _verdict(judge, program, deadline, len(tests))
            except TimeoutError:
                raise SandboxError("the tests do not end") from None


async def _verdict(judge: Guest, program: Guest, deadline: float, count: int) -> tuple[bool, ...]:
    """Carry the tests' calls to the program and its replies back, up to the verdict."""
    has_called = False
    said = await judge.line()
    while said is not None:
        if "fault" in said:
            raise SandboxError(f"the tests cannot be run: {said['fault']}")
        if "passed" in said:
            passed = tuple(bool(each) for each in said["passed"])
            if not has_called or len(passed) != count:
                raise SandboxError("the tests do not call the program")
            return passed
        has_called = True
        said = await judge.ask(await _asked(program, said, deadline) or {"ended": True})
    raise SandboxError("the tests ended without a verdict")


async def _asked(program: Guest, message: Any, deadline: float) -> dict[str, Any] | None:
    """Return a program's reply, None once it is gone or its time is up."""
    if program.ending is None:
        try:
            async with asyncio.timeout_at(deadline):
                if reply := await program.ask(message):
                    return reply
                program.end("exit")
        except TimeoutError:
            program.end("time")
    return None


def _shown(reply: dict[str, Any]) -> str:
    if "error" in reply:
        return f"error {reply['error']}"
    return json.dumps(reply.get("value"), sort_keys=True)
