"""A request as the wrappers see it, and the failures that they meet."""

from dataclasses import dataclass

from ttc_client.errors import TransientServerError
from ttc_client.middleware.replicas import Replicas, balanced


@dataclass(frozen=True)
class Request:
    num_sequences: int = 1
    session: str = "s"
    problem: str = "p"
    num_tokens: int = 100


def spread(replicas: Replicas, ports):
    """Give each replica its port, in order."""
    return balanced(replicas, dict(zip(replicas.members, ports, strict=True)).__getitem__)


def passing(status: int | None = 500, **more) -> TransientServerError:
    return TransientServerError("busy", url="http://x", status=status, **more)
