"""One flag per setting, for every command that searches.

The flags are made from the settings, so that flag, environment variable and TOML key always agree;
only their help is written here, or, for a strategy's own settings, beside them.
"""

import functools
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, cast, get_args, get_origin

import typer

from ttc_client.errors import ConfigError
from ttc_client.search.strategies import STRATEGIES
from ttc_client.settings.config import OWN, SETTINGS
from ttc_client.settings.verifiers import Combine, PRMApi
from ttc_client.tasks.table import OPTIONS, TASKS

SEARCH, SAMPLING, SERVERS = "Search", "Sampling", "Servers"
STRATEGY, TASK = "Of some strategies alone", "Of some tasks alone"

_FLAGS = {
    "n": ("-n",),
    "m": ("-m",),
    "strategy": ("--strategy", "-s"),
    "seeds": ("--seeds/--no-seeds",),
    "check": ("--check/--no-check",),
    "timeout_s": ("--timeout",),
    "show_options": ("--show-options/--no-show-options",),
}

_ALWAYS_SHOWN = {"strategy", "n", "m", "vote", "seed", "policy", "prm", "policy_api", "prm_api"}
"""What matters most; `--help-all` shows the rest."""

_SEVERAL = ("policy", "prm", "step_delimiter", "header")
"""Flags that may be given more than once."""

_CHOICES = {
    "strategy": tuple(STRATEGIES),
    "task": tuple(TASKS),
    "prm_api": (*get_args(PRMApi), "python:module:function"),
    "combine": get_args(Combine),
}

_HELP: dict[str, tuple[str, str]] = {
    "strategy": (SEARCH, "How to search: {choices}."),
    "n": (SEARCH, "The budget N: generations kept in flight per problem."),
    "m": (SEARCH, "The beam width M: continuations sampled per kept beam; N/M are kept."),
    "vote": (
        SEARCH,
        "Choose the answer by the best reward (prm), the summed rewards (weighted), the number of "
        "votes (majority), or a judge that compares pairs (tournament). Default: weighted, "
        "majority without a PRM.",
    ),
    "pairs": (SEARCH, "Pairs that a tournament compares, at most; each in both orders."),
    "max_steps": (SEARCH, "Depth of the tree; the last step runs to the end."),
    "reduction": (SEARCH, "How step scores combine into one reward: {choices}."),
    "thoughts": (
        SEARCH,
        "What the verifier reads of a model that thinks: the response alone (drop), or the steps "
        "of its thought too (score).",
    ),
    "step_delimiter": (
        SEARCH,
        "What ends a step; repeat it for several. \\n stands for a line break.",
    ),
    "compat": (
        SEARCH,
        "sal reproduces the published toolkit, search-and-learn, where it departs from the post.",
    ),
    "task": (SEARCH, "What is asked and how it is judged: {choices}; ttc tasks explains them."),
    "system_prompt": (SEARCH, "In place of the task's own, which for math is Meta's for MATH."),
    "grader": (
        SEARCH,
        "What says that an answer is right: own, or math-verify (an extra), for numbers that "
        "compare with published ones. (default: own)",
    ),
    "seed": (SAMPLING, "Makes a run repeatable: every request's seed is derived from it."),
    "seeds": (SAMPLING, "Send seeds, or not to servers that fail on them."),
    "temperature": (SAMPLING, "Sampling temperature, 0 to 2."),
    "top_p": (SAMPLING, "Nucleus sampling: keep the likeliest tokens up to this probability."),
    "top_k": (SAMPLING, "Keep so many of the likeliest tokens; -1 keeps all."),
    "min_p": (SAMPLING, "Keep tokens at least this likely, compared with the likeliest."),
    "presence_penalty": (SAMPLING, "Lower what has been written already, -2 to 2."),
    "think_tokens": (
        SAMPLING,
        "MIN:MAX tokens of a thought, such as 500:4000: one that ends earlier goes on after "
        '"Wait", one that is longer is ended, and the answer asked for.',
    ),
    "max_tokens": (SAMPLING, "Tokens per step."),
    "max_completion_tokens": (SAMPLING, "Tokens per completion."),
    "policy": (
        SERVERS,
        "URL of the policy's server; repeat it for replicas. @FILE lists them, "
        "dns+http://NAME:PORT has them as its addresses: both are looked up again.",
    ),
    "prm": (
        SERVERS,
        "URL of the verifier's server; repeat it for replicas. @FILE lists them, "
        "dns+http://NAME:PORT has them as its addresses: both are looked up again.",
    ),
    "policy_api": (SERVERS, "What the policy's server speaks: {choices}."),
    "prm_api": (
        SERVERS,
        "How the verifier is asked: {choices}. self, confidence, tests and python need no --prm. "
        "Several, with commas and weights (judge=2,confidence), need --combine.",
    ),
    "combine": (SERVERS, "How several verifiers' scores become one: {choices}."),
    "prm_model": (SERVERS, "The judge's name at its server, where that serves several."),
    "judge_prompt": (SERVERS, "File of a judge's prompt (ttc guide own-verifier)."),
    "verdicts": (
        SERVERS,
        "Score by so many sampled critiques. (default: by log-probabilities where the judge's "
        "server gives them, else 4)",
    ),
    "top_logprobs": (
        SERVERS,
        "Score confidence by its lowest group (DeepConf), from so many alternatives of each token, "
        "such as 20; 0 for the likelihood.",
    ),
    "prm_format": (SERVERS, "How a causal PRM reads a solution: {choices}."),
    "model": (SERVERS, "The policy's name at its server, where that serves several."),
    "concurrency": (
        SERVERS,
        "Sequences in flight at each server, at most; auto finds what it can use.",
    ),
    "timeout_s": (SERVERS, "Seconds for one request to a server and its repetitions."),
    "chat_template": (
        SERVERS,
        "File with the policy's own chat template (Jinja), where its server does not render one.",
    ),
    "tokenizer": (SERVERS, "Directory of the policy's tokenizer, for the same."),
    "chat_template_kwargs": (
        SERVERS,
        'JSON for the chat template, such as {{"enable_thinking": false}}.',
    ),
    "extra_body": (SERVERS, "JSON with more fields for every request to the policy."),
    "session_header": (
        SERVERS,
        "Header by which a router in front of replicas keeps requests with the same prefix "
        "together, such as X-Session-ID.",
    ),
    "header": (
        SERVERS,
        "NAME=VARIABLE: send a header whose value an environment variable holds, such as "
        "Authorization=LOGIN; policy:NAME=VARIABLE for the policy's servers alone, prm: for the "
        "verifier's. Repeat it for several.",
    ),
    "ca_bundle": (SERVERS, "File of CA certificates to trust besides the system's (PEM)."),
    "check": (SERVERS, "Refuse servers that would ruin a search, as ttc doctor finds them."),
    **{name: (STRATEGY, field.metadata["help"]) for name, field in OWN.items()},
    **{name: (TASK, field.metadata["help"]) for name, field in OPTIONS.items()},
}

VERIFIER = tuple(
    name
    for name, (panel, _) in _HELP.items()
    if panel == SERVERS and name not in ("policy", "prm", "policy_api", "model")
)
"""The settings of a command that asks verifiers alone, but for where they are."""

_OF_VERIFIERS = (
    *("prm", "prm_api", "prm_model", "prm_format"),
    *("combine", "judge_prompt", "verdicts", "top_logprobs"),
)
POLICY = tuple(
    name
    for name, (panel, _) in _HELP.items()
    if (panel in (SAMPLING, SERVERS, TASK) and name not in _OF_VERIFIERS)
    or name in ("task", "system_prompt", "grader")
)
"""The settings of a command that samples whole completions and grades them."""

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="A TOML file with settings. (default: ttc.toml)")
]


def out_path(text: str) -> Path:
    """Return where to write to; raises ConfigError for no name, which would be this directory."""
    if not text:
        raise ConfigError("out is empty: name a directory")
    return Path(text)


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


def search_options(
    command: Callable[..., None],
    *,
    all_shown: bool,
    without: Collection[str] = (),
    only: Collection[str] = tuple(_HELP),
) -> Callable[..., None]:
    """Give a command a flag per setting; it receives them as `settings`, None where not given.

    Unless `all_shown`, its help has those that matter most.
    """
    own = list(inspect.signature(command).parameters.values())[1:]
    names = [name for name in _HELP if name in only and name not in without]
    flags = [_flag(name, hidden=not all_shown and name not in _ALWAYS_SHOWN) for name in names]

    @functools.wraps(command)
    def with_settings(**arguments: Any) -> None:
        settings = {name: arguments.pop(name) for name in names}
        command(settings, **arguments)

    setattr(with_settings, "__signature__", inspect.Signature([*own, *flags]))  # noqa: B010
    return with_settings


def _flag(name: str, *, hidden: bool) -> inspect.Parameter:
    """Return the command-line parameter of a setting, None unless given."""
    setting = SETTINGS[name]
    panel, text = _HELP[name]
    choices = get_args(setting.type) if get_origin(setting.type) is Literal else ()
    choices = _CHOICES.get(name, choices)
    if setting.default not in (None, ()):
        text += f" (default: {_plain(setting.default)})"
    option = typer.Option(
        *_FLAGS.get(name, ("--" + name.replace("_", "-"),)),
        help=text.format(choices=", ".join(choices)),
        metavar=_metavar(name, setting.type, choices),
        rich_help_panel=panel,
        show_default=False,
        hidden=hidden,
    )
    kind = _flag_type(name, setting.type)
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )


def _plain(default: Any) -> str:
    """Return a default as one would give it."""
    several = cast(tuple[Any, ...], default) if isinstance(default, tuple) else (default,)
    return ", ".join(str(one).replace("\n", "\\n") for one in several)


def _metavar(name: str, kind: Any, choices: Collection[str]) -> str | None:
    """Return what stands for a value in the help; None for a switch."""
    plain = _plain_types(kind)
    if plain == [bool]:
        return None
    if choices:
        return "NAME"
    if name in ("policy", "prm"):
        return "URL"
    return {int: "N", float: "X"}.get(plain[0], "TEXT") if len(plain) == 1 else "TEXT"


def _plain_types(kind: Any) -> list[Any]:
    return [each for each in get_args(kind) or (kind,) if each is not NoneType]


def _flag_type(name: str, kind: Any) -> Any:
    """Return what the command line reads: switches, lists repeated, and text for the settings."""
    if name in _SEVERAL:
        return list[str] | None
    return bool | None if _plain_types(kind) == [bool] else str | None
