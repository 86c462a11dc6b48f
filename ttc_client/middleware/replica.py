"""One server of a model: its load, its failures, and whether it still has the model."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ttc_client.errors import (
    ConfigError,
    GarbledError,
    ProtocolError,
    RequestError,
    TransientServerError,
)
from ttc_client.middleware import A, Port, R, Request
from ttc_client.middleware.limits import Limiter

_FAILURES = 5
"""After this many failures in a row, a replica counts as gone, and gets only probes."""


class GoneError(Exception):
    """The replica went away while a request waited for its slots; nothing was sent."""


@dataclass(slots=True, eq=False)
class Replica:
    """One server, its load and its recent failures.

    `limiter` bounds the sequences in flight, and so says what it can take relative to the others;
    one that `left` gets no more requests. After a failure it is set aside until `aside_until`, by
    the loop's clock, and then probed with one request at a time, after pauses that double, until
    it answers. `ask_model` asks the server for its model; after a failure to connect it must name
    the same as before.
    """

    url: str
    limiter: Limiter | None = None
    model: str = ""
    ask_model: Callable[[], Awaitable[str]] | None = None
    tokens_in_flight: int = 0
    failures: int = 0
    pause_s: float = 0.0
    aside_until: float = 0.0
    probe: Request | None = None
    in_doubt: bool = False
    left: bool = False
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def gone(self) -> bool:
        """Whether it has failed so often in a row that it gets only probes."""
        return self.left or self.failures >= _FAILURES

    def load(self, more_tokens: int = 0) -> float:
        """Return the tokens in flight, with those of one more request, per unit of capacity."""
        capacity = self.limiter.capacity if self.limiter else 1
        return (self.tokens_in_flight + more_tokens) / capacity

    def fit(self, now: float) -> bool:
        """Whether it works, as far as is known, or is due for a probe."""
        return not self.failures or (now >= self.aside_until and self.probe is None)

    async def confirm(self) -> None:
        """Ask for its model again if that is in doubt; raise TransientServerError for another."""
        async with self._asking:
            if self.ask_model is None or not self.in_doubt:
                return
            try:
                model = await self.ask_model()
            except GarbledError:
                raise
            except (RequestError, ProtocolError, ConfigError) as error:
                raise TransientServerError(str(error), url=self.url) from error
            if model != self.model:
                raise TransientServerError(
                    f"{self.url} serves {model} now, but {self.model} when it was opened",
                    url=self.url,
                )
            self.in_doubt = False

    def close(self, *, closed: bool) -> None:
        """Have its limiter take nothing that waits elsewhere, or again whatever fits."""
        if self.limiter:
            self.limiter.closed = closed
            self.limiter.admit()


def unless_gone(port: Port[R, A], replica: Replica) -> Port[R, A]:
    """Send a request, or have `balanced` choose another if this replica went away meanwhile.

    One that comes back, or that does not know the model any more, has to confirm its model first.
    Raises TransientServerError if it has another, and what the port raises.
    """

    async def unless_gone_call(request: R) -> A:
        if replica.gone and replica.probe is not request:
            raise GoneError
        if replica.in_doubt:
            await replica.confirm()
        try:
            return await port(request)
        except RequestError as error:
            if error.status == 404:
                replica.in_doubt = True
                await replica.confirm()
            raise

    return unless_gone_call
