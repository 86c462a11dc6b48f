"""Test-time-compute search as an asyncio client against model servers.

    from ttc_client import SearchConfig, solve

    result = await solve(problem, SearchConfig(strategy="dvts", n=64, policy=(url,), prm=(url,)))

The method is that of the blog post "Scaling test-time compute with open models" (Beeching,
Tunstall, Rush 2024), after Snell et al. 2024 (arXiv 2408.03314).
"""

from typing import TYPE_CHECKING, Any

from ttc_client.errors import TTCError
from ttc_client.settings.config import SearchConfig
from ttc_client.types import AnswerGroup, Candidate, SearchResult, TreeNode, Usage

if TYPE_CHECKING:
    from ttc_client.runtime.client import Client, solve

__all__ = [
    "AnswerGroup",
    "Candidate",
    "Client",
    "SearchConfig",
    "SearchResult",
    "TTCError",
    "TreeNode",
    "Usage",
    "solve",
]


def __getattr__(name: str) -> Any:
    """Import what speaks HTTP only when it is used, to keep `import ttc_client` quick."""
    if name in ("Client", "solve"):
        from ttc_client.runtime import client

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
