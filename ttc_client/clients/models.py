"""What a server lists at its `/models`: which model is meant, what it reads, and where the API is.

Knows nothing of what the model is asked.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from ttc_client.clients.http import Server
from ttc_client.errors import ConfigError, ProtocolError, RequestError, ServerError

NOT_OFFERED = (404, 405, 501)

_WRITES_NOTHING = re.compile(
    r"embed|rerank|moderation|whisper|(^|[-_/])(bge|gte|e5|tts|clip|colbert|minilm|asr)([-_.]|$)|"
    r"dall-?e|diffusion",
    re.IGNORECASE,
)

_LOG = logging.getLogger(__name__)


class _Model(msgspec.Struct):
    """`parent` is the base model of an adapter, whose context it shares; `type` is LM Studio's."""

    id: str
    max_model_len: int | None = None
    parent: str | None = None
    type: str | None = None

    @property
    def writes(self) -> bool:
        """Whether it generates text, as far as its name and type tell."""
        return not any(_WRITES_NOTHING.search(said) for said in (self.id, self.type or ""))


class _Models(msgspec.Struct):
    data: list[_Model]


class _Written(msgspec.Struct):
    """That the answer to a completion was one."""

    choices: list[Any]


async def served_model(server: Server, wanted: str | None) -> tuple[str, int | None]:
    """Return the name and context length of the model that an OpenAI-style server offers.

    Raises ConfigError if it does not offer the model `wanted`; None takes the first.
    """
    return _chosen(server, await _models(server), wanted)


async def served_policy(server: Server, wanted: str | None) -> tuple[Server, str, int | None]:
    """Do the same for a model that writes: others are passed over, and the choice is said.

    The server comes back with the place of its API: below `/v1`, or right below its URL.
    """
    server, models = await _found(server)
    if wanted is not None:
        if all(model.id != wanted for model in models):
            await _insist(server, models, wanted)
            return server, wanted, None
        return server, *_chosen(server, models, wanted)
    writing = [model for model in models if model.writes]
    if models and not writing:
        raise ConfigError(
            f"{server.url} serves {_listed(models)}, of which none seems to write text: name the "
            "policy with --model"
        )
    name, context_length = _chosen(server, models, writing[0].id if writing else None)
    if len(models) > 1:
        said = "%s serves %s: %s is taken; --model names another"
        _LOG.warning(said, server.url, _listed(models), name)
    return server, name, context_length


async def find_api(server: Server, model: str) -> tuple[Server, int | None]:
    """Return the server with the place of its API, and what a model reads there.

    The server as it is, and None, for what it does not list.
    """
    try:
        server, models = await _found(server)
    except ServerError:
        return server, None
    return server, next((_context_length(one, models) for one in models if one.id == model), None)


async def lists(server: Server, name: str) -> bool:
    """Return whether a server lists a model by this name, by one request; raises ServerError."""
    try:
        return any(model.id == name for model in await _models(server))
    except (RequestError, ProtocolError):
        return False


async def _insist(server: Server, models: Sequence[_Model], wanted: str) -> None:
    """Raise ConfigError unless a server that lists other names answers to this one.

    As routers do that list no name, or one of their own.
    """
    payload = {"model": wanted, "prompt": "1", "max_tokens": 1}
    try:
        await server.post(f"{server.api}/completions", payload, _Written)
    except (RequestError, ProtocolError) as refusal:
        raise _not_served(server, models, wanted) from refusal
    _LOG.warning("%s lists %s and answers to %s", server.url, _listed(models), wanted)


async def _found(server: Server) -> tuple[Server, Sequence[_Model]]:
    try:
        return server, await _models(server)
    except (RequestError, ProtocolError) as error:
        if isinstance(error, RequestError) and error.status not in NOT_OFFERED:
            raise
        as_it_stands = replace(server, api="")
        try:
            return as_it_stands, await _models(as_it_stands)
        except (RequestError, ProtocolError):
            raise error from None


async def _models(server: Server) -> Sequence[_Model]:
    return (await server.get(f"{server.api}/models", _Models)).data


def _chosen(server: Server, models: Sequence[_Model], wanted: str | None) -> tuple[str, int | None]:
    for model in models:
        if wanted in (None, model.id):
            return model.id, _context_length(model, models)
    raise _not_served(server, models, wanted)


def _not_served(server: Server, models: Sequence[_Model], wanted: str | None) -> ConfigError:
    return ConfigError(f"model is {wanted!r}, but {server.url} serves {_listed(models)}")


def _context_length(model: _Model, models: Sequence[_Model]) -> int | None:
    """Return what a model reads; an adapter reads what its base model does."""
    by_name = {one.id: one for one in models}
    seen: list[_Model] = []
    while model.max_model_len is None and model.parent in by_name and model not in seen:
        seen.append(model)
        model = by_name[model.parent]
    return model.max_model_len


def _listed(models: Sequence[_Model]) -> str:
    return ", ".join(model.id for model in models) or "nothing"
