"""Requests split for servers that give fewer continuations each."""

from dataclasses import replace

import pytest

from ttc_client.errors import RequestError, TooManyError
from ttc_client.middleware.parts import in_parts
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.testing import ROOT
from ttc_client.types import Step, Usage

ASKED = SampleRequest(ROOT, 3, 0.8, 1.0, 64, (), seed=5)


class OneAtATime:
    """A policy that refuses n > 1, and knows that it does once it has."""

    def __init__(self, *, knows: bool) -> None:
        self.knows = knows
        self.asked: list[tuple[int, int | None]] = []

    async def __call__(self, request: SampleRequest) -> Samples:
        self.asked.append((request.n, request.seed))
        if request.n > 1:
            self.knows = True
            raise TooManyError("", 1)
        step = Step(str(request.seed), "stop", 1)
        return Samples((step,), (1, 2), Usage(completion_tokens=1, policy_requests=1))


@pytest.mark.parametrize("knows", [True, False])
async def test_continuations_keep_their_order_and_seeds_and_are_counted(knows):
    policy = OneAtATime(knows=knows)
    port = in_parts(policy, lambda: 1 if policy.knows else None)
    samples = await port(ASKED)
    assert [step.text for step in samples.steps] == ["5", "6", "7"]
    assert samples.prompt_ids == (1, 2)
    assert samples.usage == Usage(completion_tokens=3, policy_requests=3)
    await port(ASKED)
    assert policy.asked == [(3, 5)] * (not knows) + [(1, 5), (1, 6), (1, 7)] * 2


async def failing(*seeds: int):
    """Sample one by one from a server that fails for these seeds."""

    async def port(request: SampleRequest) -> Samples:
        if request.seed in seeds:
            raise RequestError(f"no {request.seed}", url="")
        step = Step(str(request.seed), "stop", 1)
        return Samples((step,), (1, 2), Usage(completion_tokens=1, policy_requests=1))

    return await in_parts(port, lambda: 1)(ASKED)


async def test_one_that_fails_costs_itself_alone_and_leaves_its_place_empty():
    samples = await failing(5, 7)
    assert [step and step.text for step in samples.steps] == [None, "6", None]
    assert samples.prompt_ids == (1, 2)
    assert samples.usage == Usage(completion_tokens=1, policy_requests=1)


async def test_where_all_fail_the_first_failure_is_raised():
    with pytest.raises(RequestError, match="no 5"):
        await failing(5, 6, 7)


async def test_without_a_seed_none_is_made_up():
    policy = OneAtATime(knows=True)
    await in_parts(policy, lambda: 1)(SampleRequest(ROOT, 2, 0.8, 1.0, 64, (), None))
    assert policy.asked == [(1, None)] * 2


async def test_what_a_server_takes_is_not_split_and_another_refusal_is_raised():
    async def whole(request: SampleRequest) -> Samples:
        if request.temperature:
            raise RequestError("no", url="")
        return Samples((Step("x", "stop", 1),) * request.n, (), Usage(policy_requests=1))

    port = in_parts(whole, lambda: None)
    greedy = SampleRequest(ROOT, 3, 0.0, 1.0, 64, (), None)
    assert (await port(greedy)).usage.policy_requests == 1
    with pytest.raises(RequestError, match="no"):
        await port(ASKED)


class SomeAtATime:
    """A policy that gives so many continuations, and states its limit to each larger request."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[tuple[int, int | None]] = []

    async def __call__(self, request: SampleRequest) -> Samples:
        self.asked.append((request.n, request.seed))
        if request.n > self.most:
            raise TooManyError("", self.most)
        seed = request.seed or 0
        steps = tuple(Step(str(seed + i), "stop", 1) for i in range(request.n))
        return Samples(steps, (), Usage(policy_requests=1))


@pytest.mark.parametrize(("knows", "refused"), [(None, [(10, 5)]), (8, [(8, 5)]), (4, [])])
async def test_a_limit_is_used_to_the_full_however_it_is_learnt(knows, refused):
    policy = SomeAtATime(4)
    samples = await in_parts(policy, lambda: knows)(replace(ASKED, n=10))
    assert [step.text for step in samples.steps] == [str(5 + i) for i in range(10)]
    assert [asked for asked in policy.asked if asked[0] > 4] == refused
    assert sorted(asked for asked in policy.asked if asked[0] <= 4)[-2:] == [(4, 5), (4, 9)]


async def test_a_port_that_refuses_what_it_says_it_gives_is_not_asked_for_ever():
    async def contrary(request: SampleRequest) -> Samples:
        raise TooManyError("", request.n)

    with pytest.raises(TooManyError):
        await in_parts(contrary, lambda: None)(ASKED)
