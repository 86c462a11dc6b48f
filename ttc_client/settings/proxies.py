"""The proxy that the environment names for a URL, as curl and other clients understand it."""

import ipaddress
import socket
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def environment_proxy(url: str) -> str | None:
    """Return the URL of the proxy that the environment names for a URL, if any.

    Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, in small letters too. NO_PROXY lists hosts, which
    stand for their subdomains as well, addresses, CIDR ranges, or `*`, each with a port or without
    one. This machine itself is never asked for through a proxy.
    """
    from urllib.request import getproxies, proxy_bypass

    proxies, parts = getproxies(), urlsplit(url)
    host, proxy = (parts.hostname or "").rstrip("."), proxies.get(parts.scheme)
    if proxy is None or _is_this_machine(host) or proxy_bypass(parts.netloc):
        return None
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    for entry in proxies.get("no", "").replace(",", " ").split():
        if _covers(entry.lower(), host, port):
            return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _address(host: str) -> Address | None:
    """Return a numeric host's address, in whichever way it is written, such as `127.1`."""
    host = host.removeprefix("[").removesuffix("]").partition("%")[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except (OSError, UnicodeEncodeError):
            return None
    return getattr(address, "ipv4_mapped", None) or address


def _covers(entry: str, host: str, port: int | None) -> bool:
    """Whether an entry of NO_PROXY is for a host and port."""
    if entry == "*":
        return True
    if (network := _network(entry)) is not None:
        address = _address(host)
        return address is not None and address in network
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        return int(wanted) == (port or 0) and _covers(name, host, port)
    name = entry.removeprefix("*").strip(".")
    return bool(name) and (host == name or host.endswith(f".{name}"))


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """Return the range that an address or a CIDR names, None for a host's name."""
    address, _, prefix = entry.partition("/")
    number = _address(address)
    if number is None:
        return None
    try:
        return ipaddress.ip_network(f"{number}/{prefix or number.max_prefixlen}", strict=False)
    except ValueError:
        return None
