"""Scripted replies that keep to a server's published OpenAPI document, in requests and answers.

The documents beside this file hold the paths that the clients use and their schemas, word for
word: text-generation-inference 3.3.6-dev0, text-embeddings-inference 1.9.3 (both Apache-2.0).
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web
from jsonschema import Draft202012Validator

from tests.fakes.scripted_server import Handler

Document = dict[str, Any]


def checked(document: str, handlers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Handler]:
    """Refuse what a document does not allow, as the server would, and never answer otherwise."""
    said = json.loads(Path(__file__).with_name(document).read_text())
    return {path: _checked(said, path, handler) for path, handler in handlers.items()}


def _checked(document: Document, path: str, handler: Callable[[Any], Any]) -> Handler:
    (operation,) = document["paths"][path].values()
    answer = _validator(document, operation["responses"]["200"])
    request = _validator(document, operation["requestBody"]) if "requestBody" in operation else None

    def reply(payload: Any) -> web.StreamResponse:
        if request and (wrong := next(request.iter_errors(payload), None)):
            body = {"error": f"Input validation error: {wrong.message}", "error_type": "validation"}
            return web.json_response(body, status=422)
        said = handler(payload)
        if isinstance(said, web.StreamResponse):
            return said
        answer.validate(said)
        return web.json_response(said)

    return reply


def _validator(document: Document, content: Document) -> Draft202012Validator:
    schema = content["content"]["application/json"]["schema"]
    components = {"components": document["components"]}
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
