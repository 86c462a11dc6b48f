"""Ask for each continuation by itself, where a server takes one at a time anyway."""

from collections.abc import Callable
from dataclasses import replace

from ttc_client.search.ports import Policy, SampleRequest, Samples
from ttc_client.together import together
from ttc_client.types import Usage


def singly(port: Policy, is_wanted: Callable[[], bool]) -> Policy:
    """Split requests, so that a failure repeats one continuation and not all of them."""

    async def call(request: SampleRequest) -> Samples:
        if request.n == 1 or not is_wanted():
            return await port(request)
        return await one_by_one(port, request)

    return call


async def one_by_one(port: Policy, request: SampleRequest) -> Samples:
    """Sample the continuations by a request each, all at once, with the seeds that they have."""

    async def one(index: int) -> Samples:
        seed = None if request.seed is None else request.seed + index
        return await port(replace(request, n=1, seed=seed))

    singles = await together(map(one, range(request.n)))
    return Samples(
        tuple(step for samples in singles for step in samples.steps),
        singles[0].prompt_ids,
        sum((samples.usage for samples in singles), Usage()),
    )
