"""Checks of what a policy writes: stop strings, seeds, the prefix cache.

Each generates a few dozen tokens. They run one after the other, because batching changes
floating-point rounding, and with it the samples.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ttc_client.clients.connect import PolicyClient
from ttc_client.clients.http import Server
from ttc_client.clients.status import prefix_cache_hits
from ttc_client.doctor.findings import Check
from ttc_client.doctor.tokens import PROBLEM
from ttc_client.errors import ProtocolError
from ttc_client.middleware.parts import in_parts
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.steps import STEP_DELIMITER
from ttc_client.types import Message, Step

_SHORT = 32
"""Tokens of a sample that need not hold a whole step."""

_LONG = 256
_SEEDED_TOKENS = 24
_FEW = 8
"""Characters that two samples may share by chance."""
_HOT = 1.5
"""A temperature at which two samples of that many tokens are never alike by chance."""

_LONG_PROBLEM = (Message("user", f"Compute ${' + '.join(['1'] * 120)}$."),)
"""Longer than the largest block of a prefix cache, 128 tokens on vLLM's CPU build."""

_STOP_FIX = "include_stop_str_in_output and stop_reason are vLLM's: else use --policy-api openai"


async def stop_strings(policy: PolicyClient) -> Check:
    """Check that a step ends with its stop string, and that the server says so."""
    if not policy.speaks_ids:
        return await _delimiter(policy)
    free = SampleRequest(await policy.root(PROBLEM), 1, 0.0, 1.0, _SHORT, (), None)
    text = (await _one(policy, free)).text
    if len(text) < 4:
        seen = f"not seen: the policy wrote only {text!r}"
        return Check("stop strings", "warn", seen, "serve a model that follows instructions")
    stop = text[len(text) // 2 :][:2]
    end = text.index(stop) + len(stop)
    try:
        step = await _one(policy, replace(free, stop=(stop,)))
    except ProtocolError:  # the client checks that the text ends with the stop string
        return Check("stop strings", "fail", "cut off the end of a step", _STOP_FIX)
    return _judge_stop(step, text[:end], stop)


def _judge_stop(step: Step, expected: str, stop: str) -> Check:
    """Compare a stopped sample with the start of the free one."""
    if step.text == expected:
        if step.finish == "stop":
            return Check("stop strings", "ok", "kept, and named as the reason")
        seen = "kept, but not named as what ended a step: steps would pass for whole solutions"
        return Check("stop strings", "fail", seen, _STOP_FIX)
    if step.text.startswith(expected):
        return Check("stop strings", "fail", f"ignored: the text went on after {stop!r}", _STOP_FIX)
    seen = "not seen: two greedy samples differ"
    return Check("stop strings", "warn", seen, "ask again when the server is idle")


async def _delimiter(policy: PolicyClient) -> Check:
    """Check in text mode that a step ends; the client restores a delimiter that was cut off."""
    root = await policy.root(PROBLEM)
    request = SampleRequest(root, 1, 0.0, 1.0, _LONG, (STEP_DELIMITER,), None)
    step = await _one(policy, request)
    if step.finish == "stop":
        return Check("stop strings", "ok", "a step ends at its blank line")
    seen = f"not seen: the policy wrote no blank line in {step.num_tokens} tokens"
    return Check("stop strings", "warn", seen, "a --system-prompt that asks for steps")


async def seeds(policy: PolicyClient, params: SearchParams) -> Check:
    """Check that a seed repeats its samples, and that siblings get different ones."""
    if not params.seeds:
        return Check("seeds", "skip", "--no-seeds: none are sent")
    root = await policy.root(PROBLEM)
    request = SampleRequest(root, 4, _HOT, 1.0, _SEEDED_TOKENS, (), seed=1)
    sample = in_parts(policy.sample, lambda: policy.most_choices)
    first, second = [[s and s.text for s in (await sample(request)).steps] for _ in "12"]
    if len(set(first)) == 1:
        seen = "all samples of a seeded request are the same: a search would have nothing to choose"
        return Check("seeds", "fail", seen, "--no-seeds")
    if first != second:
        seen = "the same seed gave other samples: runs cannot be repeated exactly"
        fix = "a server that samples alike under any load (vLLM: VLLM_BATCH_INVARIANT=1)"
        return Check("seeds", "warn", seen, fix)
    return Check("seeds", "ok", "honoured")


async def repeats(policy: PolicyClient, params: SearchParams) -> Check:
    """Check that two requests alike, without a seed, are sampled and not answered from a cache."""
    root = await policy.root(PROBLEM)
    request = SampleRequest(root, 1, _HOT, 1.0, _SEEDED_TOKENS, (), None)
    first, second = [(await _one(policy, request)).text for _ in "12"]
    if first != second or len(first) < _FEW:
        return Check("repeats", "ok", "a request that is sent again is sampled again")
    seen = "a request that is sent again gets the same text, as from a cache of replies"
    fix = """switch it off (LiteLLM: --extra-body '{"cache": {"no-cache": true}}')"""
    return Check("repeats", "warn" if params.seeds else "fail", seen, fix)


async def prefix_cache(server: Server, policy: PolicyClient) -> Check:
    """Check that the server's cache holds a prompt that it has read before."""
    root = await policy.root(_LONG_PROBLEM)
    request = SampleRequest(root, 1, 0.0, 1.0, 1, (), None)
    await policy.sample(request)
    before = await prefix_cache_hits(server)
    usage = (await policy.sample(request)).usage
    if usage.cached_tokens:
        seen = f"on: {usage.cached_tokens} of {usage.prompt_tokens} prompt tokens"
        return Check("prefix cache", "ok", seen)
    after = await prefix_cache_hits(server)
    if before is None or after is None:
        return Check("prefix cache", "skip", "the server does not say what was cached")
    if after > before:
        seen = "on, but replies do not say how much was cached, so results cannot show it"
        fix = "start the server with --enable-prompt-tokens-details"
        return Check("prefix cache", "warn", seen, fix)
    seen = "off: every step is computed from the first token on"
    return Check("prefix cache", "warn", seen, "start the server with --enable-prefix-caching")


def writer(policy: PolicyClient) -> Callable[[int], Awaitable[int]]:
    """Return a function that samples once and returns the number of tokens."""

    async def write(_: int) -> int:
        root = await policy.root(PROBLEM)
        samples = await policy.sample(SampleRequest(root, 1, 0.8, 1.0, _SHORT, (), None))
        return sum(step.num_tokens for step in samples.steps if step)

    return write


async def _one(policy: PolicyClient, request: SampleRequest) -> Step:
    """Return the one continuation asked for."""
    (step,) = (await policy.sample(request)).steps
    assert step is not None  # a client returns all or raises
    return step
