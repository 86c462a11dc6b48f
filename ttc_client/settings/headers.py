"""Headers of the user's own, such as Basic authentication, with values from the environment alone.

Each is named as `NAME=VARIABLE`, for the servers of both roles, or as `policy:NAME=VARIABLE` and
`prm:NAME=VARIABLE` for those of one.
"""

import re
from collections.abc import Iterable, Mapping

from ttc_client.errors import ConfigError

_NAMED = re.compile(r"(?:(policy|prm):)?([\w!#$%&'*+.^`|~-]+)=([A-Za-z_]\w*)", re.ASCII)
_OURS = ("accept-encoding", "connection", "content-length", "content-type", "host")
"""Headers without which no request would be understood, or no answer."""


def check_headers(named: Iterable[str]) -> None:
    """Raise ConfigError for what is not the name of a header and of a variable."""
    for one in named:
        found = _NAMED.fullmatch(one)
        if found is None:
            raise ConfigError(
                "header is not NAME=VARIABLE, such as Authorization=GATEWAY_LOGIN: put the "
                "header's value into an environment variable and name that"
            )  # what was given may be the value itself, and is not shown
        if found[2].lower() in _OURS:
            raise ConfigError(f"header names {found[2]}, which is set for each request: leave it")


def headers_for(
    role: str, named: Iterable[str], environment: Mapping[str, str]
) -> Mapping[str, str]:
    """Return the headers for the servers of a role, "policy" or "prm", with their values.

    Authorization is spelt so. Raises ConfigError for a variable that is not set or that no header
    can carry.
    """
    headers: dict[str, str] = {}
    for one in named:
        if not (found := _NAMED.fullmatch(one)) or found[1] not in (None, role):
            continue
        name, variable = found[2], found[3]
        value = environment.get(variable, "")
        if not value:
            raise ConfigError(f"header {name} is to hold {variable}, which the environment lacks")
        if not (value.isascii() and value.isprintable()):
            raise ConfigError(
                f"{variable} holds a character that no HTTP header can carry: is there a line "
                "break at its end?"
            )
        headers["Authorization" if name.lower() == "authorization" else name] = value
    return headers
