"""Examine all servers of a configuration at the same time, each with the checks of its role."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from ttc_client.clients.connect import PRMClient, connect_policy
from ttc_client.clients.http import Server
from ttc_client.doctor import pair, prm, sampling, tokens
from ttc_client.doctor.findings import Check, Examination, Examined
from ttc_client.doctor.server import CROWD, keep_alive, reachable, speed, versioned
from ttc_client.errors import ConfigError, ServerError, TransientServerError
from ttc_client.search.params import SearchParams
from ttc_client.settings.connecting import (
    connect_verifier,
    placed_verifiers,
    verifier_server,
)
from ttc_client.settings.endpoints import asking_of, policy_server, server_places, session_for
from ttc_client.settings.fleets import located
from ttc_client.settings.servers import Place, Servers
from ttc_client.settings.verifiers import NamedVerifier
from ttc_client.together import together

TIMEOUT_S = 30.0
"""Time-out of one request; a server that needs longer for a few tokens is too slow to search."""

C = TypeVar("C")
Checks = Iterable[tuple[str, Callable[[], Awaitable[Check]]]]


@dataclass(frozen=True, slots=True)
class _Found:
    """What was found of one server: its checks, its model, and how it judged, if it is a PRM."""

    examined: Examined
    model: str | None = None
    verdict: prm.Judgement | None = None


async def examine(servers: Servers, params: SearchParams) -> Examination:
    """Examine servers for a search, or the embedded ones if none are named.

    A server that fails has failed checks. Raises ConfigError for a place that is not a server, and
    TTCError if the embedded servers do not start.
    """
    servers = replace(servers, timeout_s=min(servers.timeout_s, TIMEOUT_S))
    async with server_places(servers) as places, session_for(servers) as session:
        roles = zip(("policy", "prm"), places, strict=True)
        policy_urls, prm_urls = [_urls(await located(*role)) for role in roles]
        policies = [policy_server(servers, session, url) for url in policy_urls]
        verifiers = [
            (one.named, server)
            for one in placed_verifiers(servers, policy_urls, prm_urls)
            for place in one.places
            if (server := verifier_server(servers, session, one.named, place))
        ]
        found = await together(
            [
                *(_examine_policy(servers, params, server) for server in policies),
                *(_examine_prm(servers, params, *one) for one in verifiers),
            ]
        )
        examined = _compared(found)
        if roles := await _roles(policies[0], found):
            examined.append(Examined("pair", "", (roles,)))
    fine = all(check.status != "fail" for server in examined for check in server.checks)
    return Examination(fine, tuple(examined))


def _urls(places: Sequence[Place]) -> list[str]:
    urls = [place for place in places if isinstance(place, str)]
    if len(urls) < len(places):
        raise ConfigError("doctor examines servers: name them by URL, not by a function")
    return urls


async def _examine_policy(servers: Servers, params: SearchParams, server: Server) -> _Found:
    client, start = await _open(
        server,
        partial(connect_policy, server, servers.policy_api, servers.model, asking_of(servers)),
    )
    if client is None:
        return _Found(Examined("policy", server.url, start))
    found = await _run(
        server,
        [
            ("model", partial(_named, client.model)),
            ("context", partial(tokens.context, client, params)),
            ("BOS", partial(tokens.bos, server, client)),
            ("template", partial(tokens.template, server)),
            ("token ids", partial(tokens.token_ids, client)),
            ("stop strings", partial(sampling.stop_strings, client)),
            ("seeds", partial(sampling.seeds, client, params)),
            ("repeats", partial(sampling.repeats, client, params)),
            ("prefix cache", partial(sampling.prefix_cache, server, client)),
            ("speed", partial(speed, sampling.writer(client), "tokens", _crowd(servers))),
        ],
    )
    return _Found(Examined("policy", server.url, (*start, *found)), client.model)


async def _examine_prm(
    servers: Servers, params: SearchParams, named: NamedVerifier, server: Server
) -> _Found:
    client, start = await _open(
        server, partial(connect_verifier, servers, named, server.url, server)
    )
    if client is None:
        return _Found(Examined("prm", server.url, start))
    verdict: prm.Judgement | None = None

    async def judged(client: PRMClient) -> Check:
        nonlocal verdict
        verdict = await prm.judge(client)
        return prm.judgement(verdict)

    found = await _run(
        server,
        [
            ("model", partial(_named, client.name)),
            ("context", partial(prm.context, client, params)),
            ("labels", partial(prm.labels, client)),
            ("judgement", partial(judged, client)),
            ("speed", partial(speed, prm.scorer(client), "steps", _crowd(servers))),
        ],
    )
    judges = named.api in ("judge", "self")  # may be the policy's own model
    model = None if servers.combine else client.facts.model
    examined = Examined("prm", server.url, (*start, *found))
    return _Found(examined, model, None if judges else verdict)


async def _roles(policy: Server, found: Sequence[_Found]) -> Check | None:
    """Check the pair by the PRM that judged worst; None if no PRM has judged."""
    verdicts = [one.verdict for one in found if one.verdict]
    if not verdicts:
        return None
    models = {
        role: {one.model for one in found if one.examined.role == role and one.model}
        for role in ("policy", "prm")
    }
    worst = min(verdicts, key=lambda verdict: verdict.plausible)
    return await pair.roles(policy, worst, models["policy"], models["prm"])


def _compared(found: Sequence[_Found]) -> list[Examined]:
    """Return what was examined, with a failed check for each replica of another model."""
    others: dict[tuple[str, str], Check] = {}
    for role in ("policy", "prm"):
        served = [(one.examined.url, one.model) for one in found if one.examined.role == role]
        others |= {(role, url): check for url, check in pair.other_models(role, served)}
    return [
        replace(one, checks=(*one.checks, others[key])) if key in others else one
        for one in (each.examined for each in found)
        if (key := (one.role, one.url))
    ]


async def _open(
    server: Server, connect: Callable[[], Awaitable[C]]
) -> tuple[C | None, tuple[Check, ...]]:
    """Connect to a server and return its client; None, with the failed check, if it fails."""
    try:
        reached = await reachable(server)
    except ServerError as error:
        return None, (Check("reachable", "fail", str(error)),)
    try:
        return await connect(), (reached,)
    except (ServerError, ConfigError) as error:
        return None, (reached, Check("model", "fail", str(error)))


async def _run(server: Server, checks: Checks) -> tuple[Check, ...]:
    """Run checks one after the other, and the one of idle connections beside them.

    Checks are skipped once the server does not answer.
    """
    found: list[Check] = []
    async with asyncio.TaskGroup() as group:
        idling = group.create_task(_attempt("keep-alive", partial(keep_alive, server)))
        answers = True
        for name, check in (("version", partial(versioned, server)), *checks):
            if answers:
                result, answers = await _attempt(name, check)
            else:
                result = Check(name, "skip", "not tried, because the server did not answer")
            found.append(result)
    return (*found, idling.result()[0])


async def _attempt(name: str, check: Callable[[], Awaitable[Check]]) -> tuple[Check, bool]:
    """Run a check; return it and whether the server answered. An error is a failed check."""
    try:
        return await check(), True
    except (ServerError, ConfigError) as error:
        return Check(name, "fail", str(error)), not isinstance(error, TransientServerError)


async def _named(name: str) -> Check:
    return Check("model", "ok", name)


def _crowd(servers: Servers) -> int:
    return CROWD if servers.concurrency == "auto" else min(CROWD, servers.concurrency)
