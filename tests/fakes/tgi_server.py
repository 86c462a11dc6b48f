"""A TGI server built from its published OpenAPI document: it checks what it is asked and says.

`tgi_openapi.json` holds the document's three paths that the clients use, and their schemas word
for word (text-generation-inference 3.3.6-dev0, Apache-2.0).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from tests.fakes.scripted_server import Handler
from tests.fakes.templates import apply_template

DOCUMENT = json.loads(Path(__file__).with_name("tgi_openapi.json").read_text())

Payload = dict[str, Any]


def tgi(
    generate: Callable[[Payload], Payload],
    *,
    model: str = "llama",
    max_total_tokens: int = 4096,
    max_concurrent_requests: int = 128,
    render: Callable[[Payload], str] = lambda payload: apply_template(payload)["prompt"],
) -> dict[str, Handler]:
    """Answer as TGI does; every character is a token, after a BOS."""

    def tokenize(payload: Payload) -> list[Payload]:
        ids = [(1, ""), *((ord(character), character) for character in payload["inputs"])]
        return [
            {"id": id_, "text": text, "start": i, "stop": i + len(text)}
            for i, (id_, text) in enumerate(ids)
        ]

    def generate_seeded(payload: Payload) -> Payload:
        said = generate(payload)
        said["details"]["seed"] = payload["parameters"].get("seed")
        return said

    info = {
        "model_id": model,
        "max_concurrent_requests": max_concurrent_requests,
        "max_best_of": 2,
        "max_stop_sequences": 4,
        "max_input_tokens": max_total_tokens - 1,
        "max_total_tokens": max_total_tokens,
        "validation_workers": 2,
        "max_client_batch_size": 4,
        "router": "text-generation-router",
        "version": "3.3.6-dev0",
    }
    return {
        "/info": _checked("/info", lambda _: info),
        "/tokenize": _checked("/tokenize", tokenize),
        "/chat_tokenize": lambda payload: {
            "templated_text": render(payload),
            "tokenize_response": [],
        },
        "/generate": _checked("/generate", generate_seeded),
    }


def _checked(path: str, handler: Callable[[Payload], Any]) -> Handler:
    """Refuse what the document does not allow, as TGI would, and never answer otherwise."""
    (operation,) = DOCUMENT["paths"][path].values()
    answer = _validator(operation["responses"]["200"])
    request = _validator(operation["requestBody"]) if "requestBody" in operation else None

    def reply(payload: Any) -> web.Response:
        if request and (wrong := next(request.iter_errors(payload), None)):
            body = {"error": f"Input validation error: {wrong.message}", "error_type": "validation"}
            return web.json_response(body, status=422)
        said = handler(payload)
        answer.validate(said)
        return web.json_response(said)

    return reply


def _validator(content: dict[str, Any]) -> Draft202012Validator:
    schema = content["content"]["application/json"]["schema"]
    components = {"components": DOCUMENT["components"]}
    return Draft202012Validator(_json_schema(components | schema))


def _json_schema(node: Any) -> Any:
    """Turn OpenAPI 3.0 into JSON Schema, in which no object has fields that it does not name."""
    if isinstance(node, list):
        return [_json_schema(member) for member in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _json_schema(value) for key, value in node.items() if key != "example"}
    if node.get("type") == "object" and "properties" in node:
        schema["additionalProperties"] = False
    return {"anyOf": [schema, {"type": "null"}]} if node.get("nullable") is True else schema


def generated(text: str, finish: str = "eos_token", *, top: dict[str, float] | None = None) -> Any:
    """Return what TGI says of a text, and of the likeliest first tokens by their logprobs."""

    def token(text: str, logprob: float) -> Payload:
        return {"id": ord(text[-1]), "text": text, "logprob": logprob, "special": False}

    details = {
        "finish_reason": finish,
        "generated_tokens": len(text),
        "prefill": [],
        "seed": None,
        "tokens": [token(character, -0.5) for character in text],
    }
    if top is not None:
        details["top_tokens"] = [[token(text, logprob) for text, logprob in top.items()]]
    return {"generated_text": text, "details": details}
