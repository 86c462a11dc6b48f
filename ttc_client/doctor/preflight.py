"""The cheap checks, which run at the start of every search.

They send a few short requests to each server, all at the same time. A check that would ruin the
search refuses it. A PRM that cannot tell the examples apart gives a warning, because the problems
may be of another kind. A server that is slow or fails is left to the search.
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
    """Check the servers of a search; raises ServerError, with the fix, if one would ruin it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
            await both(
                together(_refuse(server, _policy(policy, params)) for server, policy in policies),
                together(
                    _refuse(server, _prm(policies, server, client)) for server, client in prms
                ),
            )


async def _refuse(server: Server, checks: Awaitable[Sequence[Check]]) -> None:
    """Raise ServerError for the first failed check."""
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
    checks = [await tokens.context(client, params)]
    if client.speaks_ids and not (await client.root(tokens.PROBLEM)).token_ids:
        checks.append(await tokens.token_ids(client))  # of a gateway, which may refuse its own
    return checks


async def _prm(policies: Policies, server: Server, client: PRMClient) -> Sequence[Check]:
    found, model = await prm.judge(client), client.facts.model
    checks = [await prm.labels(client)]
    if policies:  # not a function
        models = [policy.model for _, policy in policies]
        checks.append(await roles(policies[0][0], found, models, [model] if model else []))
    judgement = prm.judgement(found)
    if all(check.status != "fail" for check in checks) and judgement.status == "fail":
        _LOG.warning("%s: %s; %s", server.url, judgement.seen, judgement.fix)
    return checks
