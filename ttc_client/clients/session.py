"""The connections that all servers of a process share: TLS, keep-alive, addresses."""

import re
import ssl
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from ttc_client.errors import ConfigError

KEEP_ALIVE_S = 4.0
"""Below the 5 s after which vLLM closes an idle connection."""

_MOST_FILES = 1 << 14


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return what server certificates are verified with: the system's CAs, and those of a file.

    SSL_CERT_FILE and SSL_CERT_DIR name the system's, as everywhere with OpenSSL.
    """
    context = ssl.create_default_context()
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except OSError as error:  # ssl.SSLError is one
            raise ConfigError(
                f"ca_bundle is {ca_bundle}: it must be a file of certificates in PEM format "
                f"({error.strerror or error})"
            ) from error
    return context


def open_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """Return the session that all servers of a process share; close it with `async with`.

    It may need more connections than the 256 or 1024 files that a process may open unless it asks
    for more, so it asks.
    """
    _allow_files()
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S, ssl=tls or True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def base_url(url: str, what: str) -> str:
    """Return a server's URL without a trailing `/` or `/v1`, or raise ConfigError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{what} is {url!r}: it must be a URL such as http://localhost:8000")
    return re.sub(r"(/v1)?/*$", "", url)


def _allow_files() -> None:
    """Raise the soft limit on open files as far as may be needed and the hard one lets it."""
    if sys.platform == "win32":  # knows no such limit
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(_MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a lower one besides
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
