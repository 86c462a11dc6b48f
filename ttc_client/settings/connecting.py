"""Open the client of each verifier that settings name."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ttc_client.clients.confidence import Confidence
from ttc_client.clients.connect import PRMClient, connect_prm
from ttc_client.clients.functions import FunctionVerifier
from ttc_client.clients.http import Server
from ttc_client.clients.judge import Judge
from ttc_client.clients.judge_prompts import JUDGE_PROMPT, JudgePrompt
from ttc_client.clients.python import PythonVerifier
from ttc_client.clients.session import Session
from ttc_client.errors import ConfigError
from ttc_client.files import read_small
from ttc_client.settings.endpoints import policy_server, prm_server
from ttc_client.settings.servers import Place, Servers
from ttc_client.settings.verifiers import NamedVerifier, spread


@dataclass(frozen=True, slots=True)
class PlacedVerifier:
    """A verifier, and the places of its replicas; one that needs none has its name there."""

    named: NamedVerifier
    places: Sequence[Place]


def placed_verifiers(
    servers: Servers, policies: Sequence[Place], prms: Sequence[Place]
) -> list[PlacedVerifier]:
    """Return the verifiers at the places of policy and PRM, none where there is none."""
    found: list[PlacedVerifier] = []
    for named, at in spread(servers.prm_api, prms, servers.combine):
        places = policies if named.api == "self" else at
        if named.needs_place and not places:
            continue
        found.append(PlacedVerifier(named, places or (named.api,)))
    return found


def verifier_server(
    servers: Servers, session: Session, named: NamedVerifier, place: Place
) -> Server | None:
    """Return how to speak to a verifier's server; None where it is not at one.

    Raises ConfigError for a policy that is to judge itself and is a function.
    """
    if named.api == "self":
        if not isinstance(place, str):
            raise ConfigError("prm_api is self, but the policy is a function: name a judge")
        return policy_server(servers, session, place)
    if not named.needs_place or not isinstance(place, str):
        return None
    return prm_server(servers, session, place)


async def connect_verifier(
    servers: Servers, named: NamedVerifier, place: Place, server: Server | None
) -> PRMClient:
    """Return the client of a verifier; raises ServerError and ConfigError."""
    if server is None:
        if not isinstance(place, str):
            return FunctionVerifier.of(place)
        if named.function:
            return PythonVerifier.named(named.function, named.api)
        return Confidence(servers.top_logprobs)
    if named.api in ("judge", "self"):
        model = servers.model if named.api == "self" else servers.prm_model
        return await Judge.connect(
            server, model, judge_prompt(servers), servers.verdicts, of_itself=named.api == "self"
        )
    return await connect_prm(server, named.api, servers.prm_format)


def judge_prompt(servers: Servers) -> JudgePrompt:
    """Return the judge's prompt, from a file where one is named; raises ConfigError."""
    if servers.judge_prompt is None:
        return JUDGE_PROMPT
    try:
        text = read_small(Path(servers.judge_prompt)).decode()
    except (OSError, ValueError) as error:
        raise ConfigError(f"judge_prompt is {servers.judge_prompt}: {error}") from error
    return JudgePrompt.read(text)
