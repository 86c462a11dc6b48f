"""A search as a notebook shows it: the votes as a table, the tree as folds, in plain HTML."""

from collections.abc import Sequence
from html import escape

Node = tuple[tuple[int, ...], str, float | None, bool]
"""A step's path, text and score, and whether the search went on from it."""


def votes_and_tree(
    title: str, votes: Sequence[tuple[str, float, float | None]], nodes: Sequence[Node]
) -> str:
    """Return HTML; all that models wrote is escaped.

    `votes` are answers with their votes and summed reward, None where no verifier took part.
    """
    scored = any(reward is not None for _, _, reward in votes)
    head = "<th>answer</th><th>votes</th>" + ("<th>summed reward</th>" if scored else "")
    rows = "".join(
        f"<tr><td>{escape(answer)}</td><td>{count:g}</td>"
        + (f"<td>{reward:.2f}</td>" if reward is not None else "")
        + "</tr>"
        for answer, count, reward in votes
    )
    children: dict[tuple[int, ...], list[Node]] = {}
    for node in nodes:
        children.setdefault(node[0][:-1], []).append(node)
    return (
        f"<p>{escape(title)}</p><table><tr>{head}</tr>{rows}</table>"
        f"<details><summary>search tree</summary>{_level(children, ())}</details>"
    )


def _level(children: dict[tuple[int, ...], list[Node]], path: tuple[int, ...]) -> str:
    """Return the steps below a path as a list, each with those below it."""
    items = ""
    for below, text, score, kept in children.get(path, ()):
        shown = "" if score is None else f"<b>{score:.3f}</b> "
        style = "" if kept else ' style="opacity: 0.5"'
        items += f"<li{style}>{shown}{escape(text.strip())}{_level(children, below)}</li>"
    return f"<ul>{items}</ul>" if items else ""
