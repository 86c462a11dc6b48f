"""Servers of a family that is in no table: its own template, its own marks of thoughts."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from tests.fakes.scripted_server import Handler, models
from tests.fakes.tgi_server import tgi
from tests.search.thinkers import Thinker, text_of, tokens
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Step, Trajectory

NAME = "acme/Muse-9B"
BEGIN = "<|answer|>"


def render(turns: Sequence[dict[str, str]]) -> str:
    """Return the family's prompt up to the answer."""
    return "".join(f"<|{turn['role']}|>{turn['content']}" for turn in turns) + BEGIN


def _write(thinker: Thinker, prompt: str, payload: dict[str, Any], most: int) -> Step:
    written = prompt.rpartition(BEGIN)[2]
    begin = thinker.shape.root
    steps = (Step(written, "stop", 1),) if written else ()
    stop = tuple(payload.get("stop") or ())
    trajectory = Trajectory(begin.prompt, steps)
    return thinker.step(SampleRequest(trajectory, 1, 0.8, 1.0, most, stop, None))


def _choice(step: Step, stop: Sequence[str] | None) -> dict[str, Any]:
    named = next((one for one in stop or () if step.text.endswith(one)), None)
    reason = "length" if step.finish == "length" else "stop"
    return {
        "text": step.text,
        "finish_reason": reason,
        "stop_reason": named if step.finish == "stop" else None,
    }


def vllm(thinker: Thinker) -> dict[str, Handler]:
    """Take token ids, and give them."""

    def tokenize(payload: dict[str, Any]) -> dict[str, Any]:
        text = render(payload["messages"]) if "messages" in payload else payload["prompt"]
        text += thinker.shape.prompt_end if "messages" in payload else ""
        return {"tokens": tokens(text), "max_model_len": 4096}

    def complete(payload: dict[str, Any]) -> dict[str, Any]:
        prompt = text_of(payload["prompt"])
        prompt = prompt.replace(BEGIN + thinker.shape.prompt_end, BEGIN)
        step = _write(thinker, prompt, payload, payload["max_tokens"])
        choice = _choice(step, payload["stop"]) | {"token_ids": step.token_ids}
        choice["prompt_token_ids"] = payload["prompt"]
        choices = [choice | {"index": i} for i in range(payload["n"])]
        used = {"prompt_tokens": 1, "completion_tokens": step.num_tokens * payload["n"]}
        return {"choices": choices, "usage": used}

    return {
        "/v1/models": models(NAME),
        "/tokenize": tokenize,
        "/detokenize": lambda payload: {"prompt": text_of(payload["tokens"])},
        "/v1/completions": complete,
    }


def openai(thinker: Thinker) -> dict[str, Handler]:
    """Take text; the template is applied by the server."""

    def complete(payload: dict[str, Any]) -> dict[str, Any]:
        prompt = payload["prompt"].replace(BEGIN + thinker.shape.prompt_end, BEGIN)
        step = _write(thinker, prompt, payload, payload["max_tokens"])
        choices = [_choice(step, payload["stop"]) | {"index": i} for i in range(payload["n"])]
        used = {"prompt_tokens": 1, "completion_tokens": step.num_tokens * payload["n"]}
        return {"choices": choices, "usage": used}

    def apply(payload: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": render(payload["messages"]) + thinker.shape.prompt_end}

    return {
        "/v1/models": models(NAME),
        "/apply-template": apply,
        "/v1/completions": complete,
    }


def of_tgi(thinker: Thinker) -> dict[str, Handler]:
    """Take text, a continuation at a time."""

    def generate(payload: dict[str, Any]) -> dict[str, Any]:
        asked = payload["parameters"]
        prompt = payload["inputs"].replace(BEGIN + thinker.shape.prompt_end, BEGIN)
        step = _write(thinker, prompt, asked, asked["max_new_tokens"])
        reasons = {"stop": "stop_sequence", "eos": "eos_token", "length": "length"}
        details = {
            "finish_reason": reasons[step.finish],
            "generated_tokens": step.num_tokens,
            "prefill": [],
            "tokens": [],
        }
        return {"generated_text": step.text, "details": details}

    def in_family(payload: dict[str, Any]) -> str:
        return render(payload["messages"]) + thinker.shape.prompt_end

    return tgi(generate, model=NAME, render=in_family)


def chat(thinker: Thinker) -> dict[str, Handler]:
    """Take conversations alone; thoughts stand in a field of their own."""

    def complete(payload: dict[str, Any]) -> dict[str, Any] | web.Response:
        step = _write(thinker, BEGIN, payload, payload["max_tokens"])
        thought, _, answer = step.text.rpartition(thinker.shape.ending)
        said = {
            "content": answer,
            "reasoning": thought.removeprefix(thinker.shape.opening) or None,
        }
        reason = "length" if step.finish == "length" else "stop"
        made = [{"index": i, "message": said, "finish_reason": reason} for i in range(payload["n"])]
        used = {"prompt_tokens": 1, "completion_tokens": step.num_tokens * payload["n"]}
        return {"choices": made, "usage": used}

    return {"/v1/models": models(NAME), "/v1/chat/completions": complete}
