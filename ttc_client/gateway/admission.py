"""How many searches run at once, how many wait, and what each key may spend."""

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from ttc_client.gateway.keys import Key
from ttc_client.gateway.refusals import RefusedError

_MINUTE_S = 60.0
_FIRST_GUESS_S = 2.0


@dataclass(slots=True)
class Account:
    """What one key does now, and has spent in the last minute."""

    searches: int = 0
    spent: deque[tuple[float, int]] = field(default_factory=deque[tuple[float, int]])

    def tokens(self, now: float) -> int:
        """Return the tokens of the last minute."""
        while self.spent and self.spent[0][0] < now - _MINUTE_S:
            self.spent.popleft()
        return sum(tokens for _, tokens in self.spent)


@dataclass(slots=True)
class Desk:
    """Admit `most` searches at a time, in the order of arrival; `room` more may wait."""

    most: int
    room: int
    running: int = 0
    closed: bool = False
    _waiting: deque[asyncio.Future[None]] = field(default_factory=deque[asyncio.Future[None]])
    _accounts: dict[str, Account] = field(default_factory=dict[str, Account])
    _mean_s: float = _FIRST_GUESS_S

    @property
    def waiting(self) -> int:
        """How many searches wait."""
        return sum(not admitted.done() for admitted in self._waiting)

    def spend(self, key: Key | None, tokens: int) -> None:
        """Count tokens against a key."""
        if key:
            self._account(key).spent.append((_now(), tokens))

    def check(self, key: Key | None) -> None:
        """Raise RefusedError (429) if a key's limits are used up, (503) while the gateway stops."""
        if self.closed:
            raise RefusedError("the gateway is stopping", status=503, retry_after_s=1)
        if key is None:
            return
        account, now = self._account(key), _now()
        if key.searches is not None and account.searches >= key.searches:
            raise _too_many(f"{key.searches} searches of this key run already", self._mean_s)
        if key.tokens is not None and account.tokens(now) >= key.tokens:
            wait_s = account.spent[0][0] + _MINUTE_S - now
            raise _too_many(f"this key has spent its {key.tokens:,} tokens a minute", wait_s)

    @asynccontextmanager
    async def place(self, key: Key | None) -> AsyncGenerator[None]:
        """Hold a place for a search; wait for one first. Raises RefusedError (429, 503)."""
        self.check(key)
        if self.running >= self.most and self.waiting >= self.room:
            wait_s = self._mean_s * (self.waiting + 1) / self.most
            raise _too_many(f"{self.running} searches run and {self.waiting} wait", wait_s)
        account = self._account(key) if key else Account()
        account.searches += 1
        try:
            await self._admitted()
            began_s = _now()
            try:
                yield
            finally:
                self._mean_s += (_now() - began_s - self._mean_s) / 8
                self._leave()
        finally:
            account.searches -= 1

    async def _admitted(self) -> None:
        if self.running < self.most:
            self.running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            raise

    def _leave(self) -> None:
        """Give the place to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.running -= 1

    def _account(self, key: Key) -> Account:
        return self._accounts.setdefault(key.name, Account())


def _too_many(why: str, wait_s: float) -> RefusedError:
    return RefusedError(
        f"{why}: ask again later",
        status=429,
        code="rate_limit_exceeded",
        retry_after_s=max(1, math.ceil(wait_s)),
    )


_now: Callable[[], float] = lambda: asyncio.get_running_loop().time()  # noqa: E731
