"""What a page shows of a search: votes, steps and answers, with their formulas typeset.

The types are what the page's scripts are given, as JSON; tree.js says what they expect.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ttc_client.report.rich import Rich, Typesetter
from ttc_client.search.steps import split_steps
from ttc_client.thoughts import Thought, split_thought, with_thought
from ttc_client.types import Finish, TreeNode


@dataclass(frozen=True, slots=True)
class ShownVotes:
    """An answer and what spoke for it; rewards are None without a PRM, `right` without a grade."""

    answer: Rich
    right: float | None
    votes: float
    reward_sum: float | None
    reward_max: float | None
    chosen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShownNode:
    """A step, or a new prompt; `answer` and `right` are those of the completion it ends.

    `thought` is what the model thought before the text, shown folded.
    """

    path: tuple[int, ...]
    text: Rich
    score: float | None
    finish: Finish
    multiplicity: int
    kept: bool
    is_prompt: bool = False
    answer: Rich | None = None
    right: float | None = None
    thought: Rich | None = None


@dataclass(frozen=True, slots=True)
class ShownSearch:
    """A search; `right` is by the vote that its strategy decides by, `tree` None if left out."""

    name: str
    strategy: str
    right: float
    note: str
    votes: tuple[ShownVotes, ...]
    tree: tuple[ShownNode, ...] | None


@dataclass(frozen=True, slots=True)
class ShownProblem:
    """A problem of a data set."""

    id: str
    level: str
    text: Rich
    answer: Rich
    searches: tuple[ShownSearch, ...]


Ends = Mapping[tuple[int, ...], tuple[str, float | None]]
"""The answer of each completion by its path, and how right it is."""


def shown_nodes(tree: Iterable[TreeNode], ends: Ends, typeset: Typesetter) -> tuple[ShownNode, ...]:
    """Return the steps of a tree for a page, the last of each completion with its answer."""
    shown: list[ShownNode] = []
    for node in tree:
        answer, right = ends.get(node.path, (None, None)) if node.finish != "stop" else (None, None)
        said = _said(node)
        shown.append(
            ShownNode(
                path=node.path,
                text=typeset.text(said.answer),
                score=node.score,
                finish=node.finish,
                multiplicity=node.multiplicity,
                kept=node.kept,
                is_prompt=node.is_prompt,
                answer=None if answer is None else typeset.answer(answer),
                right=right,
                thought=typeset.text(said.thought) if said.thought else None,
            )
        )
    return tuple(shown)


def _said(node: TreeNode) -> Thought:
    """Return a node's thought and text; a step within a thought is shown as a text."""
    said = split_thought(node.text)
    return Thought("", node.text) if said.is_open and node.finish == "stop" else said


def in_steps(whole: TreeNode, scores: Sequence[float | None]) -> list[TreeNode]:
    """Return a whole completion as a chain of its steps, with a score each."""
    said = split_thought(whole.text)
    texts = split_steps(said.answer)
    scores = scores or [None] * len(texts)
    if not texts or len(texts) != len(scores):
        return [whole]
    texts = (with_thought(said.thought, texts[0]), *texts[1:])
    nodes = [
        replace(whole, path=whole.path + (0,) * depth, text=text, score=score, finish="stop")
        for depth, (text, score) in enumerate(zip(texts, scores, strict=True))
    ]
    return [*nodes[:-1], replace(nodes[-1], finish=whole.finish)]


def is_whole(tree: Sequence[TreeNode]) -> bool:
    """Say whether a search sampled whole completions, not steps."""
    return all(len(node.path) == 1 and node.finish != "stop" for node in tree)
