"""A vLLM with little context, a LoRA, two names and room for eight sequences, by both APIs."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.torch.references import tokenizer_of
from ttc_client import Client, SearchParams
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.settings.servers import PolicyApi, Servers

NAMES = ("policy", "tiny-qwen", "adapted")
LIMIT = 512
PROBLEM = "What is $1 + 1$?"
apis = pytest.mark.parametrize("api", ["vllm", "openai"])


@apis
@pytest.mark.parametrize("name", NAMES)
async def test_each_name_reads_what_is_listed_and_an_adapter_what_its_parent_does(
    api: PolicyApi, name: str, urls: Mapping[str, str], session: Session
) -> None:
    policy = await connect_policy(Server(session, urls["qwen2"], 60), api, name)
    assert (policy.model, policy.context_length) == (name, LIMIT)


@apis
@pytest.mark.parametrize("name", NAMES)
async def test_a_search_that_allows_more_tokens_than_there_are_is_refused_nothing(
    api: PolicyApi, name: str, urls: Mapping[str, str], folders: Mapping[str, Path]
) -> None:
    """The random model writes some words, a delimiter or its end."""
    tokenizer = tokenizer_of(folders["Tiny-Qwen2.5-Instruct"])
    allowed = [*tokenizer.encode("Thus x is.\n\n"), tokenizer.eos_token_id]
    servers = Servers(
        policy=urls["qwen2"],
        policy_api=api,
        model=name,
        prm=urls["shepherd"],
        check=False,
        extra_body=json.dumps({"allowed_token_ids": allowed}),
    )
    async with Client(servers) as client:
        for strategy in ("best-of-n", "dvts"):
            params = SearchParams(strategy=strategy, n=16, max_completion_tokens=2048)
            result = await client.solve(PROBLEM, params)
            assert not result.usage.failures
            assert not result.usage.retries
            votes = sum(candidate.votes for candidate in result.candidates)
            assert votes == 16 or (strategy == "dvts" and votes)  # its subtrees end early


@apis
async def test_an_adapter_writes_what_its_parent_does_not(
    api: PolicyApi, urls: Mapping[str, str]
) -> None:
    texts = []
    for name in NAMES:
        servers = Servers(policy=urls["qwen2"], policy_api=api, model=name, check=False)
        async with Client(servers) as client:
            result = await client.solve(
                PROBLEM, SearchParams(strategy="greedy", n=1, max_completion_tokens=24)
            )
            texts.append(result.candidates[0].text)
    assert texts[0] == texts[1] != texts[2]
