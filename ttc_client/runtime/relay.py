"""Pass a request on to the policy's own API as it is, without a search."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.errors import RequestError, ServerError, TransientServerError
from ttc_client.middleware.limits import Limiter


@dataclass(frozen=True, slots=True)
class Relay:
    """The replicas of a policy, each with the limiter that its searches go through too."""

    replicas: Sequence[tuple[Server, Limiter]]

    @classmethod
    def over(cls, replicas: Sequence[tuple[Server | None, Limiter]]) -> "Relay | None":
        """Return the relay to those replicas that are servers; None where there are none."""
        found = [(server, limiter) for server, limiter in replicas if server]
        return cls(found) if found else None

    async def __call__(self, path: str, payload: dict[str, Any]) -> AsyncGenerator[bytes]:
        """Yield the body of the answer as it comes, from the idlest replica that answers.

        `path` lies below the server's API, as "/chat/completions" does. Another replica is asked
        only before the first byte. Raises ServerError.
        """
        body, n = msgspec.json.encode(payload), payload.get("n") or 1
        by_load = sorted(self.replicas, key=lambda r: r[1].in_flight / max(1, r[1].capacity))
        for place, (server, limiter) in enumerate(by_load):
            begun = False
            try:
                async with (
                    limiter.slots(n),
                    aclosing(server.stream(server.api + path, body, {})) as pieces,
                ):
                    async for piece in pieces:
                        begun = True
                        yield piece
            except TransientServerError:
                if begun or place == len(by_load) - 1:
                    raise
            else:
                return


async def any_is_up(replicas: Sequence[Server]) -> None:
    """Raise the last ServerError unless one of the replicas says that it is well.

    A server without /health is well if it answers.
    """
    for place, server in enumerate(replicas):
        try:
            await server.get_text("/health")
        except RequestError:
            return
        except ServerError:
            if place == len(replicas) - 1:
                raise
        else:
            return
