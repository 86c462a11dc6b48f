"""Wrappers around a port, each in one module, for the policy and the PRM alike.

`runtime.stack` nests them in one order:
in_parts(metered(retrying(balanced(limited(unless_gone(client)))))). So a request that backs off
holds no slot, and what a search spends is counted once, whichever replica answers. `context` holds
what travels beside a request. Inner functions carry their wrapper's name, for readable tracebacks.
"""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar


class Request(Protocol):
    """What the wrappers need to know of a request to the policy or to the PRM.

    `num_sequences` and `num_tokens`, which is an estimate, are the load that it puts on a server;
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
