"""`ttc demo`: see a search help, on the tiny models that come with the package."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from ttc_client.cli.solve import EXAMPLE

if TYPE_CHECKING:
    from ttc_client.types import SearchResult

TRUTH = "41"
_BUDGETS = {"greedy": 1, "majority": 64, "dvts": 64}
_TREE_N = 8


def demo(
    seed: Annotated[int, typer.Option(help="Makes the demo repeatable.")] = 0,
) -> None:
    """See a search help: one problem solved three ways, and the tree of a search.

    Needs no server and no download: two tiny models that come with the package answer.
    """
    from rich.console import Console
    from rich.text import Text

    from ttc_client.report.result import search_tree

    results = asyncio.run(_solve(seed))
    console = Console()
    console.print(Text(f"\n{EXAMPLE}   (the answer is {TRUTH})\n", style="bold"))
    for strategy, n in _BUDGETS.items():
        console.print(_row(strategy, n, results[strategy]))
    console.print()
    for line in _told(results):
        console.print(Text(line))
    console.print(f"\nA search with DVTS at N = {_TREE_N}; each step with its score:\n")
    console.print(search_tree(results["tree"].tree, console.width))


async def _solve(seed: int) -> "dict[str, SearchResult]":
    from ttc_client.runtime.client import Client
    from ttc_client.search.params import SearchParams

    searches = {name: SearchParams(strategy=name, n=n, seed=seed) for name, n in _BUDGETS.items()}
    searches["tree"] = SearchParams(strategy="dvts", n=_TREE_N, seed=seed)
    async with Client() as client:
        return {name: await client.solve(EXAMPLE, params) for name, params in searches.items()}


def _row(strategy: str, n: int, result: "SearchResult") -> str:
    from ttc_client.report.terminal import clean, counted

    mark = "[green]✓[/green]" if result.answer == TRUTH else "[red]✗[/red]"
    votes = ", ".join(f"{clean(g.answer)}: {g.votes:g}" for g in result.answers[:3])
    sampled = counted(n, "completion")
    return f"  {strategy:<9} {sampled:>14}   {clean(result.answer):>3} {mark}   votes {votes}"


def _told(results: "dict[str, SearchResult]") -> list[str]:
    """Say in words what came out, whatever it is."""
    right = {name: result.answer == TRUTH for name, result in results.items()}
    answers = {name: result.answer for name, result in results.items()}
    return [
        f"One completion (greedy) says {answers['greedy']}, which is {_word(right['greedy'])}.",
        f"The most frequent answer of 64 is {answers['majority']}: {_word(right['majority'])}"
        + (", the slip is a common one." if not right["majority"] else "."),
        "DVTS has a second model, the PRM, score every step, and goes on from the best:",
        f"with as many completions it says {answers['dvts']}, which is {_word(right['dvts'])}.",
    ]


def _word(right: bool) -> str:
    return "right" if right else "wrong"
