"""The scoring protocol, version 1: `POST /score`, as client and servers speak it.

A request holds one problem, the steps that all items share and are already scored, and the
items: for each the steps to score. The reply holds one probability per step of each item.
`openapi()` describes it for other implementations. Knows nothing of how scores are computed.
"""

from typing import Annotated, Any

import msgspec

VERSION = 1

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
"""A count of tokens; small enough to be exact as a double in other languages."""


class ScoreCall(msgspec.Struct, forbid_unknown_fields=True):
    """What the client sends.

    `items` are continuations of `prefix`; each step is given without its trailing delimiter.
    """

    problem: str
    items: list[list[str]]
    prefix: list[str] = []
    version: int = VERSION


class ScoreUsage(msgspec.Struct):
    """Tokens that the PRM was given, and how many of those its cache already held."""

    prompt_tokens: Count = 0
    cached_tokens: Count = 0


class ScoreReply(msgspec.Struct):
    """What the server answers: `scores[i][j]` in [0, 1] for step j of item i."""

    scores: list[list[float]]
    usage: ScoreUsage = msgspec.field(default_factory=ScoreUsage)
    version: int = VERSION


class ErrorDetail(msgspec.Struct):
    """Why a request failed, for a person to read."""

    message: str


class ErrorReply(msgspec.Struct):
    """The body of every answer that is not 200."""

    error: ErrorDetail


def openapi() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the protocol."""
    (call, reply, error), schemas = msgspec.json.schema_components(
        [ScoreCall, ScoreReply, ErrorReply], ref_template="#/components/schemas/{name}"
    )

    def content(schema: dict[str, Any]) -> dict[str, Any]:
        return {"content": {"application/json": {"schema": schema}}}

    failures = {
        "400": "A malformed request, or one longer than the model's context",
        "401": "A missing or wrong API key",
        "503": "The server is full; Retry-After says when to come back",
    }
    responses = {code: {"description": text, **content(error)} for code, text in failures.items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Process reward model scoring", "version": str(VERSION)},
        "paths": {
            "/score": {
                "post": {
                    "operationId": "score",
                    "summary": "Score the steps of several continuations of one partial solution",
                    "requestBody": {"required": True, **content(call)},
                    "responses": {
                        "200": {"description": "One score per step", **content(reply)},
                        **responses,
                    },
                }
            }
        },
        "components": {"schemas": schemas},
    }
