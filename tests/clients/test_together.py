"""Several requests that stand for one: all of them, or the first failure."""

import asyncio

import pytest

from ttc_client.errors import TransientServerError
from ttc_client.together import both, together


async def test_the_answers_come_in_the_order_of_the_requests():
    first = asyncio.Event()

    async def slow() -> int:
        await first.wait()
        return 1

    async def quick() -> int:
        first.set()
        return 2

    assert await together([slow(), quick()]) == (1, 2)
    assert await together([]) == ()
    assert await both(slow(), together([quick()])) == (1, (2,))


async def test_the_first_failure_closes_the_others_and_is_raised_as_it_is():
    closed = asyncio.Event()
    error = TransientServerError("no", url="http://a")

    async def lasting() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def failing() -> None:
        raise error

    with pytest.raises(TransientServerError) as caught:
        await together([lasting(), failing()])
    assert caught.value is error
    assert closed.is_set()
