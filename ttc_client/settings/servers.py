"""With what to search: the servers, how to speak to them, and their keys."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from ttc_client.clients.templates import Asking
from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams, check_choice, check_count
from ttc_client.settings.fleets import listed
from ttc_client.settings.headers import check_headers
from ttc_client.settings.verifiers import Combine, check_verifiers, named_verifiers

ENVIRONMENT_PREFIX = "TTC_"
SECRETS = ("policy_api_key", "prm_api_key")

PolicyApi = Literal["vllm", "openai", "tgi"]
PRMFormat = Literal["auto", "rlhflow", "math-shepherd"]

_MOST_VERDICTS = 64
_MOST_LOGPROBS = 20
"""What servers allow."""

Place = str | Callable[..., Any]
"""A server's URL, or an async function in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Say where policy and verifier are, and how to reach them.

    `policy` and `prm` hold the URLs of one or more replicas each, fleets that are looked up again
    (`settings.fleets`), or an async function in their place (`clients.functions` says what it
    gets and returns); without any, small servers of our
    own are started for the demo models. `prm_api` names how the verifier is asked, which may need
    no place; with `combine` it names several, each with its weight, and each `prm` is one of them.
    `judge_prompt` is the file of a judge's prompt, `verdicts` how many it samples, None to read its
    log-probabilities where it gives them; `top_logprobs` is what confidence reads. `concurrency`
    bounds the sequences in flight at each server, or is "auto" to find what it can use; `timeout_s`
    bounds one request, its repetitions and the pauses between them. `session_header` names a header
    by which a router keeps requests that share a prefix together, `header` holds headers of the
    user's own (see `settings.headers`), and `ca_bundle` is a file of CAs to trust besides the
    system's. With `check`, servers that would ruin a search are refused before it
    starts. `chat_template` is a file, or `tokenizer` the directory of one, whose template renders
    prompts in place of the server's; `chat_template_kwargs` and `extra_body` are JSON objects, for
    the template and for the body of each request to the policy. Raises ConfigError, naming the
    value and the fix.
    """

    policy: Place | Sequence[Place] = ()
    prm: Place | Sequence[Place] = ()
    policy_api: PolicyApi = "vllm"
    prm_api: str = "auto"
    prm_format: PRMFormat = "auto"
    prm_model: str | None = None
    combine: Combine | None = None
    judge_prompt: str | None = None
    verdicts: int | None = None
    top_logprobs: int = 0
    model: str | None = None
    concurrency: int | Literal["auto"] = "auto"
    timeout_s: float = 600.0
    check: bool = True
    chat_template: str | None = None
    tokenizer: str | None = None
    chat_template_kwargs: str | None = None
    extra_body: str | None = None
    session_header: str | None = None
    header: tuple[str, ...] = ()
    ca_bundle: str | None = None
    policy_api_key: str | None = field(default=None, repr=False)
    prm_api_key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, places in (("policy", self.policies), ("prm", self.verifiers)):
            object.__setattr__(self, name, places)
            for place in places:
                for url in listed(name, place) if isinstance(place, str) else ():
                    _check_url(name, url)
        check_choice("policy_api", self.policy_api, PolicyApi)
        if self.combine is not None:
            check_choice("combine", self.combine, Combine)
        check_verifiers(self.prm_api, len(self.verifiers), self.combine)
        check_choice("prm_format", self.prm_format, PRMFormat)
        if self.verdicts is not None:
            check_count("verdicts", self.verdicts, most=_MOST_VERDICTS)
        _check_top_logprobs(self.top_logprobs)
        for name in ("chat_template_kwargs", "extra_body"):
            json_object(name, getattr(self, name))
        for name in SECRETS:
            _check_key(name, getattr(self, name))
        _check_header(self.session_header)
        check_headers(self.header)
        _check_concurrency(self.concurrency)
        if not self.timeout_s > 0:
            raise ConfigError(f"timeout_s is {self.timeout_s}: it must be above 0")
        if self.prm and not self.policy:
            raise ConfigError("prm is given but policy is not: name both servers, or neither")

    @property
    def policies(self) -> tuple[Place, ...]:
        """The places of the policy's replicas."""
        return _several(self.policy)

    @property
    def verifiers(self) -> tuple[Place, ...]:
        """The places of the verifier's replicas."""
        return _several(self.prm)

    @property
    def has_verifier(self) -> bool:
        """Whether there is a verifier: at a place, without one, or the demo PRM."""
        return bool(self.is_demo or self.prm) or not any(
            one.needs_place for one in named_verifiers(self.prm_api)
        )

    def without_verifier(self) -> "Servers":
        """Return the servers of a search that needs none."""
        return replace(self, prm=(), prm_api="auto", combine=None)

    def check_task(self, task: str) -> None:
        """Raise ConfigError for a verifier that has nothing to read in a task's problems."""
        if task != "code" and any(one.api == "tests" for one in named_verifiers(self.prm_api)):
            raise ConfigError(
                f"prm_api is {self.prm_api}, but the problems of task {task} have no tests: use "
                "--task code, or another verifier"
            )

    def check_thoughts(self, params: SearchParams) -> None:
        """Raise ConfigError for a budget of thoughts that are switched off."""
        kwargs = json_object("chat_template_kwargs", self.chat_template_kwargs)
        if params.think_tokens is not None and not Asking(kwargs=kwargs).thinks:
            raise ConfigError(
                f"think_tokens is {params.think_tokens}, but chat_template_kwargs is "
                f"{self.chat_template_kwargs}, which switches thinking off: leave one of them out"
            )

    @property
    def is_demo(self) -> bool:
        """Whether the demo models answer."""
        return not self.policy


def json_object(name: str, text: str | None) -> dict[str, Any]:
    """Return a setting that is JSON; raises ConfigError unless it is an object."""
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        wish = 'it must be a JSON object such as {"enable_thinking": false}'
        raise ConfigError(f"{name} is {text!r}: {wish} ({error})") from error


def _several(places: Place | Sequence[Place]) -> tuple[Place, ...]:
    if isinstance(places, str) or callable(places):
        return (places,)
    return tuple(places)


def _check_key(name: str, key: str | None) -> None:
    if key and not (key.isascii() and key.isprintable()):
        raise ConfigError(
            f"{ENVIRONMENT_PREFIX}{name.upper()} holds a character that no HTTP header can carry: "
            "is there a line break at its end?"
        )


def _check_top_logprobs(value: int) -> None:
    """Raise ConfigError for a number of alternatives that makes no confidence."""
    if value not in (0, *range(2, _MOST_LOGPROBS + 1)):
        raise ConfigError(
            f"top_logprobs is {value}: it must be 0, for the likelihood, or 2 to {_MOST_LOGPROBS}"
        )


def _check_header(name: str | None) -> None:
    if name is not None and not re.fullmatch(r"[\w!#$%&'*+.^`|~-]+", name, re.ASCII):
        raise ConfigError(f"session_header is {name!r}: it must be a name such as X-Session-ID")


def _check_concurrency(value: object) -> None:
    if value != "auto" and not (isinstance(value, int) and value >= 1):
        raise ConfigError(f"concurrency is {value!r}: it must be 1 or more, or auto")


def _check_url(name: str, url: str) -> None:
    """Refuse an invalid URL, and what would put a password into results and messages.

    A password may also stand in what has no scheme, or a wrong one.
    """
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname
    except ValueError:
        raise ConfigError(
            f"{name} is not a valid URL: it must be one such as http://localhost:8000"
        ) from None
    if "@" in url or "?" in url:
        where = f" of {host}" if host and "@" not in host else ""
        raise ConfigError(
            f"{name} is a URL{where} with a user name or a query: leave these out, "
            f"and put an API key into {ENVIRONMENT_PREFIX}{name.upper()}_API_KEY"
        )
