"""What the toolkit takes for candidates, answers and votes."""

import re
from collections.abc import Sequence
from itertools import cycle, groupby, islice, zip_longest

from ttc_client.sal.searches import ended, pieces
from ttc_client.search.params import SearchParams
from ttc_client.types import Candidate, ScoredStep, Trajectory

_NUMBER = re.compile(r"-?\d*\.?\d+")


def completions(sampled: Sequence[Trajectory], params: SearchParams) -> list[Trajectory]:
    """Return N trajectories of those sampled, in the toolkit's order.

    Of beam search the first N that ended, over and over where they are fewer; of DVTS the last
    siblings of each subtree; else all.
    """
    if params.strategy == "beam":
        return list(islice(cycle(t for t in sampled if ended(t)), params.n))
    if params.strategy == "dvts":
        return [
            trajectory
            for _, grown in groupby(sampled, key=lambda t: t.path[0] // params.m)
            for trajectory in _deepest(list(grown))
        ]
    return list(sampled)


def _deepest(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    depth = max(len(trajectory.path) for trajectory in trajectories)
    return [trajectory for trajectory in trajectories if len(trajectory.path) == depth]


def candidate(completion: Trajectory, answer: str, params: SearchParams) -> Candidate:
    """Return a completion as a candidate, its last score as the reward.

    With lookahead there are more scores than steps: a step that was rolled out has no text.
    """
    texts, scores = pieces(completion.text), completion.scores
    return Candidate(
        text=completion.text,
        steps=tuple(ScoredStep(text or "", score) for text, score in zip_longest(texts, scores)),
        reward=scores[-1] if scores else None,
        answer=answer,
        finish=completion.finish,
        multiplicity=1,
        num_tokens=completion.num_tokens,
        path=completion.path,
    )


def has_vote(candidate: Candidate) -> bool:
    """Everything votes: what was cut, what had not ended, and what gives no answer."""
    return True


def extract_answer(text: str) -> str:
    r"""Return the answer that the toolkit reads from a text, before it tidies up the spelling.

    The first of these that the text has: the first "final answer is $...$. I hope"; what follows
    the last "boxed", in braces or up to a dollar; what follows the last "he answer is", then
    "final answer is"; the last number of the whole text.
    """
    if "final answer is $" in text and "$. I hope" in text:
        _, _, rest = text.partition("final answer is $")
        answer = rest.partition("$. I hope")[0].strip()
    elif "boxed" in text:
        answer = _boxed(text.rpartition("boxed")[2])
    elif phrase := next((p for p in ("he answer is", "final answer is") if p in text), ""):
        answer = text.rpartition(phrase)[2].strip()
    else:
        answer = (["", *_NUMBER.findall(text.replace(",", ""))])[-1]
    return (
        re.sub(r"\n\s*", "", answer).removeprefix(":").removesuffix(".").removesuffix("/").strip()
    )


def _boxed(rest: str) -> str:
    """Return what is in the braces that a text begins with; all of it if they never close."""
    if not rest.startswith("{"):
        return rest.partition("$")[0].strip()
    depth = 0
    for place, character in enumerate(rest):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return rest[1:place]
    return rest[1:]


def shortfall(
    sampled: Sequence[Trajectory], candidates: Sequence[Candidate], params: SearchParams
) -> str:
    """Say which of the N candidates would not be one, or not vote, without `--compat sal`."""
    counts = {
        "are copies of others": len(candidates) - len({c.path for c in candidates}),
        "had not come to an end": sum(c.finish == "stop" for c in candidates),
        "were cut by a token limit": sum(c.finish == "length" for c in candidates),
        "give no answer": sum(not c.answer for c in candidates),
    }
    reasons = [f"{count} {what}" for what, count in counts.items() if count]
    if not reasons:
        return ""
    return f"of {len(candidates)} candidates, all of which vote: " + "; ".join(reasons)
