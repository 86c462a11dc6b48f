"""Monte Carlo tree search: descend to a promising step, and write on from it to the end."""

from collections import deque
from collections.abc import Coroutine, Iterator, Sequence
from math import inf
from typing import Any

from ttc_client.search.found import Found
from ttc_client.search.puct import Node, Simulation, Tree
from ttc_client.search.search import Search
from ttc_client.search.stepwise import multiples_of_m
from ttc_client.search.strategy import Strategy
from ttc_client.together import in_order
from ttc_client.types import Trajectory


async def mcts(search: Search[Any]) -> Found:
    """Simulate from the most promising steps by PUCT (AlphaZero; rStar-Math, arXiv 2501.04519).

    Half of the N/M simulations that the budget has for whole ways run at once. The i-th descends
    once the one so many before it is backed up, whichever ends first: always the same tree.
    """
    window = max(1, search.params.n // search.params.m // 2)
    tree = Tree(Node(search.root))
    async with in_order(_simulations(search, tree, window), window) as simulations:
        async for simulation in simulations:
            tree.back_up(simulation)
    return Found(tree.sampled, search.completions(tree.sampled))


def _simulations(
    search: Search[Any], tree: Tree, window: int
) -> Iterator[Coroutine[Any, Any, Simulation]]:
    """Begin simulations while N times the mean depth of the ends has steps for those in flight.

    A simulation in flight counts as a visit without a reward: a virtual loss.
    """
    n, m, from_root = search.params.n, search.params.m, 0
    depths: deque[int] = deque(maxlen=window)
    while True:
        way = tree.way()
        depths.append(len(way) - 1)
        from_root += way == [tree.root]
        mean = tree.sum_depths / tree.num_ends if tree.num_ends else inf
        expected = sum(m * max(1.0, mean - depth) for depth in depths)
        if from_root > n // m or tree.spent + expected > n * mean:
            return
        for node in way:
            node.visits += 1
        yield _simulate(search, way)


async def _simulate(search: Search[Any], way: list[Node]) -> Simulation:
    """Expand M ways and go on with the best step, to the end; within N few would come to one."""
    best, groups = way[-1].step, list[Sequence[Trajectory]]()
    while not best.finished:
        until = search.until(len(best.path) + 1)
        groups.append(await search.expand(best, search.params.m, until=until))
        best = max(groups[-1], key=lambda step: step.value)
    return way, groups


MCTS = Strategy(
    name="mcts",
    about="simulates from the step that promises most, and backs up what came of it",
    search=mcts,
    budgets=multiples_of_m,
)
