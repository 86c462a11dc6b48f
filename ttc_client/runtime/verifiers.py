"""Open the verifiers of a search, and make one of them."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

from ttc_client.clients.connect import PRMClient
from ttc_client.clients.http import Server
from ttc_client.clients.judge import Judge as JudgeClient
from ttc_client.clients.models import lists
from ttc_client.clients.scores import PRMFacts
from ttc_client.clients.session import Session
from ttc_client.runtime.fleet import OpenReplicas, open_all
from ttc_client.runtime.opening import FUNCTION, Opened, check_replicas, name_of, patiently
from ttc_client.search.ports import Comparison, Judge, Scores, Verifier
from ttc_client.settings.connecting import (
    PlacedVerifier,
    connect_verifier,
    placed_verifiers,
    verifier_server,
)
from ttc_client.settings.servers import Place, Servers
from ttc_client.settings.verifiers import NamedVerifier
from ttc_client.together import together
from ttc_client.types import Problem


@dataclass(frozen=True, slots=True)
class OpenVerifier:
    """A verifier, and what a search must know of it; `name` also says where it is.

    `checkable` are its clients at servers of PRMs, which the doctor knows how to check; `follow`
    has its replicas come and go.
    """

    model: str
    name: str
    weight: float
    facts: PRMFacts
    port: Verifier
    checkable: Sequence[tuple[Server, PRMClient]]
    replicas: OpenReplicas[PRMClient]
    follow: Callable[[], Coroutine[Any, Any, None]]
    compare: Judge | None = None


@dataclass(frozen=True, slots=True)
class OpenVerifiers:
    """The verifiers of a run, which score as one; there may be none."""

    members: Sequence[OpenVerifier]
    combine: str | None

    @property
    def model(self) -> str | None:
        """The models' names, and how they are combined; None where there is none."""
        return self._together([one.model for one in self.members])

    @property
    def name(self) -> str | None:
        """The same, with where they are."""
        return self._together([one.name for one in self.members])

    @property
    def reads(self) -> Literal["prefixes", "solutions"]:
        """What all of them can score."""
        whole = any(one.facts.reads == "solutions" for one in self.members)
        return "solutions" if whole else "prefixes"

    @property
    def top_logprobs(self) -> int | None:
        """What they read of the policy's log-probabilities, None for nothing."""
        read = [one.facts.top_logprobs for one in self.members]
        return max((top for top in read if top is not None), default=None)

    @property
    def reads_history(self) -> bool:
        """Whether all of them see the turns before the question."""
        return all(one.facts.reads_history for one in self.members)

    @property
    def compare(self) -> Judge | None:
        """What compares answers: the first that is a judge, None where none is."""
        return next((one.compare for one in self.members if one.compare), None)

    @property
    def judges(self) -> set[str]:
        """The models that judge, by their servers' names."""
        models = {one.facts.model for one in self.members if one.compare}
        return {model for model in models if model}

    def doubts(self, problem: Problem, policy: str, *, scored: bool, judged: bool) -> list[str]:
        """Return what a result must say of those that scored its candidates, or compared them."""
        said: list[str] = []
        earlier = [turn for turn in problem.messages[:-1] if turn.role != "system"]
        if scored and earlier and not self.reads_history:
            turns = "the turn" if len(earlier) == 1 else f"the {len(earlier)} turns"
            said.append(f"the verifier read the last question without {turns} before it")
        if judged and policy in self.judges:
            said.append("the judge is the policy's own model, which tends to prefer its own")
        return said

    def _together(self, names: Sequence[str]) -> str | None:
        if self.combine is None or len(names) < 2:
            return names[0] if names else None
        weights = [f"{one.weight:g} × " if one.weight != 1 else "" for one in self.members]
        parts = [weight + name for weight, name in zip(weights, names, strict=True)]
        return f"{self.combine} of {' and '.join(parts)}"


async def open_verifiers(
    servers: Servers,
    session: Session,
    policies: Sequence[Place],
    prms: Sequence[Place],
    share: int,
) -> OpenVerifiers:
    """Connect to all verifiers, as one of `share` clients; raises ConfigError and ServerError."""
    placed = placed_verifiers(servers, policies, prms)
    members = await together(_open(servers, session, one, share) for one in placed)
    return OpenVerifiers(members, servers.combine)


async def _open(
    servers: Servers, session: Session, placed: PlacedVerifier, share: int
) -> OpenVerifier:
    how = placed.named
    open_one = partial(_replica, servers, session, how)
    opened = await open_all("prm", placed.places, open_one)
    check_replicas("prm", [(one.name, one.client.facts.model) for one in opened if one.server])
    replicas = OpenReplicas(opened, servers.concurrency, share)
    first = opened[0].client
    at_server = any(one.server for one in opened) or how.needs_place
    is_prm = how.needs_place and how.api != "judge"
    return OpenVerifier(
        model=opened[0].model,
        name=name_of(servers, opened[0].model, placed.places) if at_server else opened[0].model,
        weight=how.weight,
        facts=first.facts,
        port=replicas.port(lambda prm: prm.score, _steps),
        checkable=[(one.server, one.client) for one in opened if one.server and is_prm],
        replicas=replicas,
        follow=partial(replicas.follow, "prm", placed.places, open_one),
        compare=replicas.port(_compare, _once) if isinstance(first, JudgeClient) else None,
    )


async def _replica(
    servers: Servers, session: Session, how: NamedVerifier, place: Place
) -> Opened[PRMClient]:
    server = verifier_server(servers, session, how, place)
    connect = partial(connect_verifier, servers, how, place, server)
    name = place if isinstance(place, str) else FUNCTION
    if server is None:
        client = await connect()
        return Opened(name, client, client.name)

    async def ask_model() -> str:
        named = client.facts.model
        known = named is not None and await lists(server, named)
        return client.name if known else (await connect()).name

    client = await patiently(connect)
    return Opened(name, client, client.name, server, ask_model)


def _compare(prm: PRMClient) -> Judge:
    return cast(JudgeClient, prm).compare


def _once(_: Comparison) -> int:
    return 1


def _steps(scores: Scores) -> int:
    return sum(map(len, scores.scores))
