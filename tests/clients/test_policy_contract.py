"""What every policy client promises, whichever server it speaks to."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from tests.clients.faults import FAULTS
from tests.fakes.policy_servers import POLICY_SERVERS, Asked
from tests.fakes.scripted_server import scripted_server
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import question, render_llama3
from ttc_client.clients.session import Session
from ttc_client.errors import ConfigError, TooManyError
from ttc_client.middleware.parts import in_parts
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Message, Step, Trajectory

QUESTION = question("p", "Be brief.")

WRITTEN = {
    5: ("a step\n\n", "stop"),
    6: ("the end", "eos"),
    7: ("cut", "length"),
    8: ("again\n\n", "stop"),
}


@pytest.fixture(params=POLICY_SERVERS.values(), ids=POLICY_SERVERS)
def kind(request):
    return request.param


@asynccontextmanager
async def policy(kind, write=WRITTEN.get, *, model=None, timeout_s=5.0, **more):
    """Open a client, and its `sample` with requests split where the server wants them so."""
    async with scripted_server(kind.replies(write) | more) as server, Session() as session:
        client = Server(session, server.url, timeout_s, "secret", "THE_KEY")
        opened = await connect_policy(client, kind.api, model)
        yield server, opened, in_parts(opened.sample, lambda: opened.most_choices)


def ask(trajectory: Trajectory, **changes) -> SampleRequest:
    request = SampleRequest(
        trajectory, n=4, temperature=0.8, top_p=1.0, max_tokens=64, stop=("\n\n",), seed=5
    )
    return replace(request, **changes)


async def asked(server, kind, sampling) -> list[Asked]:
    """Return what a server is asked for by a call, but for what it refuses to begin with."""
    before = len(server.requests)
    await sampling
    payloads = [p for path, p in server.requests[before:] if path == kind.path]
    found = {one.seed: one for payload in payloads for one in kind.read(payload)}
    return [found[seed] for seed in sorted(found, key=str)]


async def test_continuations_come_back_in_order_with_their_delimiter_and_finish(kind):
    async with policy(kind) as (_, client, sample):
        samples = await sample(ask(await client.root(QUESTION)))
    assert [(step.text, step.finish) for step in samples.steps] == list(WRITTEN.values())


async def test_a_client_that_gives_one_refuses_more_and_any_other_does_not(kind):
    async with policy(kind) as (server, client, sample):
        root = await client.root(QUESTION)
        await sample(ask(root))
        if client.most_choices:
            before = len(server.requests)
            with pytest.raises(TooManyError, match=server.url):
                await client.sample(ask(root))
            assert len(server.requests) == before
        else:
            assert len((await client.sample(ask(root))).steps) == 4


async def test_it_says_how_much_its_model_reads_and_how_much_room_is_left(kind):
    async with policy(kind) as (_, client, _):
        root = await client.root(question("p" * 3000, "Be brief."))
        room = await client.room(root, 64), await client.room(root, 4096)
    assert room[0] == 64
    if client.context_length is None:
        assert room[1] == 4096
    elif not client.speaks_ids and client.most_choices != 1:
        assert room[1] == 4095  # the prompt is counted by the server alone
    else:
        assert client.context_length == 4096
        assert 512 < room[1] < 1096
    assert client.speaks_ids == bool(root.token_ids)


async def test_a_whole_completion_keeps_its_blank_lines(kind):
    whole = {5: ("one\n\ntwo", "eos"), 6: ("one\n\ntw", "length")}
    async with policy(kind, whole.get) as (_, client, sample):
        samples = await sample(ask(await client.root(QUESTION), n=2, stop=()))
    assert [(step.text, step.finish) for step in samples.steps] == list(whole.values())
    assert samples.usage.completion_tokens == 15


async def test_a_request_continues_the_text_so_far_with_a_seed_per_child(kind):
    async with policy(kind) as (server, client, sample):
        messages = question("What is 1+1?", "Be brief.")
        root = await client.root(messages)
        ids = tuple(map(ord, "so\n\n")) if root.token_ids else ()
        parent = replace(root, steps=(Step("so\n\n", "stop", 2, ids),))
        wanted = await asked(server, kind, sample(ask(parent)))
    text = render_llama3(messages) + "so\n\n"
    assert "begin_of_text" not in text
    assert wanted == [Asked(text, seed, 0.8, 64) for seed in (5, 6, 7, 8)]


async def test_every_turn_of_a_conversation_is_read(kind):
    messages = (
        *question("What is 1+1?", "Be brief."),
        Message("assistant", "2"),
        Message("user", "And 2+2?"),
    )
    async with policy(kind) as (server, client, sample):
        root = await client.root(messages)
        wanted = await asked(server, kind, sample(ask(root)))
    assert root.prompt.messages == messages
    assert {one.text for one in wanted} == {render_llama3(messages)}


async def test_without_a_seed_none_is_sent_and_a_temperature_of_zero_is_greedy(kind):
    async with policy(kind, lambda seed: ("one", "eos")) as (server, client, sample):
        request = ask(await client.root(QUESTION), n=1, seed=None, temperature=0.0, stop=())
        (only,) = await asked(server, kind, sample(request))
    assert (only.seed, only.temperature) == (None, 0.0)


async def test_each_token_has_its_log_probability_and_confidence_where_they_are_asked_for(kind):
    async with policy(kind) as (_, client, sample):
        request = ask(await client.root(QUESTION))
        silent, own, rated = [
            (await sample(replace(request, top_logprobs=top))).steps for top in (None, 0, 3)
        ]
    assert {(step.logprobs, step.confidences) for step in silent} == {((), ())}
    assert {logprob for step in own for logprob in step.logprobs} == {-0.5}
    assert {step.confidences for step in own} == {()}
    for step in rated:
        assert len(step.logprobs) == len(step.confidences) == step.num_tokens > 0
        assert {*step.confidences} == {(0.5 + 1.5 + 2.5) / 3}


async def test_nothing_of_log_probabilities_is_sent_unless_they_are_asked_for(kind):
    async with policy(kind) as (server, client, sample):
        await sample(ask(await client.root(QUESTION)))
        for _, payload in server.requests:
            asked_for = {**payload, **payload.get("parameters", {})} if payload else {}
            assert not asked_for.keys() & {"logprobs", "top_logprobs", "top_n_tokens"}


async def test_cancelling_closes_every_request(kind):
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(payload):
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            released.set()

    async with policy(kind, **{kind.path: hold}) as (_, client, sample):
        task = asyncio.create_task(sample(ask(await client.root(QUESTION))))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(released.wait(), 5)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_a_failure_is_one_of_our_errors_and_names_the_server(kind, fault):
    timeout_s = 0.2 if "within" in fault.says else 5.0
    served = {kind.path: fault.answer}
    async with policy(kind, timeout_s=timeout_s, **served) as (server, client, sample):
        root = await client.root(QUESTION)
        with pytest.raises(fault.error, match=fault.says) as caught:
            await sample(ask(root))
    assert server.url in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_model_that_is_not_served_is_refused_or_asked_for(kind):
    if kind.api == "openai":
        async with policy(kind, model="other") as (server, client, sample):
            await sample(ask(await client.root(QUESTION)))
            assert {p["model"] for p in server.payloads(kind.path)} == {"other"}
    else:
        with pytest.raises(ConfigError, match=r"'other'.*serves"):
            async with policy(kind, model="other"):
                pass
