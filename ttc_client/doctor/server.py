"""Checks of every server: whether it answers, its version, its speed, its idle connections."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from time import monotonic

from ttc_client.clients.http import Server
from ttc_client.clients.session import KEEP_ALIVE_S
from ttc_client.clients.status import survives_idling, version
from ttc_client.doctor.findings import Check
from ttc_client.errors import RequestError, ServerError

CROWD = 64
"""Requests in flight at which throughput is measured."""


async def reachable(server: Server) -> Check:
    """Check that the server answers, and that its `/health` is not a failure.

    Raises TransientServerError, unlike the other checks, because no other check can pass then.
    """
    started_s = monotonic()
    with suppress(RequestError):  # the server answers, but has no such path
        await server.get_text("/health")
    return Check("reachable", "ok", f"answers in {(monotonic() - started_s) * 1000:,.0f} ms")


async def versioned(server: Server) -> Check:
    """Report the server's version."""
    found = await version(server)
    if found is None:
        return Check("version", "skip", "the server does not say")
    return Check("version", "ok", found)


async def keep_alive(server: Server, idle_s: float = KEEP_ALIVE_S) -> Check:
    """Check that the server keeps idle connections for as long as this client does."""
    if await survives_idling(server, idle_s):
        return Check("keep-alive", "ok", f"a connection may idle for {idle_s:g} s")
    return Check(
        "keep-alive",
        "warn",
        f"closes connections that idle for {idle_s:g} s, as long as this client keeps them: "
        "requests will meet closed ones and be repeated",
        f"raise the keep-alive time-out of the server, or of the proxy before it, above {idle_s:g} "
        "s (vLLM: VLLM_HTTP_TIMEOUT_KEEP_ALIVE)",
    )


async def speed(ask: Callable[[int], Awaitable[int]], unit: str, crowd: int) -> Check:
    """Measure latency and throughput with one request in flight and with a crowd of them.

    `ask(i)` sends request i and returns its size in `unit`, tokens for example. Raises what the
    request that is alone raises; failures in the crowd are a warning.
    """
    started_s = monotonic()
    alone = await ask(0)
    alone_s = monotonic() - started_s
    replies = await asyncio.gather(*map(ask, range(1, crowd + 1)), return_exceptions=True)
    crowd_s = monotonic() - started_s - alone_s
    failures = [reply for reply in replies if isinstance(reply, BaseException)]
    for failure in failures:
        if not isinstance(failure, ServerError):
            raise failure
    if failures:
        seen = f"{len(failures)} of {crowd} requests at once failed, such as: {failures[0]}"
        fix = f"--concurrency {max(1, crowd // 2)}, or let the server queue more"
        return Check("speed", "warn", seen, fix)
    rates = alone / alone_s, sum(reply for reply in replies if isinstance(reply, int)) / crowd_s
    seen = (
        f"1 in flight: {alone_s * 1000:,.0f} ms, {rates[0]:,.0f} {unit}/s · "
        f"{crowd} in flight: {rates[1]:,.0f} {unit}/s"
    )
    if crowd > 1 and rates[1] < rates[0]:
        fix = "is it busy with other work, or started with a small --max-num-seqs?"
        return Check("speed", "warn", seen, fix)
    return Check("speed", "ok", seen)
