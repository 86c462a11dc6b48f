"""Open a client for a server, in the way that was named or that the server turns out to want."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec

from ttc_client import wire
from ttc_client.clients.http import Server
from ttc_client.clients.rlhflow import CompletionScoring, GenerativeScoring, RLHFlowModel
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.clients.tgi import TGIPolicy
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import ProtocolError, RequestError
from ttc_client.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Trajectory

_NO_SUCH_PATH = (404, 405, 501)


class PolicyClient(Protocol):
    """A policy at one server; `root` gives the empty trajectory of a problem."""

    @property
    def model(self) -> str: ...

    async def root(self, problem: str) -> Trajectory: ...

    async def sample(self, request: SampleRequest) -> Samples: ...


class PRMClient(Protocol):
    """A PRM at one server; `name` says which model, asked in which way."""

    @property
    def name(self) -> str: ...

    async def score(self, request: ScoreRequest) -> Scores: ...


@asynccontextmanager
async def connect_policy(
    server: Server, api: str, model: str | None, system_prompt: str
) -> AsyncGenerator[PolicyClient]:
    """Open the client for an API by name."""
    if api == "vllm":
        yield await VLLMPolicy.connect(server, model, system_prompt)
        return
    if api == "tgi":
        yield await TGIPolicy.connect(server, model, system_prompt)
        return
    from ttc_client.clients.openai import OpenAIPolicy  # the SDK takes a second to import

    policy = await OpenAIPolicy.connect(server, model, system_prompt)
    try:
        yield policy
    finally:
        await policy.close()


async def connect_prm(server: Server, api: str) -> PRMClient:
    """Return the client for an API by name; "auto" asks the server what it offers."""
    if api == "auto":
        api = await _detect(server)
    match api:
        case "score":
            return ScoreProtocol(server)
        case "generative-scoring":
            return GenerativeScoring(await RLHFlowModel.connect(server))
        case _:
            return CompletionScoring(await RLHFlowModel.connect(server))


async def _detect(server: Server) -> str:
    """Ask for no scores at all in each way, from the most specific to the most general."""
    try:
        await server.post("/score", wire.ScoreCall(problem="", items=[]), wire.ScoreReply)
    except (RequestError, ProtocolError) as error:
        if isinstance(error, RequestError) and error.status not in (400, 422, *_NO_SUCH_PATH):
            raise
    else:
        return "score"
    try:
        await server.post("/generative_scoring", {}, msgspec.Raw)
    except RequestError as error:
        if error.status in _NO_SUCH_PATH:
            return "completions"
    return "generative-scoring"
