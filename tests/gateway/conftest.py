"""A gateway that tests share; what its policy writes is said in the question."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.gateway.serving import Caller, serving
from ttc_client.errors import RequestError
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier
from ttc_client.types import Finish


def as_asked(request: SampleRequest, i: int) -> tuple[str, Finish]:
    """Write the texts that the question holds, in turn; those behind "cut:" are cut."""
    question = request.messages[-1].content
    texts = question.removeprefix("cut:").split("|")
    text = texts[(request.seed + i) % len(texts)]
    return text, "length" if question.startswith("cut:") else "eos"


def by_word(text: str) -> float:
    return 0.9 if "bright" in text else 0.5


class Refusing(ScriptedPolicy):
    """Refuse log-probabilities, if told so."""

    refuses_logprobs = False

    async def __call__(self, request: SampleRequest) -> Samples:
        samples = await super().__call__(request)
        if self.refuses_logprobs and request.top_logprobs is not None:
            raise RequestError("no logprobs here", url="", status=400)
        return samples


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shared() -> AsyncIterator[Caller]:
    policy, verifier = Refusing(as_asked, tokens=len), ScriptedVerifier(by_word)
    async with serving(policy, verifier) as caller:
        caller.policy, caller.verifier = policy, verifier
        yield caller


@pytest_asyncio.fixture(loop_scope="package")
async def caller(shared: Caller) -> Caller:
    """The shared gateway, whose policy and verifier have been asked nothing yet."""
    shared.policy.requests.clear()
    shared.verifier.requests.clear()
    return shared
