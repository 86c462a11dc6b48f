"""Find out in which of the known ways a PRM server wants to be asked."""

from typing import Protocol

import msgspec

from ttc_client import wire
from ttc_client.clients.http import Server
from ttc_client.clients.rlhflow import CompletionScoring, GenerativeScoring, RLHFlowModel
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.errors import ProtocolError, RequestError
from ttc_client.ports import ScoreRequest, Scores

_NO_SUCH_PATH = (404, 405, 501)


class PRMClient(Protocol):
    """A PRM at one server; `name` says which model, asked in which way."""

    @property
    def name(self) -> str: ...

    async def score(self, request: ScoreRequest) -> Scores: ...


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
