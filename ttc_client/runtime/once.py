"""Solve a single problem, without a client to open and close."""

from ttc_client.runtime.client import Client
from ttc_client.search.params import SearchParams
from ttc_client.settings.servers import Servers
from ttc_client.tasks.task import Task
from ttc_client.types import Problem, SearchResult


async def solve(
    problem: str | Problem,
    params: SearchParams | None = None,
    servers: Servers | None = None,
    task: Task | str = "math",
) -> SearchResult:
    """Search for the answer to one problem; for several, open a `Client` once.

    Raises ConfigError for settings and ServerError for servers that do not work.
    """
    async with Client(servers, task) as client:
        return await client.solve(problem, params)


def solve_sync(
    problem: str | Problem,
    params: SearchParams | None = None,
    servers: Servers | None = None,
    task: Task | str = "math",
) -> SearchResult:
    """Do the same in a script without an event loop; raises RuntimeError inside of one."""
    import asyncio

    return asyncio.run(solve(problem, params, servers, task))
