"""The servers that a policy may run in, each scripted to answer in its own words."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from tests.fakes.scripted_server import Handler, completions, logprobs, models, tokenize
from tests.fakes.templates import apply_template, messages_of
from tests.fakes.tgi_server import generated, tgi
from ttc_client.clients.prompts import render_llama3
from ttc_client.types import Finish

HEADER = "<|start_header_id|>"

Write = Callable[[int | None], tuple[str, Finish]]
"""Write the continuation for a seed."""


@dataclass(frozen=True)
class Asked:
    """One continuation that a server was asked for, however it was put."""

    text: str
    seed: int | None
    temperature: float
    max_tokens: int


@dataclass(frozen=True)
class PolicyServer:
    """What a server answers by path, and how to read what it was asked for on its main one."""

    api: str
    path: str
    replies: Callable[[Write], dict[str, Handler]]
    read: Callable[[dict[str, Any]], list[Asked]]


def _seeds(payload: dict[str, Any]) -> list[int | None]:
    seed = payload.get("seed")
    return [None if seed is None else seed + i for i in range(payload.get("n") or 1)]


def _read_openai(payload: dict[str, Any]) -> list[Asked]:
    prompt = payload["prompt"]
    if isinstance(prompt, list):
        assert prompt[0] == 1
        prompt = "".join(map(chr, prompt[1:])).replace("\x02", HEADER)
    return [
        Asked(prompt, seed, payload["temperature"], payload["max_tokens"])
        for seed in _seeds(payload)
    ]


def _read_tgi(payload: dict[str, Any]) -> list[Asked]:
    given = payload["parameters"]
    temperature = given["temperature"] if given["do_sample"] else 0.0
    return [Asked(payload["inputs"], given.get("seed"), temperature, given["max_new_tokens"])]


def _vllm(write: Write) -> dict[str, Handler]:
    def say(payload: dict[str, Any], i: int) -> tuple[str, str, Any]:
        text, finish = write(_seeds(payload)[i])
        return text, "length" if finish == "length" else "stop", "\n\n" * (finish == "stop") or None

    return {
        "/v1/models": models(),
        "/tokenize": tokenize,
        "/v1/completions": completions(say),
    }


def _vllm_as_text(write: Write) -> dict[str, Handler]:
    """Answer as vLLM, which renders to tokens and turns tokens back into text."""

    def tokens(payload: dict[str, Any]) -> Any:
        if "messages" not in payload:
            return tokenize(payload)
        return tokenize({"prompt": render_llama3(messages_of(payload))})

    def text(payload: dict[str, Any]) -> Any:
        read = "".join(map(chr, payload["tokens"])).replace("\x02", HEADER)
        return {"prompt": read.replace("\x01", "<|begin_of_text|>", 1)}

    return _vllm(write) | {"/tokenize": tokens, "/detokenize": text}


def _sglang(write: Write) -> dict[str, Handler]:
    """Name what matched, cut the stop string off, and give the end-of-sequence token as an int."""

    def complete(payload: dict[str, Any]) -> dict[str, Any]:
        said = [write(seed) for seed in _seeds(payload)]
        matched = {"stop": "\n\n", "eos": 128009, "length": None}
        choices = [
            {
                "index": i,
                "text": text.removesuffix("\n\n") if finish == "stop" else text,
                "logprobs": logprobs(text, payload.get("logprobs")),
                "finish_reason": "length" if finish == "length" else "stop",
                "matched_stop": matched[finish],
            }
            for i, (text, finish) in enumerate(said)
        ]
        tokens = sum(len(text) for text, _ in said)
        usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
        return {
            "id": "x",
            "object": "text_completion",
            "created": 1,
            "model": "model",
            "choices": choices,
            "usage": usage,
        }

    served = {"/v1/models": models(), "/v1/completions": complete}
    return served | {"/apply-template": apply_template}


def llama_cpp(write: Write) -> dict[str, Handler]:
    """Refuse several choices, never say what stopped one, and write on unless hung up on."""

    def complete(payload: dict[str, Any]) -> Any:
        if payload.get("n", 1) != 1:
            message = "Only one completion choice is allowed"
            error = {"code": 500, "message": message, "type": "server_error"}
            return web.json_response({"error": error}, status=500)
        text, finish = write(payload.get("seed"))
        reason = "length" if finish == "length" else "stop"
        if payload.get("stream"):
            written = text + "more\n\n" * (finish == "stop" and not payload.get("stop"))
            chunks = [(piece, None) for piece in written] + [("", reason)]
            top = payload.get("logprobs")
            lines = [f"data: {json.dumps(_completion(*chunk, top))}\n\n" for chunk in chunks]
            body = "".join(lines) + "data: [DONE]\n\n"
            return web.Response(text=body, content_type="text/event-stream")
        usage = {"prompt_tokens": 7, "completion_tokens": len(text), "total_tokens": 7 + len(text)}
        cut = text.removesuffix("\n\n") if finish == "stop" else text
        return _completion(cut, reason, payload.get("logprobs")) | {"usage": usage}

    served = {"/v1/models": models(), "/v1/completions": complete}
    return served | {"/apply-template": apply_template}


def _completion(text: str, reason: str | None, top: int | None) -> dict[str, Any]:
    choice = {
        "index": 0,
        "text": text,
        "logprobs": logprobs(text, top),
        "finish_reason": reason,
    }
    return {
        "id": "x",
        "object": "text_completion",
        "created": 1,
        "model": "model",
        "choices": [choice],
    }


def _tgi(write: Write) -> dict[str, Handler]:
    reasons = {"stop": "stop_sequence", "eos": "eos_token", "length": "length"}

    def generate(payload: dict[str, Any]) -> dict[str, Any]:
        text, finish = write(payload["parameters"].get("seed"))
        top = payload["parameters"].get("top_n_tokens")
        likeliest = {chr(ord("a") + rank): -0.5 - rank for rank in range(top)} if top else None
        said = generated(text, reasons[finish], top=likeliest)
        if likeliest:
            said["details"]["top_tokens"] *= len(text)
        return said

    return tgi(generate)


POLICY_SERVERS = {
    "vllm": PolicyServer("vllm", "/v1/completions", _vllm, _read_openai),
    "vllm-as-text": PolicyServer("openai", "/v1/completions", _vllm_as_text, _read_openai),
    "sglang": PolicyServer("openai", "/v1/completions", _sglang, _read_openai),
    "llama.cpp": PolicyServer("openai", "/v1/completions", llama_cpp, _read_openai),
    "tgi": PolicyServer("tgi", "/generate", _tgi, _read_tgi),
}
