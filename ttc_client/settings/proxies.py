"""The proxy that the environment names for a URL."""

import ipaddress
from urllib.parse import urlsplit


def environment_proxy(url: str) -> str | None:
    """Return the proxy that the environment names for a URL, if any; never for this machine.

    Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in small letters too.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or ""
    if host == "localhost" or _is_loopback(host) or proxy_bypass(parts.netloc):
        return None
    return getproxies().get(parts.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
