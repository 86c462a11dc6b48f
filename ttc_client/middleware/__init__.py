"""Wrappers around a port: retries, replicas and limits, each in one module.

They serve the policy and the PRM alike, and stack in one order, set up in `compose`:
metered(singly(retrying(balanced(limited(unless_gone(client)))))). So a back-off sleep never holds a
slot, and what a search spent is counted once, whoever sent it.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar


class Request(Protocol):
    """What the wrappers need to know of a request to the policy or to the PRM.

    `num_sequences` and `num_tokens` are the load that it is at a server, the tokens roughly;
    requests of one `session` share a long prefix.
    """

    @property
    def num_sequences(self) -> int: ...

    @property
    def num_tokens(self) -> int: ...

    @property
    def session(self) -> str: ...


R = TypeVar("R", bound=Request)
A = TypeVar("A")
Port = Callable[[R], Awaitable[A]]
