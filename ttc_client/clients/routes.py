"""The route to a server, directly or through a proxy, and the parts of a request it determines.

Knows nothing of sockets.
"""

import re
from base64 import b64encode
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, quote, unquote, urlsplit

from ttc_client.errors import ConfigError

_PORTS = {"http": 80, "https": 443}
_ENDPOINT = re.compile(
    r"/+(chat/completions|completions|responses|embeddings|generate(_stream)?|score|pooling|"
    r"classify|predict|tokenize|generative_scoring|(?<=/v1/)models)/*$"
)
"""What people paste where the server's URL is asked for."""


class InvalidProxyError(Exception):
    """The proxy's URL is invalid; not shown, it may hold a password."""


class Hop(NamedTuple):
    """A host to connect to, in TLS or not."""

    host: str
    port: int
    tls: bool

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Route(NamedTuple):
    """Connect to `first`, and from there through a tunnel to `behind`, if there is one.

    `base` begins the target of every request, and `headers` are lines that every request has;
    `connect` is the request that opens the tunnel. `proxy` names `first` where it is a proxy.
    Equal routes share their connections: a tuple, because it is hashed for every request, and a
    dataclass takes four times as long.
    """

    first: Hop
    base: str
    headers: str
    behind: Hop | None = None
    connect: str = ""
    proxy: str = ""


def base_url(url: str, what: str) -> str:
    """Return a server's URL without a trailing `/` or `/v1`, and without the path of an endpoint.

    Raises ConfigError, which names the setting `what`, for anything but an HTTP URL.
    """
    if _hop(url) is None:
        raise ConfigError(f"{what} is {url!r}: it must be a URL such as http://localhost:8000")
    return re.sub(r"(/v1)?/*$", "", _ENDPOINT.sub("", url))


@lru_cache(maxsize=1024)  # every request asks for its route
def find_route(url: str, proxy: str | None) -> Route:
    """Return the route to a server.

    Raises InvalidProxyError, and ValueError for a URL that `base_url` would refuse.
    """
    server = _hop(url)
    if server is None:
        raise ValueError(f"{url!r} is no URL of a server")
    path = quote(urlsplit(url).path, safe="/%:@!$&'()*+,;=~")
    host = f"Host: {server.authority}\r\n"
    if proxy is None:
        return Route(server, path, host)
    via = _hop(proxy)
    if via is None:
        raise InvalidProxyError
    credentials = _credentials(urlsplit(proxy))
    if server.tls:
        connect = f"CONNECT {server.authority} HTTP/1.1\r\n{host}{credentials}\r\n"
        return Route(via, path, host, server, connect, via.authority)
    target = f"http://{server.authority}{path}"
    return Route(via, target, host + credentials, proxy=via.authority)


def _hop(url: str) -> Hop | None:
    try:
        parts = urlsplit(url)
        port, host = parts.port, (parts.hostname or "").encode("idna").decode()
    except ValueError:
        return None
    if parts.scheme not in _PORTS or not host:
        return None
    return Hop(host, port or _PORTS[parts.scheme], parts.scheme == "https")


def _credentials(proxy: SplitResult) -> str:
    if proxy.username is None:
        return ""
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return f"Proxy-Authorization: Basic {b64encode(pair.encode()).decode()}\r\n"
