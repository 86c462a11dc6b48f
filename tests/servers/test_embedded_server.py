"""The embedded servers over HTTP, as child processes on random models."""

import asyncio
import json
import math
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
import pytest_asyncio
from tiny_llama import CONTEXT, reference_logits, write_model

from ttc_client.clients.prompts import RLHFLOW_APPROVAL, RLHFLOW_SYSTEM, rlhflow_question
from ttc_servers.embedded import embedded_servers, launch

POLICY_SEED, PRM_SEED = 1, 2


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return write_model(root / "tiny-a", POLICY_SEED), write_model(root / "tiny-b", PRM_SEED)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def urls(models: tuple[Path, Path]) -> AsyncIterator[tuple[str, str]]:
    async with embedded_servers(policy=models[0], prm=models[1]) as started:
        yield started


class Client:
    def __init__(self, session: aiohttp.ClientSession, policy: str, prm: str) -> None:
        self.session, self.policy, self.prm = session, policy, prm

    async def post(self, url: str, body: Any) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(url, data=data) as response:
            return response.status, await response.json()

    async def complete(self, **fields: Any) -> Any:
        body = {"temperature": 1.0, "return_token_ids": True, **fields}
        status, reply = await self.post(self.policy + "/v1/completions", body)
        assert status == 200, reply
        return reply

    async def ids(self, text: str, special: bool = True, url: str | None = None) -> list[int]:
        body = {"prompt": text, "add_special_tokens": special}
        return (await self.post((url or self.policy) + "/tokenize", body))[1]["tokens"]

    async def metric(self, name: str) -> float:
        async with self.session.get(self.policy + "/metrics") as response:
            lines = (await response.text()).splitlines()
        return next(float(x.split()[-1]) for x in lines if x.startswith(f"vllm:{name}{{"))


@pytest_asyncio.fixture
async def client(urls: tuple[str, str]) -> AsyncIterator[Client]:
    async with aiohttp.ClientSession() as session:
        yield Client(session, *urls)


async def test_the_same_seed_gives_the_same_bits_alone_and_in_any_company(client: Client) -> None:
    request = {"prompt": [3, 1, 4, 1, 5] * 20, "n": 3, "seed": 11, "max_tokens": 60, "logprobs": 5}
    alone = await client.complete(**request)
    others = [
        asyncio.create_task(
            client.complete(prompt=[i, 2] * (7 * i + 1), n=1 + i % 4, max_tokens=20 + 5 * i)
        )
        for i in range(12)
    ]
    together = [await client.complete(**request) for _ in range(4)]
    for other in others:
        await other
    for reply in together:
        assert reply["choices"] == alone["choices"]


async def test_a_continuation_gives_the_bits_of_the_whole(client: Client) -> None:
    whole = await client.complete(prompt=[9, 8, 7] * 30, max_tokens=50, temperature=0, logprobs=1)
    choice = whole["choices"][0]
    for cut in (1, 17, 40):
        prompt = choice["prompt_token_ids"] + choice["token_ids"][:cut]
        rest = await client.complete(prompt=prompt, max_tokens=50 - cut, temperature=0, logprobs=1)
        assert rest["choices"][0]["token_ids"] == choice["token_ids"][cut:]
        logprobs = rest["choices"][0]["logprobs"]["token_logprobs"]
        assert logprobs == choice["logprobs"]["token_logprobs"][cut:]
        assert rest["usage"]["prompt_tokens_details"]["cached_tokens"] == len(prompt) - 1


async def test_child_i_samples_with_seed_plus_i(client: Client) -> None:
    together = await client.complete(prompt=[5, 6], n=3, seed=40, max_tokens=12)
    for i, choice in enumerate(together["choices"]):
        alone = await client.complete(prompt=[5, 6], seed=40 + i, max_tokens=12)
        assert alone["choices"][0]["token_ids"] == choice["token_ids"]
    assert len({tuple(c["token_ids"]) for c in together["choices"]}) == 3


async def test_stop_strings_end_the_text_and_keep_the_token(client: Client) -> None:
    free = (await client.complete(prompt="x", max_tokens=40, temperature=0))["choices"][0]
    pairs = (free["text"][i : i + 2] for i in range(10, len(free["text"])))
    stop = next(pair for pair in pairs if pair.isascii() and len(pair) == 2)
    end = free["text"].index(stop)
    for keep in (True, False):
        reply = await client.complete(
            prompt="x", max_tokens=40, temperature=0, stop=[stop], include_stop_str_in_output=keep
        )
        choice = reply["choices"][0]
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", stop)
        assert choice["text"] == free["text"][: end + 2 * keep]
        assert choice["token_ids"] == free["token_ids"][: len(choice["token_ids"])]
        _, detokenized = await client.post(
            client.policy + "/detokenize", {"tokens": choice["token_ids"]}
        )
        assert stop in detokenized["prompt"]


async def test_eos_stop_tokens_and_length_are_told_apart(client: Client) -> None:
    free = (await client.complete(prompt="x", max_tokens=8, temperature=0))["choices"][0]
    assert (free["finish_reason"], free["stop_reason"], len(free["token_ids"])) == (
        "length",
        None,
        8,
    )
    token = free["token_ids"][3]
    stopped = (
        await client.complete(prompt="x", max_tokens=8, temperature=0, stop_token_ids=[token])
    )["choices"][0]
    assert (stopped["finish_reason"], stopped["stop_reason"]) == ("stop", token)
    assert stopped["token_ids"][-1] == token
    (eos,) = await client.ids("<|eot_id|>", special=False)
    ended = [
        choice
        for seed in range(0, 400, 100)
        for choice in (await client.complete(prompt=[eos], n=64, max_tokens=40, seed=seed))[
            "choices"
        ]
        if choice["token_ids"][-1] == eos
    ]
    assert ended, "the random model never chose its end"
    for choice in ended:
        assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", None)
        assert "<|" not in choice["text"]


async def test_prompts_come_in_four_forms_and_get_one_bos(client: Client) -> None:
    text = "What is 2+3?"
    with_bos, without = await client.ids(text), await client.ids(text, special=False)
    assert with_bos[1:] == without
    for prompt, expected in (
        (text, [with_bos]),
        ([text, "x"], [with_bos, await client.ids("x")]),
        (without, [without]),
        ([without, with_bos], [without, with_bos]),
    ):
        reply = await client.complete(prompt=prompt, n=2, max_tokens=1)
        assert [c["index"] for c in reply["choices"]] == list(range(2 * len(expected)))
        assert [c["prompt_token_ids"] for c in reply["choices"][::2]] == expected
        assert reply["usage"]["prompt_tokens"] == sum(map(len, expected))


async def test_usage_equals_the_servers_counters(client: Client) -> None:
    names = ("prompt_tokens_total", "generation_tokens_total", "prefix_cache_hits_total")
    before = [await client.metric(name) for name in names]
    usages = [
        (await client.complete(prompt=[7] * 100, n=4, max_tokens=9))["usage"] for _ in range(2)
    ]
    counted = [await client.metric(n) - b for n, b in zip(names, before, strict=True)]
    cached = sum(usage["prompt_tokens_details"]["cached_tokens"] for usage in usages)
    generated = sum(usage["completion_tokens"] for usage in usages)
    assert counted == [200, generated, cached]
    assert cached >= 99


async def test_every_way_of_scoring_gives_the_references_scores(
    client: Client, models: tuple[Path, Path]
) -> None:
    problem, prefix, items = "What is 2+3?", ["First."], [["A = 5."], ["B = 6.", "So 6."], []]
    call = {"problem": problem, "prefix": prefix, "items": items}
    status, reply = await client.post(client.prm + "/score", call)
    assert status == 200
    assert [len(scores) for scores in reply["scores"]] == [1, 2, 0]
    labels = [(await client.ids(label, False, client.prm))[-1] for label in "+-"]
    shared = RLHFLOW_SYSTEM + rlhflow_question(problem, 0, prefix[0]) + RLHFLOW_APPROVAL
    first = rlhflow_question(problem, 1, "B = 6.")
    texts = [
        rlhflow_question(problem, 1, "A = 5."),
        first,
        first + RLHFLOW_APPROVAL + rlhflow_question(problem, 2, "So 6."),
    ]
    body = {"query": shared, "items": texts, "label_token_ids": labels}
    _, direct = await client.post(client.prm + "/generative_scoring", body)
    flat = [score for scores in reply["scores"] for score in scores]
    assert [item["score"] for item in direct["data"]] == flat
    for text, score in zip(texts, flat, strict=True):
        ids = await client.ids(shared + text, url=client.prm)
        good, bad = reference_logits(models[1], ids)[-1][labels]
        assert score == pytest.approx(1 / (1 + math.exp(bad - good)), abs=1e-4)
    body["apply_softmax"] = False
    _, raw = await client.post(client.prm + "/generative_scoring", body)
    logits = reference_logits(models[1], ids)[-1]
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert raw["data"][2]["score"] == pytest.approx(expected[labels[0]], abs=1e-4)


async def test_logprobs_of_chosen_tokens(client: Client, models: tuple[Path, Path]) -> None:
    reply = await client.complete(
        prompt=[4, 5],
        max_tokens=1,
        temperature=0,
        logprobs=2,
        logprob_token_ids=[10, 11],
        return_tokens_as_token_ids=True,
    )
    logits = reference_logits(models[0], [4, 5])[-1]
    top = reply["choices"][0]["logprobs"]["top_logprobs"][0]
    difference = top["token_id:10"] - top["token_id:11"]
    assert difference == pytest.approx(logits[10] - logits[11], abs=1e-4)


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"prompt": [0] * CONTEXT}, 400, "input_tokens"),
        ({"prompt": "x", "max_tokens": CONTEXT + 1}, 400, "max_tokens"),
        ({"prompt": "x", "n": 2, "temperature": 0}, 400, "n"),
        ({"prompt": "x", "stream": True}, 400, "stream"),
        ({"prompt": "x", "stop": list("abcde")}, 400, None),
        ({"prompt": "x", "stop": [""]}, 400, "stop"),
        ({"prompt": "x", "temperature": -1}, 400, None),
        ({"prompt": [10**9]}, 400, "prompt"),
        ({"prompt": []}, 400, "prompt"),
        ({"prompt": ["x", [1]]}, 400, "prompt"),
        ({}, 400, None),
        ({"prompt": "x", "model": "other"}, 404, "model"),
    ],
)
async def test_bad_requests_are_refused_as_vllm_does(
    client: Client, fields: dict[str, Any], status: int, param: str | None
) -> None:
    got, reply = await client.post(client.policy + "/v1/completions", fields)
    assert (got, reply["error"]["code"], reply["error"]["param"]) == (status, status, param)
    assert reply["error"]["message"]


async def test_a_long_max_tokens_is_clamped_to_the_context(client: Client) -> None:
    reply = await client.complete(prompt=[1] * (CONTEXT - 5), max_tokens=50, ignore_eos=True)
    choice = reply["choices"][0]
    assert (len(choice["token_ids"]), choice["finish_reason"]) == (5, "length")


async def test_garbage_gets_a_400_and_does_no_harm(client: Client) -> None:
    rng = np.random.default_rng(0)
    values = [None, True, -1, 2**70, 1e308, "", "\ud800", [], [[]], {}, [None], [[1], "a"], "x"]
    fields = [
        *("prompt", "n", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop", "model"),
        *("query", "items", "label_token_ids", "logprobs", "logprob_token_ids"),
        *("problem", "prefix", "messages", "tokens"),
    ]
    paths = ("/v1/completions", "/generative_scoring", "/score", "/tokenize", "/detokenize")
    bodies: list[Any] = [b"", b"{", b"[]", b"\xff\xfe", b"null"]
    for _ in range(150):
        chosen = rng.choice(len(fields), 4, replace=False)
        bodies.append({fields[i]: values[rng.integers(len(values))] for i in chosen})
    for body in bodies:
        for path in paths:
            status, reply = await client.post(client.policy + path, body)
            assert status in (200, 400, 404), (path, body, reply)
    assert (await client.complete(prompt="x", max_tokens=2))["choices"]


async def test_a_dropped_connection_frees_its_sequences(client: Client) -> None:
    body = {"prompt": "x", "n": 64, "max_tokens": 400, "ignore_eos": True}
    request = asyncio.create_task(client.post(client.policy + "/v1/completions", body))
    while await client.metric("num_requests_running") < 64:
        await asyncio.sleep(0.01)
    request.cancel()
    async with asyncio.timeout(1):
        while await client.metric("num_requests_running"):
            await asyncio.sleep(0.01)


async def test_an_api_key_is_required_where_one_is_set(models: tuple[Path, Path]) -> None:
    command = [sys.executable, "-m", "ttc_servers.embedded", "--until-stdin-closes"]
    command += ["--model", str(models[0]), "--port", "0"]
    environment = os.environ | {"EMBEDDED_API_KEY": "secret"}
    server = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, env=environment
    )
    assert server.stdin
    assert server.stdout
    try:
        url = (await server.stdout.readline()).decode().strip()
        async with aiohttp.ClientSession() as session:
            async with session.get(url + "/v1/models") as response:
                assert response.status == 401
                assert await response.json() == {"error": "Unauthorized"}
            headers = {"Authorization": "Bearer secret"}
            async with session.get(url + "/v1/models", headers=headers) as response:
                assert (await response.json())["data"][0]["max_model_len"] == CONTEXT
    finally:
        server.stdin.close()
        await server.wait()


async def test_servers_die_with_a_killed_caller(models: tuple[Path, Path]) -> None:
    script = (
        "import asyncio, sys\n"
        "from ttc_servers.embedded import embedded_servers\n"
        "async def main():\n"
        "    async with embedded_servers(policy=sys.argv[1], prm=sys.argv[2]) as urls:\n"
        "        print(urls[0], flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, *map(str, models)]
    caller = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert caller.stdout
    url = (await caller.stdout.readline()).decode().strip()
    caller.kill()
    await caller.wait()
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        while True:
            try:
                async with session.get(url + "/health"):
                    await asyncio.sleep(0.02)
            except aiohttp.ClientConnectionError:
                break


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"config\.json"):
        async with embedded_servers(policy=tmp_path, prm=tmp_path):
            pass


async def test_a_server_may_say_more_than_a_pipe_holds(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "import sys; sys.stderr.write('x' * 10**6 + '\\nthe end\\n')"),
        stderr=PIPE,
    )
    said = bytearray()
    await launch._read(process, said)
    assert await process.wait() == 0
    assert said.endswith(b"\nthe end\n")
    assert len(said) < 10**4
