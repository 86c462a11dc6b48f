"""Print a search result to a terminal, or as plain text where there is none."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ttc_client.report.terminal import (
    clean,
    counted,
    failures,
    packed,
    retries,
    score_text,
    thought_length,
)
from ttc_client.thoughts import split_thought
from ttc_client.types import Allocation, Candidate, SearchResult, TreeNode

_ANSWERS_SHOWN = 12
_FINISH = {"stop": "", "eos": " ■", "length": " ✂ cut"}
_GUIDE_WIDTH = 4
"""What a level of a tree takes of a line."""


def print_result(result: SearchResult, console: Console, *, tree: bool = False) -> None:
    """Print the answer, the vote, the best solution, the cost and, if asked for, the tree."""
    if tree:
        console.print(search_tree(result.tree, console.width), "")
    if result.answers:
        console.print(_answer_table(result), "")
    if best := best_candidate(result):
        console.print(Text("Best solution", style="bold"))
        console.print(_solution(best), "")
    console.print(_headline(result))
    if found := result.allocation:
        console.print(_allocation(found))
    scored = [f"scored by {clean(result.prm)}"] if result.prm else []
    for line in (*scored, *account(result), *packed(_cost(result), console.width)):
        console.print(Text(line, style="dim"))
    if result.compat:
        console.print(Text(f"searched and judged with --compat {result.compat}", style="dim"))
    if result.note:
        console.print(Text(clean(result.note), style="dim"))


def best_candidate(result: SearchResult) -> Candidate | None:
    """Return the candidate with the highest reward among those that gave the answer."""
    backing = [c for c in result.candidates if c.group == 0]
    return max(backing or result.candidates, key=lambda c: c.reward or 0.0, default=None)


def account(result: SearchResult) -> list[str]:
    """Say how what was sampled became votes, and where the difference went."""
    counts, n = result.counts, result.n
    line = (
        f"{counted(counts.finished, 'completion')}, {counts.distinct} of them distinct → "
        f"{counted(counts.votes, 'vote')}"
    )
    if counts.sampled > counts.finished:  # else they were written whole, not by steps
        line = f"{counted(counts.sampled, 'step')} sampled → {line}"
    lines = [line]
    if counts.distinct_first_steps < counts.first_steps:
        lines.append(
            f"{counts.first_steps} first steps were {counts.distinct_first_steps} distinct ones: "
            "copies are searched once, and counted"
        )
    if counts.finished < n and counts.sampled > counts.finished and not result.note:
        lines.append(
            f"{counts.finished} of N = {n} came to an end: the search left the other steps behind"
        )
    if counts.finished > n:
        lines.append(f"the best {n} of {counts.finished} completions are candidates")
    if counts.cut:
        thinking = sum(c.votes for c in result.candidates if c.in_thought and c.finish == "length")
        why = f", {thinking:g} of them within the thought: raise --max-completion-tokens"
        lines.append(
            f"{counted(counts.cut, 'completion')} cut by a token limit: without a vote"
            f"{why if thinking else ''}"
        )
    if counts.in_thought:
        stopped = counted(counts.in_thought, "completion")
        lines.append(f"{stopped} stopped within the thought, with no response: no vote")
    if unanswered := counts.unanswered - counts.in_thought:
        lines.append(f"{counted(unanswered, 'completion')} without an answer: no vote")
    return lines


def search_tree(nodes: Sequence[TreeNode], width: int) -> Tree:
    """Draw kept steps as branches, and their pruned siblings as one line of scores."""
    children: dict[tuple[int, ...], list[TreeNode]] = {}
    for node in nodes:
        children.setdefault(node.path[:-1], []).append(node)
    root = Tree(Text("search tree", style="bold"), guide_style="dim")
    branches: dict[tuple[int, ...], Tree] = {(): root}
    for path in sorted(children):
        branch = branches.get(path, root)
        for node in children[path]:
            if node.kept:
                room = width - _GUIDE_WIDTH * len(node.path)
                branches[node.path] = branch.add(_node_line(node, room))
        if pruned := [node for node in children[path] if not node.kept]:
            line = Text(f"{len(pruned)} pruned: ", style="dim")
            line.append_text(Text(" ").join(score_text(node.score) for node in pruned))
            branch.add(line)
    return root


def _node_line(node: TreeNode, room: int) -> Text:
    times = f" ×{node.multiplicity}" if node.multiplicity > 1 else ""
    end = times + _FINISH[node.finish]
    score = Text("asked", style="dim") if node.is_prompt else score_text(node.score)
    text = " ".join(clean(_folded(node)).split())
    left = max(12, room - len(score) - len(end) - 2)
    shown = text if len(text) <= left else text[: left - 1] + "…"
    return Text.assemble(score, "  ", (shown + end, "default"))


def _folded(node: TreeNode) -> str:
    """Return a step's text with a note in the place of a whole thought."""
    said = split_thought(node.text)
    return f"({thought_length(said.thought)}) {said.answer}" if said.thought else node.text


def _solution(candidate: Candidate) -> Table:
    """Return the steps behind their scores; wrapped lines keep their indent."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    if candidate.thought:
        grid.add_row("", Text(f"({thought_length(candidate.thought)})", style="dim"))
    for step in candidate.steps:
        grid.add_row(score_text(step.score), Text(clean(step.text)))
    return grid


def _one_line(answer: str) -> str:
    """Return the first line of an answer, of which the best solution shows the rest."""
    first, newline, _ = clean(answer).strip().partition("\n")
    return f"{first} …" if newline else first


def _headline(result: SearchResult) -> Text:
    if not result.answers:
        return Text("No answer: no candidate came to an end with one.", style="bold red")
    won, total = result.answers[0].votes, sum(group.votes for group in result.answers)
    told = "as above" if "\n" in result.answer else clean(result.answer) or "(none)"
    line = Text("Answer: ") + Text(told, style="bold green")
    said = f"{result.vote} vote; {won:g} of {counted(total, 'candidate')}"
    return line + Text(f"   ({said})", style="dim")


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
    sums = "summed reward" if result.prm else "summed weight"
    shown = [sums, "best reward"] if result.prm else [sums] if "weighted" in result.choices else []
    for name in shown:
        table.add_column(name, justify="right")
    table.add_column("chosen by")
    for group in result.answers[:_ANSWERS_SHOWN]:
        rewards = [f"{group.reward_sum:.2f}", f"{group.reward_max:.3f}"][: len(shown)]
        chosen = ", ".join(
            vote for vote, answer in result.choices.items() if answer == group.answer
        )
        answer = Text(_one_line(group.answer) or "(none)", style="" if group.answer else "dim")
        table.add_row(answer, f"{group.votes:g}", *rewards, chosen)
    if (hidden := len(result.answers) - _ANSWERS_SHOWN) > 0:
        table.add_row(Text(f"… {hidden} more", style="dim"))
    return table


def _cost(result: SearchResult) -> list[str]:
    usage = result.usage
    cached = (
        f" ({usage.cached_tokens / usage.prompt_tokens:.0%} cached)" if usage.prompt_tokens else ""
    )
    return [
        f"{usage.completion_tokens:,} tokens generated",
        f"{usage.prompt_tokens:,} prompt tokens{cached}",
        f"{usage.estimated_tokens:,} of both estimated" if usage.estimated_tokens else "",
        f"{usage.prm_tokens:,} PRM tokens" if result.prm else "",
        f"{usage.policy_requests} + {usage.prm_requests} requests",
        retries(usage),
        failures(usage),
        f"{usage.cancelled_requests} closed early" if usage.cancelled_requests else "",
        f"{result.wall_s:.1f} s",
    ]
