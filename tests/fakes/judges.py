"""A chat server that judges: what it says is scripted, in each of the shapes that servers have."""

from collections.abc import Callable
from math import log
from typing import Any

from aiohttp import web

from tests.fakes.scripted_server import Handler, models, tokenize

Say = Callable[[str, dict[str, Any]], Any]
"""Replies to a prompt, given the whole request too: a text, or tokens with their alternatives."""


def chat_judge(say: Say, *, logprobs: bool = False) -> dict[str, Handler]:
    """Offer chat alone, with log-probabilities of the tokens or without."""

    def chat(payload: dict[str, Any]) -> Any:
        said = say(payload["messages"][-1]["content"], payload)
        if isinstance(said, web.Response):
            return said
        tokens = said if isinstance(said, list) else [(said, {})]
        content = [
            {
                "token": text,
                "logprob": top.get(text, -0.1),
                "top_logprobs": [{"token": t, "logprob": logp} for t, logp in top.items()],
            }
            for text, top in tokens
        ]
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(text for text, _ in tokens)},
            "logprobs": {"content": content} if logprobs else None,
            "finish_reason": "stop",
        }
        usage = {"prompt_tokens": 9, "completion_tokens": 5, "total_tokens": 14}
        return {"choices": [choice], "usage": usage}

    return {"/v1/models": models("judge"), "/v1/chat/completions": chat}


def token_judge(p_good: Callable[[str], float | None]) -> dict[str, Handler]:
    """Take token ids and give the log-probabilities of chosen tokens, as vLLM does."""

    def complete(payload: dict[str, Any]) -> Any:
        prompt = "".join(map(chr, payload["prompt"]))
        good, bad = payload["logprob_token_ids"]
        share = p_good(prompt)
        top: dict[str, float | None] = {"token_id:0": -0.1}
        if share is not None:
            top |= {f"token_id:{good}": log(share) - 3, f"token_id:{bad}": log(1 - share) - 3}
        choice = {"index": 0, "text": "?", "logprobs": {"top_logprobs": [top]}}
        return {"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}

    return {"/v1/models": models("judge"), "/tokenize": tokenize, "/v1/completions": complete}
