"""Split a request for several continuations, for servers that give fewer per request.

The only place that does. The wrapped client may raise TooManyError for what its server turns out
not to give.
"""

from collections.abc import Callable
from dataclasses import replace

from ttc_client.errors import ServerError, TooManyError
from ttc_client.search.ports import Policy, SampleRequest, Samples
from ttc_client.together import together
from ttc_client.types import Usage


def in_parts(port: Policy, most: Callable[[], int | None]) -> Policy:
    """Split requests for more than `most` continuations, or than a TooManyError allows.

    Around the retries, so that a failure repeats, or costs, one part and not all of them.
    """

    async def call(request: SampleRequest) -> Samples:
        limit = most()
        if limit is None or request.n <= limit or request.n == 1:
            try:
                return await port(request)
            except TooManyError as refusal:
                if refusal.most >= request.n:
                    raise
                limit = refusal.most
        return await _by_parts(call, request, limit)

    return call


async def _by_parts(port: Policy, request: SampleRequest, most: int) -> Samples:
    """Sample in parts of `most` continuations, all at once, with the seeds they have in n.

    The continuations of a part that fails are None; raises the first ServerError if all fail.
    """

    async def part(first: int) -> Samples | ServerError:
        seed = None if request.seed is None else request.seed + first
        try:
            return await port(replace(request, n=min(most, request.n - first), seed=seed))
        except ServerError as error:
            return error

    starts = range(0, request.n, most)
    parts = await together(map(part, starts))
    answered = [samples for samples in parts if isinstance(samples, Samples)]
    if not answered:
        raise next(error for error in parts if isinstance(error, ServerError))
    steps = [
        step
        for first, samples in zip(starts, parts, strict=True)
        for step in (
            samples.steps
            if isinstance(samples, Samples)
            else (None,) * min(most, request.n - first)
        )
    ]
    spent = sum((samples.usage for samples in answered), Usage())
    return Samples(tuple(steps), answered[0].prompt_ids, spent)
