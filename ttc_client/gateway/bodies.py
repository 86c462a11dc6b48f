"""The fields of a request, checked one by one: what cannot be honoured is refused by name.

null equals absent everywhere.
"""

import re
from typing import Annotated, Any, TypeVar, cast, get_args

import msgspec
from msgspec import Meta

from ttc_client.errors import did_you_mean
from ttc_client.gateway.refusals import RefusedError

Fields = dict[str, Any]
B = TypeVar("B", bound=msgspec.Struct)


_Count = Annotated[int, Meta(ge=1, lt=2**31)]
_Stops = str | Annotated[list[str], Meta(max_length=4)]


class Extension(msgspec.Struct, forbid_unknown_fields=True):
    """`ttc`: how to search, within the profile, and what to send back.

    `settings` are the strategy's own.
    """

    strategy: str | None = None
    n: _Count | None = None
    m: _Count | None = None
    vote: str | None = None
    reduction: str | None = None
    max_steps: _Count | None = None
    settings: Fields | None = None
    token_budget: _Count | None = None
    progress: bool = False
    return_: list[str] = msgspec.field(default_factory=list[str], name="return")


class _StreamOptions(msgspec.Struct, forbid_unknown_fields=True):
    include_usage: bool = False
    include_obfuscation: bool = False


class ChatBody(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /v1/chat/completions` with a profile."""

    model: str
    messages: list[Fields]
    n: Annotated[int, Meta(ge=1, le=1024)] = 1
    seed: int | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_tokens: _Count | None = None
    max_completion_tokens: _Count | None = None
    stop: _Stops | None = None
    user: str | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None
    response_format: Fields | None = None
    tools: list[Fields] | None = None
    tool_choice: str | Fields | None = None
    parallel_tool_calls: bool | None = None
    ttc: Extension | None = None


_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "store": (False,),
    "metadata": ({},),
    "service_tier": ("auto", "default"),
    "modalities": (["text"],),
    "functions": ([],),
    "top_k": (-1, 0),
    "min_p": (0,),
    "repetition_penalty": (1,),
    "truncation": ("disabled",),
    "background": (False,),
    "include": ([],),
}
"""Fields that ask for nothing at these values, and that no profile can honour at others."""

_PATH = re.compile(r" - at `\$\.?([\w.]*)")
_UNKNOWN = re.compile(r"unknown field `(.*?)`(?: - at `\$|\Z)", re.DOTALL)
_MISSING = re.compile(r"required field `(\w+)`")
_SHOWN = 100
"""How much of a field's name is repeated, and compared with ours."""


def decoded(body: bytes) -> Fields:
    """Return the fields that are set in a body; raises RefusedError unless it is a JSON object."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(f"the body is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise RefusedError("the body is JSON, but no object")
    fields = cast(Fields, found)
    return {name: value for name, value in fields.items() if value is not None}


def checked(fields: Fields, kind: type[B]) -> B:
    """Return fields as a body of a kind; raises RefusedError that names the field at fault."""
    fields = {name: value for name, value in fields.items() if not _is_neutral(name, value)}
    for name in _NEUTRAL:
        if name in fields and name not in kind.__struct_fields__:
            raise RefusedError(
                f"{name} cannot be honoured with a profile: leave it out", param=name
            )
    try:
        return msgspec.convert(_without_nulls(fields), kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise _refusal(str(error), kind) from None


def _refusal(text: str, kind: type[msgspec.Struct]) -> RefusedError:
    """Return what is said of a body that msgspec refuses with these words."""
    path = _PATH.search(text)
    at = path[1].split(".")[0] if path else ""
    if unknown := _UNKNOWN.search(text):
        name = unknown[1][:_SHOWN]
        param = f"{at}.{name}" if at else name
        hint = did_you_mean(name, _names(kind, at), prefix=at and f"{at}.")
        return RefusedError(f"there is no field {param} to honour{hint}", param=param)
    missing = _MISSING.search(text)
    param = at or (missing[1] if missing else None)
    return RefusedError(f"the body is not as it must be: {text}", param=param)


def _names(kind: type[msgspec.Struct], at: str) -> tuple[str, ...]:
    """Return the names of the fields of a body, or of the object that one of them holds."""
    for field in msgspec.structs.fields(kind):
        for held in get_args(field.type) if field.encode_name == at else ():
            if isinstance(held, type) and issubclass(held, msgspec.Struct):
                return held.__struct_encode_fields__
    return kind.__struct_encode_fields__


def _is_neutral(name: str, value: object) -> bool:
    """Whether a field asks for nothing; false is no number here."""
    return any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
        for neutral in _NEUTRAL.get(name, ())
    )


def _without_nulls(fields: Fields) -> Fields:
    """Drop the nulls of our own extension and of the stream's options, too."""
    nested = ("ttc", "stream_options")
    return {
        name: {k: v for k, v in cast(Fields, value).items() if v is not None}
        if name in nested and isinstance(value, dict)
        else value
        for name, value in fields.items()
    }


def same_cap(one: int | None, other: int | None, names: str) -> int | None:
    """Return the limit that two fields of one meaning set; raises RefusedError if they differ."""
    if one is not None and other is not None and one != other:
        raise RefusedError(
            f"{names} mean the same, and are {one} and {other}", param=names.split()[-1]
        )
    return other if one is None else one


def stops(stop: str | list[str] | None) -> tuple[str, ...]:
    """Return the strings that end a completion; raises RefusedError for an empty one."""
    found = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if not all(found):
        raise RefusedError(
            "stop holds an empty string, at which every completion would end", param="stop"
        )
    return found
