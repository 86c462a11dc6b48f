"""Print a search result to a terminal, or as plain text where there is none.

What models wrote is data: it is stripped of control characters and never read as markup.
"""

import re
import sys
from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ttc_client.search.modes import MODES
from ttc_client.types import Allocation, Candidate, SearchResult, TreeNode, Usage

_ANSWERS_SHOWN = 12
_STEP_WIDTH = 72
_FINISH = {"stop": "", "eos": " ■", "length": " ✂ cut"}

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Return a model's text without what terminals act on, reverse or cannot print."""
    return _CONTROL.sub("�", text.replace("\r\n", "\n"))


def print_json(value: object) -> None:
    """Print a value as one line of JSON, with escapes for what terminals act on."""
    text = msgspec.json.encode(value).decode()
    sys.stdout.write(_CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def print_result(result: SearchResult, console: Console, *, tree: bool = False) -> None:
    """Print the answer, the vote, the best solution, the cost and, if asked for, the tree."""
    if tree:
        console.print(_tree(result.tree), "")
    console.print(_answer_table(result), "")
    if best := best_candidate(result):
        console.print(Text("Best solution", style="bold"))
        for step in best.steps:
            console.print(_scored(step.score, clean(step.text)))
        console.print()
    console.print(_headline(result))
    if found := result.allocation:
        console.print(_allocation(found))
    console.print(_cost(result), style="dim")
    if result.compat:
        console.print(Text(f"searched and judged with --compat {result.compat}"), style="dim")
    if result.shortfall:
        console.print(Text(result.shortfall), style="dim")


def best_candidate(result: SearchResult) -> Candidate | None:
    """Return the candidate with the highest reward among those that gave the answer."""
    has_vote = MODES[result.compat].has_vote
    backing = [c for c in result.candidates if c.answer == result.answer and has_vote(c)]
    return max(backing or result.candidates, key=lambda c: c.reward or 0.0, default=None)


def _headline(result: SearchResult) -> Text:
    if not result.answers:
        return Text("No answer: no candidate came to an end with one.", style="bold red")
    won, total = result.answers[0].votes, sum(group.votes for group in result.answers)
    line = Text("Answer: ") + Text(clean(result.answer) or "(none)", style="bold green")
    return line + Text(f"   ({result.vote} vote; {won} of {total} candidates)", style="dim")


def _allocation(found: Allocation) -> Text:
    width = f", M={found.m}" if found.m else ""
    return Text(
        f"Spent on {found.strategy}{width}: bin {found.bin}, by a mean reward of "
        f"{found.reward:.2f} in a probe of {found.probe}"
    )


def _answer_table(result: SearchResult) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("answer", overflow="fold")
    table.add_column("votes", justify="right")
    if result.prm:
        table.add_column("summed reward", justify="right")
        table.add_column("best reward", justify="right")
    table.add_column("chosen by")
    for group in result.answers[:_ANSWERS_SHOWN]:
        rewards = [f"{group.reward_sum:.2f}", f"{group.reward_max:.3f}"] if result.prm else []
        chosen = ", ".join(
            vote for vote, answer in result.choices.items() if answer == group.answer
        )
        answer = Text(clean(group.answer) or "(none)", style="" if group.answer else "dim")
        table.add_row(answer, str(group.votes), *rewards, chosen)
    if (hidden := len(result.answers) - _ANSWERS_SHOWN) > 0:
        table.add_row(Text(f"… {hidden} more", style="dim"))
    return table


def _cost(result: SearchResult) -> Text:
    usage = result.usage
    cached = (
        f" ({usage.cached_tokens / usage.prompt_tokens:.0%} cached)" if usage.prompt_tokens else ""
    )
    parts = [
        f"{usage.completion_tokens:,} tokens generated",
        f"{usage.prompt_tokens:,} prompt tokens{cached}",
        f"{usage.prm_tokens:,} PRM tokens" if result.prm else "",
        f"{usage.policy_requests} + {usage.prm_requests} requests",
        retries(usage),
        f"{usage.cancelled_requests} closed early" if usage.cancelled_requests else "",
        f"{result.wall_s:.1f} s",
    ]
    return Text(" · ".join(part for part in parts if part))


def retries(usage: Usage) -> str:
    """Say how many requests were sent again, and why; nothing where none were."""
    if not usage.retries:
        return ""
    often_first = sorted(usage.retries.items(), key=lambda item: -item[1])
    causes = ", ".join(f"{cause} ×{count}" for cause, count in often_first)
    return f"{sum(usage.retries.values())} retries ({causes})"


def _tree(nodes: Sequence[TreeNode]) -> Tree:
    """Draw kept steps as branches, and their pruned siblings as one line of scores."""
    children: dict[tuple[int, ...], list[TreeNode]] = {}
    for node in nodes:
        children.setdefault(node.path[:-1], []).append(node)
    root = Tree(Text("search tree", style="bold"), guide_style="dim")
    branches: dict[tuple[int, ...], Tree] = {(): root}
    for path in sorted(children):
        branch = branches[path]
        for node in children[path]:
            if node.kept:
                branches[node.path] = branch.add(_node_line(node))
        if pruned := [node for node in children[path] if not node.kept]:
            scores = " ".join(_score(node.score) for node in pruned)
            branch.add(Text(f"{len(pruned)} pruned: {scores}", style="dim"))
    return root


def _node_line(node: TreeNode) -> Text:
    text = " ".join(clean(node.text).split())
    shown = text[:_STEP_WIDTH] + ("…" if len(text) > _STEP_WIDTH else "")
    times = f" ×{node.multiplicity}" if node.multiplicity > 1 else ""
    return _scored(node.score, shown + times + _FINISH[node.finish])


def _scored(score: float | None, text: str) -> Text:
    """Return a text behind its score, coloured from red to green."""
    style = (
        "dim"
        if score is None
        else "red"
        if score < 1 / 3
        else "yellow"
        if score < 2 / 3
        else "green"
    )
    return Text(f"{_score(score)}  ", style=style) + Text(
        text.replace("\n", "\n       "), style="default"
    )


def _score(score: float | None) -> str:
    return "  –  " if score is None else f"{score:.3f}"
