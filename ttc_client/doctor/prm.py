"""Checks of a PRM: its labels, its context, whether it scores right steps above wrong ones."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import fmean

from ttc_client.clients.connect import PRMClient
from ttc_client.clients.prompts import RLHFLOW_VERDICTS
from ttc_client.doctor.findings import Check
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest
from ttc_client.together import together
from ttc_client.types import Problem

SOLUTIONS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        r"Compute $(51 - 35) \cdot 8$.",
        ("## Step 1: Subtract\n$51 - 35 = 16$.", "## Step 2: Multiply\n$16 \\cdot 8 = 128$."),
        ("## Step 1: Subtract\n$51 - 35 = 86$.", "## Step 2: Multiply\n$86 \\cdot 8 = 688$."),
    ),
    (
        r"Let $f(x) = 7x + 13$. Find $f(3)$.",
        ("## Step 1: Multiply\n$3 \\cdot 7 = 21$.", "## Step 2: Add\n$21 + 13 = 34$."),
        ("## Step 1: Multiply\n$3 \\cdot 7 = 10$.", "## Step 2: Add\n$10 + 13 = 23$."),
    ),
    (
        r"Let $a_1 = 7$ and $a_{k+1} = 3a_k - 17$. Find $a_2$.",
        ("## Step 1: Next term\n$7 \\cdot 3 = 21$, $21 - 17 = 4$.",),
        ("## Step 1: Next term\n$7 \\cdot 3 = 28$, $28 - 17 = 11$.",),
    ),
)
"""Problems, each with a right solution and one that is wrong from its first step on."""

_CLEAR_GAP = 0.1
_UNSURE = 0.5
"""Stands for a missing score."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Mean scores of the last step of right and of wrong solutions."""

    right: float
    wrong: float

    @property
    def clear(self) -> bool:
        """Whether right solutions score well above wrong ones."""
        return self.right - self.wrong >= _CLEAR_GAP

    @property
    def plausible(self) -> bool:
        """Whether the scores may be a PRM's; others score right solutions as low as wrong ones."""
        return self.clear or (self.right > self.wrong and self.right >= 0.5)


async def judge(prm: PRMClient) -> Judgement:
    """Have a PRM score right and wrong solutions of simple problems; raises ServerError."""
    replies = await together(
        prm.score(ScoreRequest(Problem(question=problem), (), (good, bad)))
        for problem, good, bad in SOLUTIONS
    )
    last = [
        [_UNSURE if steps[-1] is None else steps[-1] for steps in reply.scores] for reply in replies
    ]
    return Judgement(fmean(good for good, _ in last), fmean(bad for _, bad in last))


def judgement(found: Judgement) -> Check:
    """Check that right solutions score above wrong ones."""
    seen = f"right steps score {found.right:.2f} on average, wrong ones {found.wrong:.2f}"
    if found.clear:
        return Check("judgement", "ok", seen)
    if found.plausible:
        fix = "expect little of this PRM: its ranking is close to chance"
        return Check("judgement", "warn", f"{seen}: a small difference", fix)
    return Check(
        "judgement",
        "fail",
        f"{seen}: this is no PRM, or it is asked in the wrong way",
        "name the PRM's server with --prm, or the way to ask it with --prm-api",
    )


async def labels(prm: PRMClient) -> Check:
    """Check that the PRM's two labels are two tokens."""
    if (ids := prm.facts.labels) is None:
        return Check("labels", "skip", "the server chooses them")
    good, bad = (f"{verdict!r} (id {i})" for verdict, i in zip(RLHFLOW_VERDICTS, ids, strict=True))
    if ids[0] != ids[1]:
        return Check("labels", "ok", f"{good} and {bad}")
    return Check(
        "labels",
        "fail",
        f"{good} and {bad} are one token",
        "serve a PRM that answers with these labels, or choose another --prm-api",
    )


async def context(prm: PRMClient, params: SearchParams) -> Check:
    """Check that the PRM reads solutions as long as the policy may write them."""
    limit = prm.facts.context_length
    if limit is None:
        return Check("context", "skip", "the server does not say how much its model reads")
    wanted = params.max_completion_tokens
    if limit > wanted:
        return Check("context", "ok", f"{limit:,} tokens")
    return Check(
        "context",
        "warn",
        f"{limit:,} tokens, though --max-completion-tokens allows {wanted:,}: longer solutions "
        "cannot be scored, and fail their problem",
        "a smaller --max-completion-tokens, or a larger --max-model-len at the server",
    )


def scorer(client: PRMClient) -> Callable[[int], Awaitable[int]]:
    """Return a function that scores a new solution and returns its number of steps."""

    async def score(index: int) -> int:
        steps = (f"## Step 1: Add\n${index} + 25 = {index + 25}$.",)
        problem = Problem(question=f"Compute ${index} + 25$.")
        await client.score(ScoreRequest(problem, (), (steps,)))
        return len(steps)

    return score
