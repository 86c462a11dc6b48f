"""From the body of a request to the search that it asks for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ttc_client.errors import did_you_mean
from ttc_client.gateway.bodies import ChatBody, Extension, Fields, checked, same_cap, stops
from ttc_client.gateway.messages import Conversation, conversation
from ttc_client.gateway.profiles import Profile, departed
from ttc_client.gateway.refusals import RefusedError
from ttc_client.gateway.votes import ReplyTask
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import find_strategy
from ttc_client.types import Problem

RETURNABLE = ("candidates", "tree")
_FORMS = ("text", "json_object", "json_schema")
_SHOWN = 100
"""How much of a name of the caller's is repeated, and compared with ours."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that a request asks for, and how it wants its reply.

    `model` is what it calls the profile, `n` how many answers it wants, `limit` what it may spend
    in tokens, None for no limit.
    """

    model: str
    profile: Profile
    params: SearchParams
    problem: Problem
    task: ReplyTask
    n: int = 1
    stream: bool = False
    include_usage: bool = False
    progress: bool = False
    returns: Sequence[str] = ()
    limit: int | None = None


def read_chat(fields: Fields, profile: Profile) -> Asked:
    """Return the search that a chat request asks for; raises RefusedError, ConfigError."""
    body = checked(fields, ChatBody)
    extension = body.ttc or Extension()
    if body.stream_options and not body.stream:
        raise RefusedError("stream_options needs stream to be true", param="stream_options")
    if unknown := set(extension.return_) - set(RETURNABLE):
        found = min(unknown)[:_SHOWN]
        hint = did_you_mean(found, RETURNABLE)
        raise RefusedError(
            f"ttc.return names {found!r}: it takes {' or '.join(RETURNABLE)}{hint}", param="ttc"
        )
    spoken = conversation(body.messages)
    params = _params(body, departed(profile, extension), profile)
    if body.n > params.n:
        raise RefusedError(f"n is {body.n}, but {body.model} samples {params.n}", param="n")
    form = _form(body.response_format)
    chat = _chat(body, spoken, form)
    if chat:
        _check_whole(params, next(iter(chat)))
    task = ReplyTask(profile.task, form, calls=bool(chat))
    return Asked(
        model=body.model,
        profile=profile,
        params=params,
        problem=_problem(spoken, stops(body.stop), chat, task),
        task=task,
        n=body.n,
        stream=body.stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        progress=extension.progress,
        returns=extension.return_,
        limit=extension.token_budget,
    )


def _params(body: ChatBody, params: SearchParams, profile: Profile) -> SearchParams:
    """Return the params with a request's sampling fields; raises RefusedError, ConfigError."""
    cap = same_cap(
        body.max_tokens, body.max_completion_tokens, "max_tokens and max_completion_tokens"
    )
    most = params.max_completion_tokens if cap is None else min(cap, params.max_completion_tokens)
    changed = replace(
        params,
        temperature=_temperature(body.temperature, params, profile),
        top_p=params.top_p if body.top_p is None else body.top_p,
        seed=params.seed if body.seed is None else body.seed,
        max_completion_tokens=most,
    )
    return find_strategy(params.strategy).checked(changed)


def _temperature(asked: float | None, params: SearchParams, profile: Profile) -> float:
    """Return the temperature of the samples, never 0 for several; raises RefusedError."""
    if asked != 0 or params.n == 1:
        return params.temperature if asked is None else asked
    if profile.at_zero is None:
        raise RefusedError(
            f"temperature is 0 and {profile.name} takes {params.n} samples, which would all be the "
            "same: leave it out, or ask for one such as 0.8; a profile with at-zero=0.8 samples at "
            "0.8 where 0 is asked for",
            param="temperature",
        )
    return profile.at_zero


def _form(response_format: Fields | None) -> str:
    """Return "json" where replies must be JSON; raises RefusedError for what is no format."""
    kind = (response_format or {"type": "text"}).get("type")
    if kind == "text":
        return ""
    schema = (response_format or {}).get("json_schema")
    if kind == "json_object" or (kind == "json_schema" and isinstance(schema, dict)):
        return "json"
    hint = did_you_mean(str(kind)[:_SHOWN], _FORMS)
    raise RefusedError(
        f"response_format is of type {kind!r}: it must be text, json_object, or json_schema with "
        f"a json_schema{hint}",
        param="response_format",
    )


def _chat(body: ChatBody, spoken: Conversation, form: str) -> Fields:
    """Return the fields that only the server's own chat API can honour, {} where there are none."""
    chat: Fields = {}
    if form:
        chat["response_format"] = body.response_format
    if body.tools:
        chat["tools"] = [_tool(tool) for tool in body.tools]
        chat["tool_choice"] = _choice(body.tool_choice, chat["tools"])
        if body.parallel_tool_calls is not None:
            chat["parallel_tool_calls"] = body.parallel_tool_calls
    elif body.tool_choice not in (None, "none", "auto"):
        raise RefusedError("tool_choice names a tool, but there are no tools", param="tool_choice")
    if spoken.messages is None:
        chat["messages"] = list(spoken.turns)
    return chat


def _tool(tool: Fields) -> Fields:
    function = tool.get("function")
    if tool.get("type") != "function" or not isinstance(function, dict):
        raise RefusedError("tools must be of type function, with a function", param="tools")
    if not isinstance(cast(Fields, function).get("name"), str):
        raise RefusedError("tools holds a function without a name", param="tools")
    return tool


def _choice(choice: object, tools: Sequence[Fields]) -> object:
    if isinstance(choice, Mapping):
        named = cast(Mapping[str, Any], choice).get("function")
        name = cast(Mapping[str, Any], named).get("name") if isinstance(named, Mapping) else None
        if name in [tool["function"]["name"] for tool in tools]:
            return cast(object, choice)
    elif choice in (None, "auto", "none", "required"):
        return choice or "auto"
    raise RefusedError(
        f"tool_choice is {choice!r}, which is none of the tools", param="tool_choice"
    )


def _check_whole(params: SearchParams, field: str) -> None:
    """Raise RefusedError unless completions are sampled whole: steps cannot call tools."""
    record = find_strategy(params.strategy)
    if record.samples(params, record.settings_of(params)) not in ("independent", "fixed"):
        raise RefusedError(
            f"{field}: {params.strategy} searches step by step, which cannot honour it; choose a "
            "profile of whole completions, such as best-of-n or majority",
            param=field,
        )


def _problem(spoken: Conversation, ends: tuple[str, ...], chat: Fields, task: ReplyTask) -> Problem:
    plain = Problem(question=spoken.question, ends=ends, chat=chat)
    if spoken.messages is not None:
        return replace(plain, messages=spoken.messages)
    # only the server can render such a conversation: the task's prompt leads it
    leading = [m for m in task.messages(plain) if m.role == "system"]
    if not leading:
        return plain
    turns = [{"role": m.role, "content": m.content} for m in leading]
    return replace(plain, chat={**chat, "messages": [*turns, *spoken.turns]})


def profile_of(model: object, base: str, profiles: Mapping[str, Profile]) -> Profile | None:
    """Return the profile that a model's name stands for, None for the policy itself.

    Raises RefusedError for a name that is neither.
    """
    if not isinstance(model, str):
        raise RefusedError("model must name a model: /v1/models lists them", param="model")
    if model == base:
        return None
    for name, profile in profiles.items():
        if model == f"{base}:{name}":
            return profile
    hint = did_you_mean(model[:_SHOWN].rpartition(":")[2], profiles, prefix=f"{base}:")
    raise RefusedError(
        f"there is no model {model[:_SHOWN]!r}: /v1/models lists them{hint}",
        status=404,
        param="model",
        code="model_not_found",
    )
