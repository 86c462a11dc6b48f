"""Who may ask: keys from a file or the environment, compared in constant time, never shown."""

import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ttc_client.errors import ConfigError
from ttc_client.files import read_small
from ttc_client.settings.config import KEYS_VARIABLE

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_SHORTEST = 16
_LIMITS = ("searches", "tokens")


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its name, which logs and metrics show; None stands for no limit.

    `searches` run at once at most, and `tokens` a minute are generated.
    """

    name: str
    digest: bytes = field(repr=False)
    searches: int | None = None
    tokens: int | None = None


def read_keys(file: Path | None, variable: str) -> tuple[Key, ...]:
    """Return the keys of a file and of the environment's variable; raises ConfigError.

    One a line, or behind a semicolon: NAME KEY [searches=N] [tokens=N].
    """
    text = variable.replace(";", "\n")
    if file:
        try:
            text += "\n" + read_small(file).decode()
        except (OSError, ValueError) as error:
            raise ConfigError(f"keys is {file}, which cannot be read: {error}") from None
    lines = [line.split("#")[0].split() for line in text.splitlines()]
    keys = tuple(_key(words) for words in lines if words)
    names = [key.name for key in keys]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise ConfigError(f"keys names {double} twice: give each key a name of its own")
    return keys


def _key(words: list[str]) -> Key:
    """Read one key; the messages never quote what may be one."""
    name, *rest = words
    if not rest or not _NAME.fullmatch(name):
        raise ConfigError("keys has a line that is not NAME KEY [searches=N] [tokens=N]")
    secret, *limits = rest
    if len(secret) < _SHORTEST or not secret.isascii():
        raise ConfigError(f"the key of {name} must have {_SHORTEST} or more ASCII characters")
    found: dict[str, int] = {}
    for limit in limits:
        kind, _, number = limit.partition("=")
        if kind not in _LIMITS or not number.isdecimal():
            raise ConfigError(f"the key of {name} takes searches=N and tokens=N as its limits")
        found[kind] = int(number)
    return Key(name, sha256(secret.encode()).digest(), **found)


def find_key(keys: Iterable[Key], header: str) -> Key | None:
    """Return the key that an Authorization header holds; every key is compared, in equal time."""
    scheme, _, secret = header.partition(" ")
    given = sha256(secret.strip().encode(errors="surrogateescape")).digest()
    found = None
    for key in keys:
        if hmac.compare_digest(key.digest, given):
            found = key
    return found if scheme.lower() == "bearer" else None


def check_host(host: str, keys: Iterable[Key]) -> None:
    """Raise ConfigError for an address that others reach, where there are no keys."""
    if not any(keys) and not _is_loopback(host):
        raise ConfigError(
            f"host is {host!r}, which others can reach, and there are no keys: name a file of them "
            f"with --keys, or put them into {KEYS_VARIABLE}"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
