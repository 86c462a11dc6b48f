"""Each check of a policy's server: fine against a good one, and seen to fail against a bad one."""

import pytest

from tests.fakes.fake_vllm import fake_vllm
from tests.fakes.templates import IN_LLAMA3
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.doctor import sampling, tokens
from ttc_client.search.params import SearchParams

CHECKS = {
    "context": lambda server, policy: tokens.context(policy, SearchParams()),
    "BOS": tokens.bos,
    "template": lambda server, policy: tokens.template(server),
    "token ids": lambda server, policy: tokens.token_ids(policy),
    "stop strings": lambda server, policy: sampling.stop_strings(policy),
    "seeds": lambda server, policy: sampling.seeds(policy, SearchParams()),
    "repeats": lambda server, policy: sampling.repeats(policy, SearchParams()),
    "prefix cache": sampling.prefix_cache,
}


async def check(name, *faults, **options):
    async with fake_vllm(*faults, **options) as (_, server):
        asking = IN_LLAMA3 if {"no /tokenize", "ids refused"} & {*faults} else None
        found = await CHECKS[name](server, await VLLMPolicy.connect(server, None, asking))
    assert found.name == name
    return found


@pytest.mark.parametrize("name", CHECKS)
async def test_a_good_server_passes(name):
    found = await check(name)
    assert (found.status, found.fix) == ("ok", "")


@pytest.mark.parametrize(
    ("name", "fault", "status", "seen"),
    [
        ("BOS", "BOS doubled", "fail", "2 times"),
        ("BOS", "BOS missing", "fail", "0 times"),
        ("BOS", "no /tokenize", "skip", "cannot be seen"),
        ("template", "template trims", "warn", "trims the blank line"),
        ("template", "template BOS", "warn", "writes a BOS"),
        ("template", "no /tokenize", "skip", "cannot be seen"),
        ("token ids", "no token ids", "fail", "no token ids"),
        ("stop strings", "stop cut", "fail", "cut off"),
        ("stop strings", "stop unnamed", "fail", "not named"),
        ("stop strings", "stop ignored", "fail", "ignored"),
        ("stop strings", "unsteady", "warn", "differ"),
        ("stop strings", "silent", "warn", "wrote only ''"),
        ("seeds", "seeds ignored", "warn", "other samples"),
        ("seeds", "siblings alike", "fail", "all samples"),
        ("token ids", "ids refused", "warn", "steps continue from text"),
        ("repeats", "replies cached", "warn", "the same text"),
        ("prefix cache", "cache off", "warn", "off"),
        ("prefix cache", "cache untold", "warn", "do not say how much was cached"),
    ],
)
async def test_a_fault_is_seen_and_comes_with_its_fix(name, fault, status, seen):
    found = await check(name, fault)
    assert found.status == status
    assert seen in found.seen
    assert found.fix or status == "skip"


@pytest.mark.parametrize(("length", "status"), [(200, "fail"), (1000, "warn"), (4096, "ok")])
async def test_the_context_must_hold_a_completion(length, status):
    assert (await check("context", context_length=length)).status == status


async def test_seeds_are_left_alone_where_none_are_sent():
    async with fake_vllm("seeds ignored") as (scripted, server):
        policy = await VLLMPolicy.connect(server, None)
        found = await sampling.seeds(policy, SearchParams(seeds=False))
        assert found.status == "skip"
        assert not scripted.payloads("/v1/completions")


async def test_text_mode_is_checked_as_far_as_it_goes():
    async with fake_vllm() as (_, server):
        policy = await connect_policy(server, "openai", None, IN_LLAMA3)
        ids = await tokens.token_ids(policy)
        context = await tokens.context(policy, SearchParams())
        stop = await sampling.stop_strings(policy)
        once = await tokens.bos(server, policy)
    assert (ids.status, context.status) == ("skip", "ok")
    assert (stop.status, stop.seen) == ("ok", "a step ends at its blank line")
    assert (once.status, once.seen) == ("ok", "once (id 1)")
