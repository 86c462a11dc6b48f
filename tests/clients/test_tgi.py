"""The TGI policy client against a server built from TGI's own document."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.clients.test_policy_contract import QUESTION, ask
from tests.fakes.scripted_server import scripted_server
from tests.fakes.tgi_server import generated, tgi
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import question
from ttc_client.clients.session import Session
from ttc_client.clients.tgi import TGIPolicy
from ttc_client.errors import ConfigError, ContextLengthError, ProtocolError, RequestError
from ttc_client.middleware.parts import in_parts
from ttc_client.types import Prompt, Step, Trajectory, Usage


@asynccontextmanager
async def policy(generate=lambda payload: generated("x"), **options):
    async with (
        scripted_server(tgi(generate, **options)) as server,
        Session() as session,
    ):
        yield server, await TGIPolicy.connect(Server(session, server.url, 5), None)


async def test_every_sampling_field_is_sent_but_the_neutral_ones_that_tgi_refuses():
    async with policy() as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=1, top_p=0.9))
        await client.sample(
            ask(await client.root(QUESTION), n=1, temperature=0.0, seed=None, stop=())
        )
    common = {
        "max_new_tokens": 64,
        "repetition_penalty": 1.0,
        "frequency_penalty": 0.0,
        "details": True,
        "return_full_text": False,
    }
    sampled, greedy = [payload["parameters"] for payload in server.payloads("/generate")]
    sampling = {"do_sample": True, "temperature": 0.8, "top_p": 0.9, "seed": 5, "stop": ["\n\n"]}
    assert sampled == common | sampling
    assert greedy == common | {"do_sample": False, "stop": []}


async def test_tokens_are_counted_as_the_server_does():
    async with policy(lambda payload: generated("four")) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=1))
    assert samples.usage == Usage(completion_tokens=4, policy_requests=1)
    assert [step.num_tokens for step in samples.steps] == [4]


async def test_the_seed_zero_which_tgi_refuses_is_replaced():
    async with policy() as (server, client):
        for seed in (0, 1):
            await client.sample(ask(await client.root(QUESTION), n=1, seed=seed))
    seeds = [payload["parameters"]["seed"] for payload in server.payloads("/generate")]
    assert min(seeds) > 0
    assert len(set(seeds)) == 2


async def test_the_prompt_is_in_the_servers_own_template_without_its_bos():
    def render(payload):
        return "<bos>" + "|".join(turn["content"] for turn in payload["messages"]) + "<think>\n"

    async with policy(render=render) as (_, client):
        prompt = (await client.root(QUESTION)).prompt
    assert (prompt.text, prompt.closes_thought) == ("Be brief.|p<think>\n", "</think>")


async def test_a_tgi_that_renders_nothing_needs_a_template():
    replies = tgi(lambda payload: generated("x"))
    del replies["/chat_tokenize"]
    async with scripted_server(replies) as server, Session() as session:
        with pytest.raises(ConfigError, match=r"--chat-template FILE or --tokenizer DIR"):
            await TGIPolicy.connect(Server(session, server.url, 5), None)


async def test_the_limit_is_clamped_to_what_fits_and_a_full_context_ends_by_length():
    async with policy(max_total_tokens=100) as (server, client):
        await client.sample(ask(Trajectory(Prompt((), "x" * 35)), n=1))
        long = Trajectory(Prompt((), "x" * 60))
        await client.sample(ask(long, n=1, seed=6))
        full = replace(long, steps=(Step("y" * 40, "stop", 40),))
        samples = await client.sample(ask(full, n=1))
        limits = [
            payload["parameters"]["max_new_tokens"] for payload in server.payloads("/generate")
        ]
        assert limits == [64, 39]
        assert len(server.payloads("/tokenize")) == 2  # the first was short enough not to ask
    assert samples.steps == (Step("", "length", 0),)


async def test_a_prompt_that_does_not_fit_is_refused_before_it_is_sent():
    async with policy(max_total_tokens=100) as (server, client):
        with pytest.raises(ContextLengthError, match=r"99 tokens.*--max-total-tokens"):
            await client.sample(ask(await client.root(question("p" * 100, "Be brief.")), n=1))
        assert not server.payloads("/generate")


async def test_no_more_requests_are_in_flight_than_the_server_takes():
    arrived: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def hold(payload):
        answer = asyncio.Event()
        arrived.put_nowait(answer)
        await answer.wait()
        return generated("x")

    async with policy(max_concurrent_requests=2) as (server, client):
        server.replies["/generate"] = hold
        sample = in_parts(client.sample, lambda: client.most_choices)
        task = asyncio.create_task(sample(ask(await client.root(QUESTION), n=5)))
        for _ in range(5):
            answer = await asyncio.wait_for(arrived.get(), 5)
            await TGIPolicy.connect(client.tgi.server, None)  # others had time to arrive too
            assert arrived.qsize() <= 1
            answer.set()
        assert len((await task).steps) == 5


async def test_an_unknown_end_is_refused():
    async with policy() as (server, client):
        reply = generated("x") | {"details": {"finish_reason": "bored", "generated_tokens": 1}}
        server.replies["/generate"] = lambda payload: reply
        with pytest.raises(ProtocolError, match="ended by bored"):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_the_server_of_these_tests_refuses_what_the_document_does_not_allow():
    async with policy() as (_, client):
        tgi_itself = client.tgi.server
        for parameters in ({"n": 4}, {"top_p": 1.5}, {"seed": 0}, {"stop": ["x"] * 5}):
            with pytest.raises(RequestError, match=r"422.*validation"):
                await tgi_itself.post("/generate", {"inputs": "x", "parameters": parameters}, dict)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (generated("cut", "stop_sequence"), "not asked for or cut off"),
        (generated("x" * 65), "65 tokens where 64 were allowed"),
        (
            {"generated_text": "x", "details": {"finish_reason": "length", "generated_tokens": -1}},
            "generated_tokens",
        ),
    ],
)
async def test_what_was_not_asked_for_is_refused_and_quoted(reply, says):
    async with policy() as (server, client):
        server.replies["/generate"] = lambda payload: reply
        with pytest.raises(ProtocolError, match=f"{says}.*it begins .*generated_text"):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_what_tgi_does_not_have_is_refused_and_what_it_has_is_sent():
    async with policy() as (server, client):
        root = await client.root(QUESTION)
        with pytest.raises(RequestError, match="neither min_p nor presence_penalty"):
            await client.sample(ask(root, n=1, min_p=0.1))
        await client.sample(ask(root, n=1, top_k=20))
        assert server.payloads("/generate")[0]["parameters"]["top_k"] == 20
