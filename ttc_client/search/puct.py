"""A tree of steps that simulations grow: where the next one begins, and what has come back.

Pure: what is written below a node is the search's part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import sqrt

from ttc_client.types import Trajectory

_EXPLORATION = 0.25


@dataclass(slots=True)
class Node:
    """A step: how many simulations went through it, and the sum of the rewards they ended with.

    `is_done` once nothing below it is left to write.
    """

    step: Trajectory
    children: list["Node"] = field(default_factory=list["Node"])
    visits: int = 0
    total: float = 0.0
    is_done: bool = False

    def puct(self, child: "Node") -> float:
        """Return Q + c · P · √N / (1 + n) of a child, with the same P for all."""
        value = child.total / child.visits if child.visits else child.step.value
        bonus = _EXPLORATION * sqrt(self.visits) / len(self.children)
        return value + bonus / (1 + child.visits)


Simulation = tuple[list[Node], list[Sequence[Trajectory]]]
"""The nodes from the root to where it began to write, and the siblings that it wrote there."""


@dataclass(slots=True)
class Tree:
    """What all simulations have written, and how many steps that took."""

    root: Node
    sampled: list[Trajectory] = field(default_factory=list[Trajectory])
    spent: int = 0
    num_ends: int = 0
    sum_depths: int = 0

    def way(self) -> list[Node]:
        """Descend by PUCT to a step that nothing follows yet; to the root if all is done."""
        way = [self.root]
        while children := [child for child in way[-1].children if not child.is_done]:
            way.append(max(children, key=way[-1].puct))
        return way

    def back_up(self, simulation: Simulation) -> None:
        """Hang what a simulation wrote below its leaf, and add its last reward on its way."""
        way, groups = simulation
        for steps in groups:
            children = [Node(step, is_done=step.finished) for step in steps]
            way[-1].children += children
            way = [*way, max(children, key=lambda child: child.step.value)]
            way[-1].visits += 1
            self.spent += sum(step.multiplicity for step in steps)
            ends = [step for step in steps if step.finished]
            self.num_ends += sum(step.multiplicity for step in ends)
            self.sum_depths += sum(step.multiplicity * len(step.steps) for step in ends)
        for node in reversed(way):
            node.total += way[-1].step.value
            node.is_done = all(c.is_done for c in node.children) if node.children else node.is_done
        self.sampled += chain.from_iterable(groups)
