"""Where the replicas of a fleet are: listed in a file, or the addresses of a DNS name.

Both are read again while a run goes on (`runtime.fleet`).
"""

import asyncio
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ttc_client.clients.routes import base_url
from ttc_client.errors import ConfigError
from ttc_client.files import read_small

_FILE, _DNS = "@", "dns+"


def is_fleet(place: object) -> bool:
    """Whether a place stands for many: `@FILE`, or `dns+http://NAME:PORT`."""
    return isinstance(place, str) and place.startswith((_FILE, _DNS))


def listed(name: str, place: str) -> list[str]:
    """Return the URLs that a file lists, or the one that a name or a URL is.

    Empty lines, and what follows a #, do not count. Raises ConfigError for a file that cannot be
    read or that holds nothing.
    """
    if not place.startswith(_FILE):
        return [place.removeprefix(_DNS)]
    try:
        text = read_small(Path(place.removeprefix(_FILE))).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{name} is {place}, which cannot be read: {why}") from error
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise ConfigError(f"{name} is {place}, which names no server: write a URL on each line")
    return [*filter(None, lines)]


async def located(name: str, places: Sequence[Any]) -> list[Any]:
    """Return places, each once, with those that stand for many looked up now.

    Raises ConfigError for a file as `listed` does, and for a name that has no address.
    """
    found: list[Any] = []
    for place in places:
        if not is_fleet(place):
            found.append(place)
        elif place.startswith(_DNS):
            found += await _resolved(name, place)
        else:
            urls = await asyncio.to_thread(listed, name, place)
            found += [base_url(url, name) for url in urls]
    # a model may be an object, such as a dataclass, that has no hash
    return [*{at if isinstance(at, str) else id(at): at for at in found}.values()]


async def _resolved(name: str, place: str) -> list[str]:
    """Return a URL for each address of a name; raises ConfigError where there is none."""
    url = base_url(place.removeprefix(_DNS), name)
    parts = urlsplit(url)
    if parts.scheme == "https":
        raise ConfigError(
            f"{name} is {place}: certificates are for names, not for the addresses behind one; "
            "list the replicas' own names in a file, as @FILE"
        )
    port, loop = parts.port or 80, asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError as error:
        why = error.strerror or error
        raise ConfigError(f"{name} is {place}, which has no address: {why}") from error
    hosts = sorted({str(address[0]) for *_, address in found})
    return [f"http://{f'[{host}]' if ':' in host else host}:{port}{parts.path}" for host in hosts]
