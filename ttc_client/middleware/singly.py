"""Split a request for several continuations, for servers that take one per request.

The only place that does. The wrapped client answers requests with n = 1, and may raise
OneChoiceError for others.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from ttc_client.errors import OneChoiceError, ServerError
from ttc_client.search.ports import Policy, SampleRequest, Samples
from ttc_client.together import together
from ttc_client.types import Usage


def singly(port: Policy, is_wanted: Callable[[], bool]) -> Policy:
    """Split requests where `is_wanted` says so, or where the port raises OneChoiceError.

    Around the retries, so that a failure repeats, or costs, one continuation and not all of them.
    """

    async def call(request: SampleRequest) -> Samples:
        if request.n == 1 or not is_wanted():
            with suppress(OneChoiceError):
                return await port(request)
        return await _one_by_one(port, request)

    return call


async def _one_by_one(port: Policy, request: SampleRequest) -> Samples:
    """Sample each continuation by a request of its own, all at once, with the seed it has in n.

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
