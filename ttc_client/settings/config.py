"""All settings of a search, and where they come from: flags, environment, file, defaults.

The only place that reads the environment.
"""

import difflib
import ipaddress
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import msgspec

from ttc_client.clients.prompts import META_MATH_SYSTEM_PROMPT
from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams, check_choice
from ttc_client.settings.table_file import read_table

DEFAULT_FILE = Path("ttc.toml")
ENVIRONMENT_PREFIX = "TTC_"

PolicyApi = Literal["vllm", "openai", "tgi"]
PRMApi = Literal[
    "auto",
    "score",
    "generative-scoring",
    "completions",
    "token-classify",
    "step-pooling",
    "classify",
    "tgi",
    "tei",
]
PRMFormat = Literal["auto", "rlhflow", "math-shepherd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig(SearchParams):
    """Say how to search, and with which servers.

    `policy` and `prm` hold the URLs of one or more replicas each; without any, small servers of
    our own are started for the demo models. `concurrency` bounds the sequences in flight at
    each server, or is "auto" to find what it can use; `timeout_s` bounds one request, its
    repetitions and the pauses between them. `session_header` names a header by which a router
    keeps requests that share a prefix together, `ca_bundle` a file of CAs to trust besides the
    system's. With `check`, servers that would ruin a search are refused before it starts. Raises
    ConfigError.
    """

    policy: tuple[str, ...] = ()
    prm: tuple[str, ...] = ()
    policy_api: PolicyApi = "vllm"
    prm_api: PRMApi = "auto"
    prm_format: PRMFormat = "auto"
    model: str | None = None
    system_prompt: str = META_MATH_SYSTEM_PROMPT
    concurrency: int | Literal["auto"] = "auto"
    timeout_s: float = 600.0
    check: bool = True
    session_header: str | None = None
    ca_bundle: str | None = None
    policy_api_key: str | None = field(default=None, repr=False)
    prm_api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        SearchParams.__post_init__(self)  # a slotted dataclass has no zero-argument super()
        for name in ("policy", "prm"):
            urls = getattr(self, name)
            object.__setattr__(self, name, (urls,) if isinstance(urls, str) else tuple(urls))
            for url in getattr(self, name):
                _check_url(name, url)
        check_choice("policy_api", self.policy_api, PolicyApi)
        check_choice("prm_api", self.prm_api, PRMApi)
        check_choice("prm_format", self.prm_format, PRMFormat)
        for name in SECRETS:
            _check_key(name, getattr(self, name))
        _check_header(self.session_header)
        _check_concurrency(self.concurrency)
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s is {self.timeout_s}: it must be above 0")
        if self.prm and not self.policy:
            raise ConfigError("prm is given but policy is not: name both servers, or neither")
        if self.policy and self.uses_prm and not self.prm:
            raise ConfigError(
                f"{self.strategy} needs a PRM beside the policy: add --prm URL, or use majority"
            )


def _check_key(name: str, key: str | None) -> None:
    if key and not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"{ENVIRONMENT_PREFIX}{name.upper()} holds a character that no HTTP header can carry: "
            "is there a line break at its end?"
        )


def _check_header(name: str | None) -> None:
    if name is not None and not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
        raise ConfigError(f"session_header is {name!r}: it must be a name such as X-Session-ID")


def _check_concurrency(value: object) -> None:
    if value != "auto" and not (isinstance(value, int) and value >= 1):
        raise ConfigError(f"concurrency is {value!r}: it must be 1 or more, or auto")


def _check_url(name: str, url: str) -> None:
    """Refuse what is no URL, and what would put a password into results and messages."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ConfigError(
            f"{name} is no URL: it must be one such as http://localhost:8000"
        ) from None
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"{name} is a URL of {parts.hostname} with a user name or a query: leave these out, "
            f"and put an API key into {ENVIRONMENT_PREFIX}{name.upper()}_API_KEY"
        )


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


SETTINGS = tuple(setting.name for setting in fields(SearchConfig))
SECRETS = ("policy_api_key", "prm_api_key")


@dataclass(frozen=True, slots=True)
class Settings:
    """The effective configuration, and for each of its fields where the value came from."""

    config: SearchConfig
    origins: dict[str, str]


def load_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None
) -> Settings:
    """Merge flags over environment over a TOML file over defaults.

    A flag that is None was not given. `file` None means `ttc.toml` where there is one. Raises
    ConfigError that names the setting, its value and where it came from.
    """
    path = file or DEFAULT_FILE
    table = read_toml(path, SETTINGS, required=file is not None)
    return merge_settings(flags, environment, table, str(path))


def merge_settings(
    flags: Mapping[str, Any], environment: Mapping[str, str], table: Mapping[str, Any], path: str
) -> Settings:
    """Merge flags over environment over the table of a file over defaults."""
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, "default")

    def take(origin: str, found: Mapping[str, Any]) -> None:
        for name, value in found.items():
            values[name] = _typed(name, value, origin)
            origins[name] = origin

    take(path, table)
    for name in SETTINGS:
        variable = ENVIRONMENT_PREFIX + name.upper()
        if variable in environment:
            take(variable, {name: environment[variable]})
    take("flag", {name: value for name, value in flags.items() if value is not None})
    return Settings(SearchConfig(**values), origins)


def read_toml(path: Path, names: Sequence[str], *, required: bool) -> dict[str, Any]:
    """Read a TOML file that may set the names given; raises ConfigError for others and secrets."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError:
        if required:
            raise ConfigError(f"config is {path}: there is no such file") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as TOML: {error}") from error
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{path} sets {key!r}, which is no setting{hint}")
        if key in SECRETS:
            raise ConfigError(
                f"{path} holds {key}: put API keys into {ENVIRONMENT_PREFIX}{key.upper()} instead"
            )
    return table


def _typed(name: str, value: Any, origin: str) -> Any:
    """Convert a value, often a string, to its setting's type."""
    wanted = SearchConfig.__dataclass_fields__[name].type
    if name == "table" and isinstance(value, str):
        return read_table(Path(value))
    if name in ("policy", "prm") and isinstance(value, str):
        value = value.split(",") if value else []
    try:
        return msgspec.convert(value, wanted, strict=False)
    except msgspec.ValidationError as error:
        choices = ", ".join(_choices(wanted))
        wish = f"it must be one of {choices}" if choices else str(error)
        if int in get_args(wanted):
            wish = f"it must be a whole number, or {choices}"
        raise ConfigError(f"{name} is {value!r} (from {origin}): {wish}") from error


def _choices(kind: Any) -> list[str]:
    """Return the strings that a Literal allows, also inside a union with None."""
    if isinstance(kind, str):
        return [kind]
    return [choice for member in get_args(kind) for choice in _choices(member)]
