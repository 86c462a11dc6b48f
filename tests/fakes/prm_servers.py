"""The servers that a PRM may run in, each scripted to answer in its own words."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.fakes.openapi import checked
from tests.fakes.scripted_server import Handler, models, tokenize
from tests.fakes.tgi_server import generated, tgi
from ttc_client.clients.prompts import QWEN_PRM_MARKER

HEADER = "<|start_header_id|>"
GOOD, BAD = ord("+"), ord("-")

Payload = dict[str, Any]
Judge = Callable[[str], float]
"""Score a step by the text up to its end."""


@dataclass(frozen=True)
class PRMServer:
    """What a server answers by path, and how to read what its main path was asked to judge.

    `spoil` takes one score out of an answer. A server that sends logprobs is `bounded`: it has
    no way to send anything but a probability.
    """

    api: str
    path: str
    replies: Callable[[Judge], dict[str, Handler]]
    read: Callable[[Payload], list[str]]
    spoil: Callable[[Any], object]
    form: str = "auto"
    outcome: bool = False
    bounded: bool = False
    batches: bool = True


def text_of(ids: list[int]) -> str:
    """Return the text that `scripted_server.tokenize` reads as these ids, without BOS."""
    return "".join(map(chr, ids[ids[:1] == [1] :])).replace("\x02", HEADER)


def _generative(judge: Judge) -> dict[str, Handler]:
    def score(payload: Payload) -> Payload:
        assert payload["label_token_ids"] == [GOOD, BAD]
        scores = [judge(payload["query"] + item) for item in payload["items"]]
        data = [{"index": i, "object": "score", "score": s} for i, s in enumerate(scores)]
        return {"data": data[::-1], "usage": {"prompt_tokens": 9}}

    return {"/v1/models": models(), "/tokenize": tokenize, "/generative_scoring": score}


def _completions(judge: Judge) -> dict[str, Handler]:
    def choice(index: int, prompt: str) -> Payload:
        good = judge(prompt)
        logprobs = {f"token_id:{GOOD}": math.log(good), f"token_id:{BAD}": math.log(1 - good)}
        return {"index": index, "text": "+", "logprobs": {"top_logprobs": [logprobs]}}

    def complete(payload: Payload) -> Payload:
        choices = [choice(i, prompt) for i, prompt in enumerate(payload["prompt"])]
        return {"choices": choices[::-1], "usage": {"prompt_tokens": 9}}

    return {"/v1/models": models(), "/tokenize": tokenize, "/v1/completions": complete}


def _token_classify(judge: Judge) -> dict[str, Handler]:
    def pool(payload: Payload) -> Payload:
        data = [
            {"index": i, "data": [[judge(text_of(ids[: end + 1]))] for end in range(len(ids))]}
            for i, ids in enumerate(payload["input"])
        ]
        return {"data": data[::-1], "usage": {"prompt_tokens": 9}}

    return {"/v1/models": models(), "/tokenize": tokenize, "/pooling": pool}


def _step_pooling(judge: Judge) -> dict[str, Handler]:
    def rows(text: str) -> list[list[float]]:
        pieces = text.split(QWEN_PRM_MARKER)[:-1]
        texts = [QWEN_PRM_MARKER.join(pieces[: end + 1]) for end in range(len(pieces))]
        return [[1 - judge(text), judge(text)] for text in texts]

    def pool(payload: Payload) -> Payload:
        data = [{"index": i, "data": rows(text)} for i, text in enumerate(payload["input"])]
        return {"data": data[::-1], "usage": {"prompt_tokens": 9}}

    return {"/v1/models": models(), "/pooling": pool}


def _classify(judge: Judge) -> dict[str, Handler]:
    def classify(payload: Payload) -> Payload:
        data = [
            {"index": i, "label": "LABEL_0", "probs": [judge(text_of(ids))], "num_classes": 1}
            for i, ids in enumerate(payload["input"])
        ]
        return {"data": data[::-1], "usage": {"prompt_tokens": 9}}

    return {"/v1/models": models(), "/tokenize": tokenize, "/classify": classify}


def _tgi(judge: Judge) -> dict[str, Handler]:
    def generate(payload: Payload) -> Payload:
        good = judge(payload["inputs"])
        return generated("+", "length", top={"+": math.log(good), "-": math.log(1 - good)})

    return tgi(generate)


def _llama_cpp(judge: Judge) -> dict[str, Handler]:
    """Answer as llama.cpp's server does, which gives one prompt no list, and cuts what it gives."""

    def verdict(index: int, payload: Payload, prompt: str) -> Payload:
        assert payload["logit_bias"] == [[GOOD, 100.0], [BAD, 100.0]]
        good = judge(prompt)
        labels = [{"id": GOOD, "token": "+", "prob": good}, {"id": BAD, "prob": 1 - good}]
        labels.sort(key=lambda label: -label["prob"])
        said = {"index": index, "content": "+", "tokens_evaluated": 9}
        said["completion_probabilities"] = [{"id": GOOD, "prob": good, "top_probs": labels}]
        return {name: said[name] for name in payload["response_fields"]}

    def complete(payload: Payload) -> Any:
        said = [verdict(i, payload, prompt) for i, prompt in enumerate(payload["prompt"])]
        return said if len(said) > 1 else said[0]

    return {
        "/v1/models": models(),
        "/props": lambda _: {"total_slots": 4, "default_generation_settings": {"n_ctx": 4096}},
        "/tokenize": lambda payload: {"tokens": [*map(ord, payload.get("content", ""))]},
        "/completion": complete,
    }


def _spoil_llama_cpp(reply: Any) -> object:
    return (reply[0] if isinstance(reply, list) else reply)["completion_probabilities"].pop()


def _tei(judge: Judge) -> dict[str, Handler]:
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}
    info = {
        "model_id": "reward",
        "served_model_name": "reward",
        "model_dtype": "float16",
        "model_type": {"reranker": labels},
        "max_concurrent_requests": 512,
        "max_input_length": 512,
        "max_batch_tokens": 16384,
        "max_client_batch_size": 32,
        "auto_truncate": False,
        "tokenization_workers": 4,
        "version": "1.9.3",
    }

    def predict(payload: Payload) -> Any:
        texts = [text for (text,) in payload["inputs"]]
        return [[{"score": judge(text), "label": "LABEL_0"}] for text in texts]

    return checked("tei_openapi.json", {"/info": lambda _: info, "/predict": predict})


def _score(judge: Judge) -> dict[str, Handler]:
    def score(payload: Payload) -> Payload:
        scores = [[judge(step) for step in item] for item in payload["items"]]
        return {"scores": scores, "usage": {"prompt_tokens": 9}, "version": 1}

    return {"/score": score}


def _read_score(payload: Payload) -> list[str]:
    steps = [payload["problem"], *payload["prefix"]]
    return [
        "\n\n".join([*steps, *item[: end + 1]])
        for item in payload["items"]
        for end in range(len(item))
    ]


def _read_prompts(payload: Payload) -> list[str]:
    return payload["prompt"]


def _read_items(payload: Payload) -> list[str]:
    return [payload["query"] + item for item in payload["items"]]


def _read_input(payload: Payload) -> list[str]:
    return [text if isinstance(text, str) else text_of(text) for text in payload["input"]]


PRM_SERVERS = {
    "score": PRMServer("score", "/score", _score, _read_score, lambda r: r["scores"][0].pop()),
    "generative-scoring": PRMServer(
        "generative-scoring",
        "/generative_scoring",
        _generative,
        _read_items,
        lambda r: r["data"].pop(),
    ),
    "generative-scoring, Math-Shepherd": PRMServer(
        "generative-scoring",
        "/generative_scoring",
        _generative,
        _read_items,
        lambda r: r["data"].pop(),
        form="math-shepherd",
    ),
    "completions": PRMServer(
        "completions",
        "/v1/completions",
        _completions,
        _read_prompts,
        lambda r: r["choices"].pop(),
        bounded=True,
    ),
    "completions, Math-Shepherd": PRMServer(
        "completions",
        "/v1/completions",
        _completions,
        _read_prompts,
        lambda r: r["choices"].pop(),
        form="math-shepherd",
        bounded=True,
    ),
    "llama-cpp": PRMServer(
        "llama-cpp",
        "/completion",
        _llama_cpp,
        _read_prompts,
        _spoil_llama_cpp,
        bounded=True,
    ),
    "token-classify": PRMServer(
        "token-classify",
        "/pooling",
        _token_classify,
        _read_input,
        lambda r: r["data"][0]["data"].pop(),
    ),
    "step-pooling": PRMServer(
        "step-pooling", "/pooling", _step_pooling, _read_input, lambda r: r["data"].pop()
    ),
    "classify": PRMServer(
        "classify", "/classify", _classify, _read_input, lambda r: r["data"].pop(), outcome=True
    ),
    "tgi": PRMServer(
        "tgi",
        "/generate",
        _tgi,
        lambda payload: [payload["inputs"]],
        lambda r: r["details"]["top_tokens"].pop(),
        bounded=True,
        batches=False,
    ),
    "tei": PRMServer(
        "tei",
        "/predict",
        _tei,
        lambda payload: [text for (text,) in payload["inputs"]],
        lambda r: r.pop(),
        outcome=True,
    ),
}
