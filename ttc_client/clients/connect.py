"""Open a client for a server, through the API that is named or that the server has."""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

import msgspec

from ttc_client.clients import wire
from ttc_client.clients.causal import CausalPRM, CompletionScoring, GenerativeScoring
from ttc_client.clients.http import Server
from ttc_client.clients.llama_cpp import LlamaCppScoring, Props
from ttc_client.clients.models import NOT_OFFERED, served_model
from ttc_client.clients.outcome import TEIPrediction, VLLMClassification
from ttc_client.clients.pooling import StepPooling, TokenClassification
from ttc_client.clients.prompts import QWEN_PRM_MARKER
from ttc_client.clients.scores import PRMFacts, ScoreProtocol
from ttc_client.clients.templates import Asking
from ttc_client.clients.tgi import TGIPolicy
from ttc_client.clients.tgi_scoring import TGIScoring
from ttc_client.clients.tokenization import tokenize
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import ProtocolError, RequestError, TransientServerError
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Message, Step, Trajectory

T = TypeVar("T")


class PolicyClient(Protocol):
    """A policy at one server.

    `context_length` is how many tokens the model reads and writes, None if the server does not
    say. `speaks_ids` says whether it continues from token ids and returns those it wrote.
    `most_choices` says how many continuations a request may ask for, None for any number: `sample`
    raises TooManyError for more, and may do so once before `most_choices` says so.

    `address` is the server as it is asked, None for a function.

    `root` gives the empty trajectory of a problem; `written` a step of a text from elsewhere, from
    which to go on as if the policy had written it; `room` how many tokens may follow a
    trajectory, `wanted` at most, below 1 if none.
    """

    @property
    def model(self) -> str: ...

    @property
    def address(self) -> Server | None: ...

    @property
    def context_length(self) -> int | None: ...

    @property
    def speaks_ids(self) -> bool: ...

    @property
    def most_choices(self) -> int | None: ...

    async def root(self, messages: Sequence[Message]) -> Trajectory: ...

    async def written(self, text: str) -> Step: ...

    async def room(self, trajectory: Trajectory, wanted: int) -> int: ...

    async def sample(self, request: SampleRequest) -> Samples: ...


class PRMClient(Protocol):
    """A PRM at one server; `name` says which model, and how it is asked."""

    @property
    def name(self) -> str: ...

    @property
    def facts(self) -> PRMFacts: ...

    async def score(self, request: ScoreRequest) -> Scores: ...


async def connect_policy(
    server: Server, api: str, model: str | None, asking: Asking | None = None
) -> PolicyClient:
    """Return the client for an API by name; `asking` goes with every request.

    Raises ServerError, and ConfigError for a model that the server does not serve.
    """
    if api == "vllm":
        return await VLLMPolicy.connect(server, model, asking)
    if api == "tgi":
        return await TGIPolicy.connect(server, model, asking)
    from ttc_client.clients.openai import OpenAIPolicy  # the SDK takes a second to import

    return await OpenAIPolicy.connect(server, model, asking)


async def connect_prm(server: Server, api: str, form: str = "auto") -> PRMClient:
    """Return the client for an API by name; "auto" asks the server what it offers.

    `form` names the format in which a causal PRM reads a solution; "auto" goes by the model's
    name. Raises ServerError.
    """
    match await _detect(server) if api == "auto" else api:
        case "score":
            return await ScoreProtocol.connect(server)
        case "generative-scoring":
            return GenerativeScoring(await CausalPRM.connect(server, form))
        case "token-classify":
            return await TokenClassification.connect(server, form)
        case "step-pooling":
            return await StepPooling.connect(server)
        case "classify":
            return await VLLMClassification.connect(server)
        case "tgi":
            return await TGIScoring.connect(server, form)
        case "llama-cpp":
            return await LlamaCppScoring.connect(server, form)
        case "tei":
            return await TEIPrediction.connect(server)
        case _:
            return CompletionScoring(await CausalPRM.connect(server, form))


class _Info(msgspec.Struct):
    """The fields of `/info` by which TGI (its limits) and TEI (its type of model) are known."""

    max_total_tokens: int | None = None
    model_type: dict[str, Any] | None = None


async def _detect(server: Server) -> str:
    """Try each API with an almost empty request, the most specific first."""
    if await _answers(server, "/score", wire.ScoreCall(problem="", items=[]), wire.ScoreReply):
        return "score"
    if await _exists(server, "/generative_scoring"):
        return "generative-scoring"
    if info := await _info(server):
        return "tgi" if info.max_total_tokens is not None else "tei"
    if await _gets(server, "/props", Props):
        return "llama-cpp"
    model, _ = await served_model(server, None)
    if await _answers(server, "/classify", {"model": model, "input": ["1"]}, msgspec.Raw):
        return "classify"
    if not await _exists(server, "/pooling"):
        return "completions"
    marker = await tokenize(server, QWEN_PRM_MARKER, add_special_tokens=False)
    return "step-pooling" if len(marker) == 1 else "token-classify"


async def _answers(server: Server, path: str, payload: Any, reply: type[Any]) -> bool:
    """Return whether a server answers a request as its API says."""
    try:
        await server.post(path, payload, reply)
    except ProtocolError:
        return False
    except RequestError as error:
        if error.status not in (400, 422, *NOT_OFFERED):
            raise
        return False
    return True


async def _exists(server: Server, path: str) -> bool:
    """Return whether a server has a path, even if it refuses or fails the empty request."""
    try:
        await server.post(path, {}, msgspec.Raw)
    except RequestError as error:
        return error.status not in NOT_OFFERED
    except TransientServerError as error:
        if error.status != 500:
            raise
    return True


async def _info(server: Server) -> _Info | None:
    info = await _gets(server, "/info", _Info)
    return info if info and (info.max_total_tokens, info.model_type) != (None, None) else None


async def _gets(server: Server, path: str, reply: type[T]) -> T | None:
    """Return what a server says at a path; None where it has none, or says something else."""
    try:
        return await server.get(path, reply)
    except RequestError as error:
        if error.status not in NOT_OFFERED:
            raise
        return None
    except ProtocolError:
        return None
