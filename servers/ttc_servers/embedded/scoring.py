"""`POST /generative_scoring` and `POST /score`: solutions to jobs, read positions to scores."""

import math
import time
import uuid
from typing import Any

from ttc_client.clients import wire
from ttc_client.clients.prompts import (
    RLHFLOW_APPROVAL,
    RLHFLOW_SYSTEM,
    RLHFLOW_VERDICTS,
    rlhflow_question,
)
from ttc_servers.embedded.completions import check_ids, check_length, usage
from ttc_servers.embedded.jobs import Job, Scored
from ttc_servers.embedded.protocol import RequestError, ScoringCall, prompt_list
from ttc_servers.embedded.tokenizer import Tokenizer
from ttc_servers.embedded.weights import LlamaConfig


def generative_job(call: ScoringCall, tokenizer: Tokenizer, config: LlamaConfig) -> Job:
    """Return a job that reads the labels after query + item, for each item.

    What does not fit into the model is refused; vLLM would cut it silently.
    """
    check_ids(call.label_token_ids, config, "label_token_ids")
    query, *more = prompt_list(call.query, "query")
    if more:
        raise RequestError("query must be one text or one list of token ids", param="query")
    if isinstance(query, str):
        query = tokenizer.encode(query, call.add_special_tokens)
    items = [
        query + (tokenizer.encode(item, False) if isinstance(item, str) else item)
        for item in prompt_list(call.items, "items")
    ]
    for item in items:
        check_ids(item, config, "items")
    return _job([(item, [len(item) - 1]) for item in items], call.label_token_ids, config)


def generative_reply(call: ScoringCall, job: Job, model: str) -> dict[str, Any]:
    """Return each item's probability of the first label, among the labels or among all tokens."""
    scores = [
        _first_share(sequence.logps[0]) if call.apply_softmax else math.exp(sequence.logps[0][0])
        for sequence in job.sequences
    ]
    return {
        "id": f"generative-scoring-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [{"index": i, "object": "score", "score": score} for i, score in enumerate(scores)],
        "usage": usage([job], len(scores)),
    }


def score_job(call: wire.ScoreCall, tokenizer: Tokenizer, config: LlamaConfig) -> Job:
    """Return a job that reads "+" and "-" after each step of each item (RLHFlow's format).

    Items without steps need no computing and have no sequence.
    """
    if call.version != wire.VERSION:
        raise RequestError(
            f"version {call.version} of the protocol; this server speaks {wire.VERSION}",
            param="version",
        )
    approval = tokenizer.encode(RLHFLOW_APPROVAL, False)

    def append(tokens: list[int], index: int, step: str) -> int:
        """Put a step to the PRM and approve it; return the position where it is read."""
        tokens += tokenizer.encode(rlhflow_question(call.problem, index, step), False)
        position = len(tokens) - 1
        tokens += approval
        return position

    prefix = tokenizer.encode(RLHFLOW_SYSTEM)
    for index, step in enumerate(call.prefix):
        append(prefix, index, step)
    readings: list[tuple[list[int], list[int]]] = []
    for item in filter(None, call.items):
        tokens = prefix.copy()
        positions = [append(tokens, len(call.prefix) + j, step) for j, step in enumerate(item)]
        readings.append((tokens[: positions[-1] + 1], positions))
    return _job(
        readings, [tokenizer.encode(label, False)[-1] for label in RLHFLOW_VERDICTS], config
    )


def score_reply(call: wire.ScoreCall, job: Job) -> wire.ScoreReply:
    """Return one score per step of each item."""
    scored = iter(job.sequences)
    scores = [
        [_first_share(logps) for logps in next(scored).logps] if item else [] for item in call.items
    ]
    return wire.ScoreReply(
        scores=scores,
        usage=wire.ScoreUsage(
            prompt_tokens=job.num_prompt_tokens, cached_tokens=job.num_cached_tokens
        ),
    )


def _job(
    readings: list[tuple[list[int], list[int]]], labels: list[int], config: LlamaConfig
) -> Job:
    for tokens, _ in readings:
        check_length(tokens, config)
    num_tokens = sum(len(tokens) for tokens, _ in readings)
    job = Job(num_prompts=len(readings), num_prompt_tokens=num_tokens)
    job.sequences = [Scored(job, tokens, positions, labels) for tokens, positions in readings]
    return job


def _first_share(logps: list[float]) -> float:
    """Return the softmax over the labels, its first component."""
    return 1 / sum(math.exp(min(logp - logps[0], 700.0)) for logp in logps)
