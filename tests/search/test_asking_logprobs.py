"""Log-probabilities are asked for where a strategy or its verifier reads them, else nowhere."""

from dataclasses import replace

import pytest

from ttc_client.search.best_of_n import BEST_OF_N, MAJORITY
from ttc_client.search.dvts import DVTS
from ttc_client.search.params import SearchParams
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search, walk

READS_FIVE = replace(MAJORITY, top_logprobs=5)


@pytest.mark.parametrize(
    ("strategy", "verifier_reads", "asked"),
    [
        (MAJORITY, None, None),
        (MAJORITY, 20, None),
        (BEST_OF_N, None, None),
        (BEST_OF_N, 0, 0),
        (DVTS, 20, 20),
        (READS_FIVE, None, 5),
        (replace(BEST_OF_N, top_logprobs=5), 20, 20),
        (replace(BEST_OF_N, top_logprobs=5), 0, 5),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
async def test_as_many_alternatives_are_asked_for_as_are_read(strategy, verifier_reads, asked):
    policy, verifier = ScriptedPolicy(walk), ScriptedVerifier(perfect)
    params = SearchParams(strategy=strategy.name, n=8)
    await run_search(params, policy, verifier, strategy=strategy, top_logprobs=verifier_reads)
    assert {request.top_logprobs for request in policy.requests} == {asked}


async def test_a_strategy_and_a_verifier_find_them_in_the_steps():
    policy = ScriptedPolicy(walk, tokens=len, logprob=lambda text: -0.25)
    verifier = ScriptedVerifier(perfect)
    found = await run_search(
        SearchParams(strategy="best-of-n", n=2), policy, verifier, top_logprobs=20
    )
    (request,) = verifier.requests
    seen = [step for steps in request.sampled for step in steps]
    assert seen == [step for t in found.sampled for step in t.steps]
    for step in seen:
        assert step.logprobs == (-0.25,) * step.num_tokens
        assert step.confidences == (0.25,) * step.num_tokens
