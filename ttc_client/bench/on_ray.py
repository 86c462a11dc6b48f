"""Hire the workers of a bench on Ray: an actor each, with a core of its own.

Of Ray we use its machines alone. Its retries and restarts are off, since a call that fails is a
lease that goes back (`leases`), and its logs stay where they are, since all that a worker has to
say is the result of a call.
"""

import asyncio
import logging
import pickle
import signal
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any

from ttc_client.bench.leases import Hire, Hired
from ttc_client.bench.readers import import_extra
from ttc_client.bench.worker import Hello, Report, Work, Worker
from ttc_client.errors import ConfigError
from ttc_client.runtime.evaluate import Job

AUTO = "auto"
_MOST_BY_DEFAULT = 16
"""Workers where no number is given: more share few servers' sequences too finely."""


@contextmanager
def ray_cluster(address: str) -> Generator[tuple[Hire, int]]:
    """Connect to a cluster; give what hires a worker there, and how many there may well be.

    `address` is the head's host and port, or `auto` for the cluster that this machine belongs to,
    or, where it belongs to none, one of its own cores. Raises ConfigError for an address where
    there is none, and ExtraError where Ray is missing.
    """
    ray = import_extra("ray", "workers on Ray", "ray")
    on_sigterm = signal.getsignal(signal.SIGTERM)
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False, "include_dashboard": False}
    try:
        try:
            ray.init(address=address, **quiet)
        except ConnectionError:
            if address != AUTO:
                raise
            ray.init(address="local", **quiet)
    except Exception as error:
        raise ConfigError(
            f"ray is {address!r}: {error}; a cluster that wants a token needs RAY_AUTH_MODE=token"
        ) from error
    signal.signal(signal.SIGTERM, on_sigterm)  # Ray takes it over
    try:
        num_cpus = int(ray.cluster_resources().get("CPU", 1))
        yield lambda work: _Actor(ray, work), max(1, min(num_cpus, _MOST_BY_DEFAULT))
    finally:
        ray.shutdown()


def check_travels(work: Work) -> None:
    """Raise ConfigError for what has no name that another machine could look it up by."""
    for name, value in (("policy", work.servers.policies), ("prm", work.servers.verifiers)):
        for place in value:
            if callable(place):
                _check_named(name, place)
    _check_named("task", work.task)


def _check_named(name: str, value: object) -> None:
    """Try whether a value is data, or a function or class that a module holds."""
    try:
        at_home = b"__main__" in pickle.dumps(value)
    except Exception as error:
        raise _untravelled(name, str(error)) from error
    if at_home:
        raise _untravelled(name, "it was defined in a notebook or script")


def _untravelled(name: str, why: str) -> ConfigError:
    return ConfigError(
        f"{name} cannot go to other machines ({why}): put it into a module that they can import, "
        "and name it as module:name"
    )


class _Actor(Hired):
    """A worker as an actor."""

    def __init__(self, ray: Any, work: Work) -> None:
        self._ray = ray
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
        self._actor: Any = ray.remote(**options)(Worker).remote(work)

    async def open(self) -> Hello:
        return await self._result(self._actor.open)

    async def exchange(self, jobs: Sequence[tuple[int, Job]]) -> Report:
        return await self._result(self._actor.exchange, jobs)

    async def close(self) -> None:
        try:
            await self._result(self._actor.close)
        finally:
            self._ray.kill(self._actor)

    async def _result(self, method: Any, *arguments: object) -> Any:
        """Return the result of a call; raises what Ray raises for an actor that is gone."""
        return await asyncio.wrap_future(method.remote(*arguments).future())
