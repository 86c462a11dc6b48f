"""Open a client for a server, in the way that was named or that the server turns out to want."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from ttc_client.clients import wire
from ttc_client.clients.causal import CausalPRM, CompletionScoring, GenerativeScoring
from ttc_client.clients.http import Server
from ttc_client.clients.outcome import TEIPrediction, VLLMClassification
from ttc_client.clients.pooling import StepPooling, TokenClassification
from ttc_client.clients.prompts import QWEN_PRM_MARKER
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.clients.tgi import TGIPolicy
from ttc_client.clients.tgi_scoring import TGIScoring
from ttc_client.clients.vllm import VLLMPolicy, served_model, tokenize
from ttc_client.errors import ProtocolError, RequestError, TransientServerError
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Message, Trajectory

_NO_SUCH_PATH = (404, 405, 501)


class PolicyClient(Protocol):
    """A policy at one server; `root` gives the empty trajectory of a prompt.

    `asks_singly` says whether it sends a request for each continuation.
    """

    @property
    def model(self) -> str: ...

    @property
    def asks_singly(self) -> bool: ...

    async def root(self, messages: Sequence[Message]) -> Trajectory: ...

    async def sample(self, request: SampleRequest) -> Samples: ...


class PRMClient(Protocol):
    """A PRM at one server; `name` says which model, asked in which way."""

    @property
    def name(self) -> str: ...

    async def score(self, request: ScoreRequest) -> Scores: ...


@asynccontextmanager
async def connect_policy(
    server: Server, api: str, model: str | None
) -> AsyncGenerator[PolicyClient]:
    """Open the client for an API by name."""
    if api == "vllm":
        yield await VLLMPolicy.connect(server, model)
        return
    if api == "tgi":
        yield await TGIPolicy.connect(server, model)
        return
    from ttc_client.clients.openai import OpenAIPolicy  # the SDK takes a second to import

    policy = await OpenAIPolicy.connect(server, model)
    try:
        yield policy
    finally:
        await policy.close()


async def connect_prm(server: Server, api: str, form: str = "auto") -> PRMClient:
    """Return the client for an API by name; "auto" asks the server what it offers.

    `form` names how a causal PRM reads a solution; "auto" goes by the model's name.
    """
    match await _detect(server) if api == "auto" else api:
        case "score":
            return ScoreProtocol(server)
        case "generative-scoring":
            return GenerativeScoring(await CausalPRM.connect(server, form))
        case "token-classify":
            return TokenClassification(await CausalPRM.connect(server, form))
        case "step-pooling":
            return await StepPooling.connect(server)
        case "classify":
            return await VLLMClassification.connect(server)
        case "tgi":
            return await TGIScoring.connect(server, form)
        case "tei":
            return await TEIPrediction.connect(server)
        case _:
            return CompletionScoring(await CausalPRM.connect(server, form))


class _Info(msgspec.Struct):
    """What TGI (its limits) and TEI (its type of model) say of themselves."""

    max_total_tokens: int | None = None
    model_type: dict[str, Any] | None = None


async def _detect(server: Server) -> str:
    """Ask for next to nothing in each way, from the most specific to the most general."""
    if await _answers(server, "/score", wire.ScoreCall(problem="", items=[]), wire.ScoreReply):
        return "score"
    if await _exists(server, "/generative_scoring"):
        return "generative-scoring"
    if info := await _info(server):
        return "tgi" if info.max_total_tokens is not None else "tei"
    model, _ = await served_model(server, None)
    if await _answers(server, "/classify", {"model": model, "input": ["1"]}, msgspec.Raw):
        return "classify"
    if not await _exists(server, "/pooling"):
        return "completions"
    marker = await tokenize(server, QWEN_PRM_MARKER, add_special_tokens=False)
    return "step-pooling" if len(marker) == 1 else "token-classify"


async def _answers(server: Server, path: str, payload: Any, reply: type[Any]) -> bool:
    """Return whether a server answers a request as it should, or else knows none of the kind."""
    try:
        await server.post(path, payload, reply)
    except ProtocolError:
        return False
    except RequestError as error:
        if error.status not in (400, 422, *_NO_SUCH_PATH):
            raise
        return False
    return True


async def _exists(server: Server, path: str) -> bool:
    """Return whether a server knows a path, be it only to refuse or stumble over nothing."""
    try:
        await server.post(path, {}, msgspec.Raw)
    except RequestError as error:
        return error.status not in _NO_SUCH_PATH
    except TransientServerError as error:
        if error.status != 500:
            raise
    return True


async def _info(server: Server) -> _Info | None:
    try:
        info = await server.get("/info", _Info)
    except RequestError as error:
        if error.status not in _NO_SUCH_PATH:
            raise
        return None
    except ProtocolError:
        return None
    return info if info.max_total_tokens is not None or info.model_type is not None else None
