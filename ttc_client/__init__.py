"""Test-time-compute search as an asyncio client against model servers.

    from ttc_client import SearchParams, Servers, solve

    servers = Servers(policy="http://gpu1:8000", prm="http://gpu2:8001")
    result = await solve(problem, SearchParams(strategy="dvts", n=64), servers)

The method is that of the blog post "Scaling test-time compute with open models" (Beeching,
Tunstall, Rush 2024), after Snell et al. 2024 (arXiv 2408.03314).
"""

from typing import TYPE_CHECKING, Any

from ttc_client.errors import TTCError
from ttc_client.search.params import SearchParams
from ttc_client.types import AnswerGroup, Candidate, Problem, SearchResult, TreeNode, Usage

if TYPE_CHECKING:
    from ttc_client.runtime.client import Client
    from ttc_client.runtime.once import solve, solve_sync
    from ttc_client.settings.servers import Servers

    __version__: str

__all__ = [
    "AnswerGroup",
    "Candidate",
    "Client",
    "Problem",
    "SearchParams",
    "SearchResult",
    "Servers",
    "TTCError",
    "TreeNode",
    "Usage",
    "__version__",
    "solve",
    "solve_sync",
]


def __getattr__(name: str) -> Any:
    """Import what speaks HTTP only when it is used, to keep `import ttc_client` quick."""
    if name in ("Client", "solve", "solve_sync"):
        from ttc_client.runtime import client, once

        return getattr(client if name == "Client" else once, name)
    if name == "Servers":
        from ttc_client.settings.servers import Servers

        return Servers
    if name == "__version__":
        from importlib.metadata import version

        return version("ttc-client")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
