"""Ask for each continuation by itself, where a server takes one at a time anyway."""

from collections.abc import Callable
from dataclasses import replace

from ttc_client.errors import ServerError
from ttc_client.search.ports import Policy, SampleRequest, Samples
from ttc_client.together import together
from ttc_client.types import Usage


def singly(port: Policy, is_wanted: Callable[[], bool]) -> Policy:
    """Split requests, so that a failure repeats, or costs, one continuation and not all of them."""

    async def call(request: SampleRequest) -> Samples:
        if request.n == 1 or not is_wanted():
            return await port(request)
        return await one_by_one(port, request)

    return call


async def one_by_one(port: Policy, request: SampleRequest) -> Samples:
    """Sample the continuations by a request each, all at once, with the seeds that they have.

    One that fails is None; raises the first ServerError if all of them fail.
    """

    async def one(index: int) -> Samples | ServerError:
        seed = None if request.seed is None else request.seed + index
        try:
            return await port(replace(request, n=1, seed=seed))
        except ServerError as error:
            return error

    singles = await together(map(one, range(request.n)))
    answered = [samples for samples in singles if isinstance(samples, Samples)]
    if not answered:
        raise next(error for error in singles if isinstance(error, ServerError))
    return Samples(
        tuple(one.steps[0] if isinstance(one, Samples) else None for one in singles),
        answered[0].prompt_ids,
        sum((samples.usage for samples in answered), Usage()),
    )
