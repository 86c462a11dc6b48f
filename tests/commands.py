"""`ttc` as a subprocess."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process

TTC = [sys.executable, "-c", "from ttc_client.cli import main; main()"]


async def start(*arguments: object, **environment: str) -> Process:
    """Start a command, with more in its environment."""
    command, environment = [*TTC, *map(str, arguments)], {**os.environ, **environment}
    return await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)


async def ended(process: Process) -> tuple[int | None, str, str]:
    """Wait for a command; return its exit code and what it printed on stdout and stderr."""
    out, err = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, out.decode(), err.decode()


async def ttc(*arguments: object, **environment: str) -> tuple[int | None, str, str]:
    """Run a command to its end."""
    return await ended(await start(*arguments, **environment))
