"""With a perfect verifier every guided search beats best-of-N; with one upside down it is ruined.

And none samples more than its record declares.
"""

import random
from collections.abc import Callable

import pytest

from tests.search.test_contracts import settings_of
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.steps import split_steps
from ttc_client.search.strategies import STRATEGIES
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk
from ttc_client.types import Finish

GUIDED = ["beam", "dvts", "particles", "rebase", "mcts", "revise"]
PROBLEMS = 40


def revising(request: SampleRequest, i: int) -> tuple[str, Finish]:
    """Write better the more attempts are shown; `walk` where nothing is to be revised."""
    seen = sum(message.role == "assistant" for message in request.messages)
    return walk(request, i, p_good=min(1.0, 0.5 + 0.2 * seen))


async def accuracy(name: str, judge: Callable[[str], float], n: int = 8) -> float:
    """Share of problems on which the candidate that counts most is right."""
    right = 0
    for problem in range(PROBLEMS):
        params = SearchParams(strategy=name, n=n)
        prm = ScriptedVerifier(judge)
        found = await run_search(params, ScriptedPolicy(revising), prm, question=f"{problem}")
        best = max(found.picks, key=lambda pick: pick.trajectory.value, default=None)
        right += best is not None and "{right}" in best.trajectory.text
    return right / PROBLEMS


@pytest.mark.parametrize("name", GUIDED)
async def test_a_perfect_verifier_makes_it_beat_best_of_n(name):
    assert await accuracy(name, perfect) > await accuracy("best-of-n", perfect) + 0.15


@pytest.mark.parametrize("name", GUIDED)
async def test_a_verifier_upside_down_ruins_it(name):
    assert await accuracy(name, lambda text: 1 - perfect(text)) < 0.1


@pytest.mark.parametrize("name", STRATEGIES)
async def test_it_samples_no_more_than_it_declares_whatever_the_lengths(name):
    """Completions of 1 to 9 steps, a verifier by chance, look-ahead where there is one."""
    strategy = STRATEGIES[name]
    shares: list[float] = []
    for lookahead in (0, 2):
        for settings in settings_of(strategy, lookahead):
            for seed in range(6):
                params = SearchParams(
                    strategy=name, n=(8, 16, 32)[seed % 3], seed=seed, settings=settings
                )
                params = strategy.checked(params)
                lengths: list[int] = []
                policy = ScriptedPolicy(_of_chance_length(lengths), tokens=_num_steps)
                prm = ScriptedVerifier(lambda text: random.Random(text).random())
                await run_search(params, policy, prm)
                bound = strategy.spends(params, strategy.settings_of(params)) * max(lengths)
                assert policy.num_tokens <= bound
                shares.append(policy.num_tokens / bound)
    assert max(shares) > 0.3, "what is declared is far from what is spent"


def _num_steps(text: str) -> int:
    return len(split_steps(text))


def _of_chance_length(lengths: list[int]) -> Callable[[SampleRequest, int], tuple[str, Finish]]:
    """Write on to a length by chance, and take down the lengths of what has been written."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        before = _num_steps(request.trajectory.text)
        rng = random.Random(repr((request.seed, i)))
        steps = [f"s{rng.random()}" for _ in range(1 if request.stop else rng.randint(1, 9))]
        lengths.append(before + len(steps))
        ends = not request.stop or rng.random() < 0.1 or before >= 8
        return "\n\n".join(steps if ends else [*steps, ""]), "eos" if ends else "stop"

    return write
