"""Write the page of a single search, from the directory that `ttc solve --out` wrote."""

from dataclasses import dataclass
from pathlib import Path

import msgspec

from ttc_client.errors import ConfigError
from ttc_client.report.document import asset, document, filled, paragraphs, shown
from ttc_client.report.result import account
from ttc_client.report.rich import Formula, Rich, Typesetter
from ttc_client.report.shown import (
    ShownNode,
    ShownVotes,
    in_steps,
    is_whole,
    shown_nodes,
)
from ttc_client.report.sources import DEMO, is_demo_search, models
from ttc_client.report.terminal import retries
from ttc_client.runtime.store import RESULT, TRACE
from ttc_client.types import Candidate, SearchResult

_SCRIPTS = ("tree.js", "search.js")
_LEGEND = (
    "Steps are coloured by the score that the PRM gave them, from red (0) to green (1); faded "
    "ones were not kept. A closed branch shows the answers that it leads to."
)
_LEGEND_UNSCORED = "No PRM scored these steps. A closed branch shows the answer that it leads to."
_FINISHES = {"length": "cut", "stop": "", "eos": ""}


@dataclass(frozen=True, slots=True)
class ShownStep:
    """A step of a candidate."""

    text: Rich
    score: float | None


@dataclass(frozen=True, slots=True)
class ShownCandidate:
    """A candidate: its answer, its reward, what is to be said of it, and its steps."""

    answer: Rich
    reward: float | None
    notes: str
    steps: tuple[ShownStep, ...]
    thought: Rich | None = None


@dataclass(frozen=True, slots=True)
class ShownResult:
    """What the page's script is given."""

    problem: Rich
    answer: Rich
    votes: tuple[ShownVotes, ...]
    candidates: tuple[ShownCandidate, ...]
    tree: tuple[ShownNode, ...]
    formulas: list[Formula]


def is_search(path: Path) -> bool:
    """Say whether a directory is that of a single search."""
    return (path / RESULT).exists() or (path / TRACE).exists()


def read_search(path: Path) -> SearchResult:
    """Read what a search found; raises ConfigError where it has not come to an end."""
    try:
        return msgspec.json.decode((path / RESULT).read_bytes(), type=SearchResult)
    except FileNotFoundError:
        raise ConfigError(
            f"{path} holds a search that did not come to its end: there is a {TRACE}, and no "
            f"{RESULT}; run ttc solve again"
        ) from None
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigError(f"{path / RESULT} is damaged: {error}") from error


def write_search(path: Path, directory: Path) -> Path:
    """Write the page of a search to a directory, and return its path."""
    text = search_page(read_search(path))
    directory.mkdir(parents=True, exist_ok=True)
    index = directory / "index.html"
    index.write_text(text, encoding="utf-8")
    return index


def shown_result(result: SearchResult) -> ShownResult:
    """Return what a page shows of a search."""
    typeset = Typesetter()
    return ShownResult(
        problem=typeset.text(result.problem.question),
        answer=typeset.answer(result.answer),
        votes=_votes(result, typeset),
        candidates=_candidates(result, typeset),
        tree=_tree(result, typeset),
        formulas=typeset.formulas,
    )


def search_page(result: SearchResult) -> str:
    """Return the page of a search: its answer, its votes, its candidates and its tree."""
    said = [models([result.policy], [result.prm])]
    demo = [DEMO] if is_demo_search(result) else []
    heading = f"{result.strategy} at N={result.n}"
    parts = {
        "HEADING": shown(heading),
        "SOURCES": paragraphs(said, "models") + paragraphs(demo, "demo"),
        "VERDICT": paragraphs(_verdict(result), "muted"),
        "LEGEND": shown(_LEGEND if result.prm else _LEGEND_UNSCORED),
    }
    body = filled(asset("search.html"), parts)
    return document(f"ttc report: {heading}", body, "search", shown_result(result), _SCRIPTS)


def _votes(result: SearchResult, typeset: Typesetter) -> tuple[ShownVotes, ...]:
    return tuple(
        ShownVotes(
            answer=typeset.answer(group.answer),
            right=None,
            votes=group.votes,
            reward_sum=group.reward_sum if result.prm else None,
            reward_max=group.reward_max if result.prm else None,
            chosen=tuple(vote for vote, answer in result.choices.items() if answer == group.answer),
        )
        for group in result.answers
    )


def _candidates(result: SearchResult, typeset: Typesetter) -> tuple[ShownCandidate, ...]:
    ranked = sorted(result.candidates, key=lambda candidate: -(candidate.reward or 0.0))
    return tuple(
        ShownCandidate(
            answer=typeset.answer(candidate.answer),
            reward=candidate.reward,
            notes=_notes(candidate),
            steps=tuple(
                ShownStep(typeset.text(step.text.strip()), step.score) for step in candidate.steps
            ),
            thought=typeset.text(candidate.thought) if candidate.thought else None,
        )
        for candidate in ranked
    )


def _notes(candidate: Candidate) -> str:
    count = f"×{candidate.votes:g}" if candidate.votes > 1 else ""
    tokens = f"{candidate.num_tokens:,} tokens"
    parts = (count, tokens, _FINISHES[candidate.finish])
    parts = (*parts, "stopped in its thought" if candidate.in_thought else "")
    parts = (*parts, "no vote" if candidate.group is None else "")
    return ", ".join(part for part in parts if part)


def _tree(result: SearchResult, typeset: Typesetter) -> tuple[ShownNode, ...]:
    ends = {candidate.path: (candidate.answer, None) for candidate in result.candidates}
    if not is_whole(result.tree):
        return shown_nodes(result.tree, ends, typeset)
    scores = {c.path: [step.score for step in c.steps] for c in result.candidates}
    chains = [in_steps(node, scores.get(node.path, ())) for node in result.tree]
    ends |= {chain[-1].path: ends[chain[0].path] for chain in chains if chain[0].path in ends}
    return shown_nodes([node for chain in chains for node in chain], ends, typeset)


def _verdict(result: SearchResult) -> list[str]:
    """Say what the vote was, what the search cost, and what fell short."""
    total = sum(group.votes for group in result.answers)
    won = result.answers[0].votes if result.answers else 0
    usage = result.usage
    costs = [
        f"{usage.completion_tokens:,} tokens generated",
        f"{usage.prm_tokens:,} PRM tokens" if result.prm else "",
        f"{usage.policy_requests + usage.prm_requests} requests",
        retries(usage),
        f"{result.wall_s:.1f} s",
        f"seed {result.seed}",
    ]
    found = result.allocation
    return [
        f"Chosen by the {result.vote} vote: {won:g} of {total:g} candidates gave it."
        if total
        else "No candidate came to an end with an answer.",
        ", ".join(cost for cost in costs if cost) + ".",
        *(f"{line}." for line in account(result)),
        *([result.note] if result.note else []),
        *([f"Spent on {found.strategy}: bin {found.bin} of difficulty."] if found else []),
        *([f"Searched and judged with --compat {result.compat}."] if result.compat else []),
    ]
