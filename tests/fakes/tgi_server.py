"""A TGI server built from its published OpenAPI document: it checks what it is asked and says."""

from collections.abc import Callable
from typing import Any

from tests.fakes.openapi import checked
from tests.fakes.scripted_server import Handler
from tests.fakes.templates import apply_template

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
    documented = {"/info": lambda _: info, "/tokenize": tokenize, "/generate": generate_seeded}
    return checked("tgi_openapi.json", documented) | {
        "/chat_tokenize": lambda payload: {
            "templated_text": render(payload),
            "tokenize_response": [],
        },
    }


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
