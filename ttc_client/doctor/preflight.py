"""The cheap part of an examination, at the start of every search.

A few short requests to each server, all at once. It refuses what would ruin the search, warns of
a PRM that cannot tell the examples apart, which another kind of problem may excuse, and leaves
what it cannot find out, because a server is slow or fails, to the search itself.
"""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from contextlib import suppress

from ttc_client.clients.connect import PolicyClient, PRMClient
from ttc_client.clients.http import Server
from ttc_client.doctor import prm, tokens
from ttc_client.doctor.findings import Check
from ttc_client.doctor.pair import roles
from ttc_client.errors import ServerError
from ttc_client.search.params import SearchParams
from ttc_client.together import both, together

PREFLIGHT_TIMEOUT_S = 10.0

_LOG = logging.getLogger(__name__)

Policies = Sequence[tuple[Server, PolicyClient]]
PRMs = Sequence[tuple[Server, PRMClient]]


async def preflight(params: SearchParams, policies: Policies, prms: PRMs) -> None:
    """Raise ServerError, with what is wrong and the fix, for servers that would ruin a search."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
            await both(
                together(_refuse(server, _policy(policy, params)) for server, policy in policies),
                together(
                    _refuse(server, _prm(policies, server, client)) for server, client in prms
                ),
            )


async def _refuse(server: Server, checks: Awaitable[Sequence[Check]]) -> None:
    """Raise ServerError for the first check that failed."""
    try:
        found = await checks
    except ServerError:
        return
    for check in found:
        if check.status == "fail":
            raise ServerError(
                f"{server.url} would ruin the search ({check.name}): {check.seen}; "
                f"{check.fix} (--no-check searches all the same)",
                url=server.url,
            )


async def _policy(client: PolicyClient, params: SearchParams) -> Sequence[Check]:
    return [await tokens.context(client, params)]


async def _prm(policies: Policies, server: Server, client: PRMClient) -> Sequence[Check]:
    found, (model, _) = await both(prm.judge(client), prm.model_at(server))
    models = [policy.model for _, policy in policies]
    pair = await roles(policies[0][0], found, models, [model] if model else [])
    labels, judgement = await prm.labels(client), prm.judgement(found)
    if "fail" not in (labels.status, pair.status) and judgement.status == "fail":
        _LOG.warning("%s: %s; %s", server.url, judgement.seen, judgement.fix)
    return [labels, pair]
