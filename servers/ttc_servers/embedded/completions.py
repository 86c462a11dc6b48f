"""`POST /v1/completions`: from the request's JSON to a job, and from the job to the reply."""

import itertools
import time
import uuid
from typing import Any

import numpy as np

from ttc_servers.embedded.jobs import Generated, Job, StopRules
from ttc_servers.embedded.protocol import CompletionCall, RequestError, prompt_list
from ttc_servers.embedded.sampling import SamplingParams
from ttc_servers.embedded.tokenizer import Tokenizer
from ttc_servers.embedded.weights import Array, LlamaConfig

MAX_PROMPTS = 1024


def to_jobs(call: CompletionCall, tokenizer: Tokenizer, config: LlamaConfig) -> list[Job]:
    """Return one job per prompt, with `n` sequences each; raise RequestError if it cannot be."""
    _check(call, config)
    prompts = [
        tokenizer.encode(prompt, call.add_special_tokens) if isinstance(prompt, str) else prompt
        for prompt in prompt_list(call.prompt, "prompt")
    ]
    if len(prompts) > MAX_PROMPTS:
        raise RequestError(f"{len(prompts)} prompts; at most {MAX_PROMPTS}", param="prompt")
    for prompt in prompts:
        check_length(prompt, config)
        check_ids(prompt, config, "prompt")
    return [_job(call, prompt, config) for prompt in prompts]


def check_length(prompt: list[int], config: LlamaConfig) -> None:
    """Raise RequestError unless the prompt and one more token fit into the model."""
    if not prompt:
        raise RequestError("The prompt must hold at least one token.", param="prompt")
    limit = config.max_position_embeddings
    if len(prompt) >= limit:
        raise RequestError(
            f"This model's maximum context length is {limit} tokens. However, your prompt "
            f"contains {len(prompt)} input tokens, which exceeds this limit even without any "
            "output tokens. Please reduce the length of the input prompt.",
            param="input_tokens",
        )


def check_ids(ids: list[int], config: LlamaConfig, param: str) -> None:
    """Raise RequestError unless all ids are in the model's vocabulary."""
    for token_id in ids:
        if not 0 <= token_id < config.vocab_size:
            raise RequestError(
                f"Token id {token_id} is out of vocabulary [0, {config.vocab_size}).", param=param
            )


def reply(call: CompletionCall, jobs: list[Job], model: str, tokenizer: Tokenizer) -> Any:
    """Return the reply to a request whose jobs have ended; choices come prompt by prompt."""
    sequences = [sequence for job in jobs for sequence in job.sequences]
    choices = [_choice(call, i, sequence, tokenizer) for i, sequence in enumerate(sequences)]
    return {
        "id": f"cmpl-{uuid.uuid4().hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "usage": usage(jobs, sum(sequence.num_generated for sequence in sequences)),
    }


def usage(jobs: list[Job], num_generated: int) -> dict[str, Any]:
    """Return the token counts of jobs that have ended, as vLLM reports them."""
    num_prompt = sum(job.num_prompt_tokens for job in jobs)
    return {
        "prompt_tokens": num_prompt,
        "completion_tokens": num_generated,
        "total_tokens": num_prompt + num_generated,
        "prompt_tokens_details": {"cached_tokens": sum(job.num_cached_tokens for job in jobs)},
    }


def _check(call: CompletionCall, config: LlamaConfig) -> None:
    limit = config.max_position_embeddings
    stops = [call.stop] if isinstance(call.stop, str) else call.stop or []
    refused = {
        "stream": (call.stream, "streaming is not supported by the embedded server"),
        "echo": (call.echo, "echo is not supported by the embedded server"),
        "n": (
            call.n > 1 and call.temperature == 0,
            f"n must be 1 when using greedy sampling, got {call.n}.",
        ),
        "max_tokens": (
            (call.max_tokens or 0) > limit,
            f"max_tokens={call.max_tokens} cannot be greater than the model's {limit} tokens.",
        ),
        "stop": (not all(stops), "stop cannot contain an empty string."),
    }
    for param, (bad, message) in refused.items():
        if bad:
            raise RequestError(message, param=param)
    check_ids(call.stop_token_ids or [], config, "stop_token_ids")
    check_ids(call.logprob_token_ids or [], config, "logprob_token_ids")


def _job(call: CompletionCall, prompt: list[int], config: LlamaConfig) -> Job:
    stops = (call.stop,) if isinstance(call.stop, str) else tuple(call.stop or ())
    rules = StopRules(
        strings=stops,
        token_ids=frozenset(call.stop_token_ids or ()),
        eos_ids=frozenset() if call.ignore_eos else config.eos_ids,
        keep_string=call.include_stop_str_in_output,
    )
    params = SamplingParams(
        temperature=_given(call.temperature, 1.0),
        top_p=_given(call.top_p, 1.0),
        top_k=max(0, _given(call.top_k, 0)),
        min_p=_given(call.min_p, 0.0),
        repetition_penalty=_given(call.repetition_penalty, 1.0),
    )
    room = config.max_position_embeddings - len(prompt)
    job = Job(num_prompt_tokens=len(prompt))
    job.sequences = [
        Generated(
            job,
            prompt,
            params,
            seed=None if call.seed is None else call.seed + child,
            max_tokens=min(room, call.max_tokens or room),
            stop=rules,
            keep_logprobs=call.logprobs is not None,
        )
        for child in range(call.n)
    ]
    return job


def _given(value: float | None, default: float) -> float:
    return default if value is None else value


def _choice(
    call: CompletionCall, index: int, sequence: Generated, tokenizer: Tokenizer
) -> dict[str, Any]:
    with_ids = bool(call.return_token_ids)
    return {
        "index": index,
        "text": sequence.text,
        "logprobs": _logprobs(call, sequence, tokenizer) if call.logprobs is not None else None,
        "finish_reason": sequence.finish_reason,
        "stop_reason": sequence.stop_reason,
        "token_ids": sequence.token_ids if with_ids else None,
        "prompt_token_ids": sequence.tokens[: sequence.num_prompt] if with_ids else None,
    }


def _logprobs(call: CompletionCall, sequence: Generated, tokenizer: Tokenizer) -> dict[str, Any]:
    def name(token_id: int) -> str:
        if call.return_tokens_as_token_ids:
            return f"token_id:{token_id}"
        return tokenizer.decode([token_id])

    def top(token_id: int, logprobs: Array) -> dict[str, float]:
        """Return the sampled token's value and those asked for, by id or by rank."""
        wanted = call.logprob_token_ids
        if wanted is None:
            wanted = np.argsort(-logprobs, kind="stable")[: call.logprobs].tolist()
        return {name(i): float(logprobs[i]) for i in dict.fromkeys([token_id, *wanted])}

    ids = sequence.token_ids
    names = [name(token_id) for token_id in ids]
    lengths = [len(tokenizer.decode([token_id])) for token_id in ids]
    rows = list(zip(ids, sequence.logprobs, strict=True))
    return {
        "text_offset": list(itertools.accumulate(lengths[:-1], initial=0)),
        "token_logprobs": [float(logprobs[token_id]) for token_id, logprobs in rows],
        "tokens": names,
        "top_logprobs": [top(token_id, logprobs) for token_id, logprobs in rows],
    }
