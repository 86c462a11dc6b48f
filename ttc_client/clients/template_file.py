"""A chat template in a file, or in a directory of a tokenizer, rendered in Jinja's sandbox."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import msgspec

from ttc_client.clients.templates import as_chat, folded
from ttc_client.errors import ConfigError, ExtraError
from ttc_client.files import read_small
from ttc_client.types import Message

_CONFIG, _TEMPLATE = "tokenizer_config.json", "chat_template.jinja"
_DEFAULT = "default"

Template = Callable[[Sequence[Message], Mapping[str, Any]], str]


def read_template(chat_template: str | None, tokenizer: str | None) -> Template | None:
    """Return what renders by the template in a file, or else by that of a tokenizer; None for none.

    Raises ConfigError for what cannot be read or compiled, and ExtraError where Jinja is missing.
    """
    if chat_template:
        path = Path(chat_template)
        return _compiled(path, _text(path, "chat_template"), {})
    if not tokenizer:
        return None
    directory = Path(tokenizer)
    config = _config(directory)
    tokens = {name: _token(config.get(name)) for name in ("eos_token", "pad_token", "unk_token")}
    if (file := directory / _TEMPLATE).exists():
        return _compiled(file, _text(file, "tokenizer"), tokens)
    source = _default(config.get("chat_template"))
    if source is None:
        raise ConfigError(
            f"tokenizer is {directory}: its {_CONFIG} has no chat_template; name one with "
            "--chat-template FILE"
        )
    return _compiled(directory / _CONFIG, source, tokens)


def _text(path: Path, setting: str) -> str:
    try:
        return read_small(path).decode()
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting} is {path}, which cannot be read: {error}") from error


def _config(directory: Path) -> dict[str, Any]:
    path = directory / _CONFIG
    try:
        return msgspec.json.decode(_text(path, "tokenizer"), type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(f"tokenizer is {directory}: {path} is not JSON: {error}") from error


def _token(said: object) -> str:
    """Return a special token, which is a string or an object with its content."""
    if isinstance(said, dict):
        said = cast(dict[str, object], said).get("content")
    return said if isinstance(said, str) else ""


def _default(said: object) -> str | None:
    """Return the default of the templates that a tokenizer has, which may be one or a list."""
    if isinstance(said, list):
        listed = cast(list[object], said)
        named = [cast(dict[str, object], one) for one in listed if isinstance(one, dict)]
        said = next((one.get("template") for one in named if one.get("name") == _DEFAULT), None)
    return said if isinstance(said, str) else None


def _compiled(path: Path, source: str, tokens: Mapping[str, str]) -> Template:
    try:
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment
    except ImportError:
        raise ExtraError("a chat template of one's own needs", "template") from None
    environment: Any = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = _now
    try:
        template = environment.from_string(source)
    except (TemplateError, RecursionError, SyntaxError) as error:  # Python nests less than Jinja
        raise ConfigError(f"the chat template in {path} is not one: {error}") from error

    def render(messages: Sequence[Message], kwargs: Mapping[str, Any]) -> str:
        known = {"bos_token": "", **tokens, "add_generation_prompt": True, **kwargs}
        try:
            return template.render(messages=as_chat(messages), **known)
        except Exception as error:  # a template may fail in any way that Python has
            if (without_system := folded(messages)) != tuple(messages):
                return render(without_system, kwargs)
            raise ConfigError(f"the chat template in {path} fails: {error}") from error

    return render


def _to_json(value: object, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _now(form: str) -> str:
    return datetime.now().strftime(form)


def _refuse(message: str) -> None:
    raise ValueError(message)
