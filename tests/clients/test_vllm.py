"""The vLLM policy client against a scripted server: what goes over the wire, what comes back."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from tests.fakes.scripted_server import completions, models, scripted_server, tokenize
from tests.fakes.templates import IN_LLAMA3
from ttc_client.clients.http import Server
from ttc_client.clients.prompts import question, render_llama3
from ttc_client.clients.session import Session
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import (
    ConfigError,
    ContextLengthError,
    ProtocolError,
    RequestError,
    TransientServerError,
)
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Message, Prompt, Step, Trajectory

QUESTION = question("p", "Be brief.")


def ask(trajectory: Trajectory, **changes) -> SampleRequest:
    request = SampleRequest(
        trajectory, n=2, temperature=0.8, top_p=0.9, max_tokens=64, stop=("\n\n",), seed=5
    )
    return replace(request, **changes)


@asynccontextmanager
async def policy(write=lambda payload, i: (f"step {i}\n\n", "stop", "\n\n"), asking=None, **more):
    replies = {
        "/v1/models": models(),
        "/tokenize": tokenize,
        "/v1/completions": completions(write),
    } | more
    async with scripted_server(replies) as server, Session() as session:
        client = Server(session, server.url, timeout_s=5, api_key="secret")
        yield server, await VLLMPolicy.connect(client, None, asking)


async def test_the_prompt_is_templated_and_tokenized_once_with_one_bos():
    async with policy() as (server, client):
        messages = question("What is 1+1?", "Be brief.")
        root = await client.root(messages)
        await client.sample(ask(root))
        asked = [p for p in server.payloads("/tokenize") if "1+1" in p.get("prompt", "")]
    (payload,) = asked
    assert payload["prompt"] == root.prompt.text == render_llama3(messages)
    assert "<|begin_of_text|>" not in payload["prompt"]
    assert root.token_ids.count(1) == 1
    assert server.payloads("/v1/completions")[0]["prompt"] == list(root.token_ids)


async def test_every_sampling_field_is_sent():
    async with policy() as (server, client):
        await client.sample(ask(await client.root(QUESTION)))
        (payload,) = server.payloads("/v1/completions")
    del payload["prompt"]
    assert payload == {
        "model": "model",
        "n": 2,
        "max_tokens": 64,
        "temperature": 0.8,
        "top_p": 0.9,
        "top_k": -1,
        "min_p": 0.0,
        "repetition_penalty": 1.0,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "stop": ["\n\n"],
        "include_stop_str_in_output": True,
        "return_token_ids": True,
        "seed": 5,
    }


async def test_no_seed_is_sent_where_there_is_none():
    async with policy() as (server, client):
        await client.sample(ask(await client.root(QUESTION), seed=None))
        assert "seed" not in server.payloads("/v1/completions")[0]


async def test_the_finish_is_taken_from_both_reasons():
    ends = [
        ("a\n\n", "stop", "\n\n"),
        ("b\n\n", "stop", None),
        ("c", "stop", 128009),
        ("d", "length", None),
    ]
    async with policy(lambda payload, i: ends[i]) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=4))
    assert [step.finish for step in samples.steps] == ["stop", "eos", "eos", "length"]
    assert samples.steps[0] == Step("a\n\n", "stop", 3, (97, 10, 10))
    assert (samples.usage.completion_tokens, samples.usage.cached_tokens) == (8, 16)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda r: r["choices"].append(r["choices"][0]), "3 answers instead of 2"),
        (lambda r: r["choices"][1].update(token_ids=None), "no token ids"),
        (lambda r: r["choices"][1].update(token_ids=[]), "a text without tokens"),
        (lambda r: r["choices"][1].update(token_ids=[1 << 31]), "Expected `int` <"),
        (lambda r: r["usage"].update(completion_tokens=-1), "completion_tokens"),
        (lambda r: r["choices"][1].update(index=0), "answers instead of"),
        (lambda r: r["choices"][0].update(text=7), "str"),
    ],
)
async def test_an_answer_that_is_not_what_was_asked_for_is_refused(change, says):
    good = completions(lambda payload, i: ("x", "stop", None))

    def broken(payload):
        reply = good(payload)
        change(reply)
        return reply

    async with policy(**{"/v1/completions": broken}) as (_, client):
        root = await client.root(QUESTION)
        with pytest.raises(ProtocolError, match=says):
            await client.sample(ask(root))


async def test_choices_may_come_in_any_order():
    good = completions(lambda payload, i: (f"{i}", "stop", None))

    def shuffled(payload):
        reply = good(payload)
        reply["choices"].reverse()
        return reply

    async with policy(**{"/v1/completions": shuffled}) as (_, client):
        samples = await client.sample(ask(await client.root(QUESTION), n=3))
    assert [step.text for step in samples.steps] == ["0", "1", "2"]


async def test_a_prompt_longer_than_the_context_is_refused_before_it_is_sent():
    async with policy(**{"/v1/models": models(max_model_len=300)}) as (server, client):
        root = await client.root(question("p" * 400, "Be brief."))
        with pytest.raises(ContextLengthError, match=r"reads 300"):
            await client.sample(ask(root))
        assert not server.payloads("/v1/completions")


async def test_the_limit_is_clamped_to_the_context_and_a_full_one_ends_by_length():
    async with policy(**{"/v1/models": models(max_model_len=300)}) as (server, client):
        root = Trajectory(Prompt((), "", tuple(range(290))))
        await client.sample(ask(root))
        assert server.payloads("/v1/completions")[0]["max_tokens"] == 10
        full = replace(root, steps=(Step("x\n\n", "stop", 10, tuple(range(10))),))
        samples = await client.sample(ask(full))
    assert samples.steps == (Step("", "length", 0),) * 2


async def test_without_tokenize_the_first_reply_tells_the_prompts_ids():
    async with policy(asking=IN_LLAMA3) as (server, client):
        del server.replies["/tokenize"]
        server.replies["/v1/completions"] = lambda payload: {
            **completions(lambda p, i: ("x\n\n", "stop", "\n\n"))(payload | {"prompt": [1, 2, 3]})
        }
        root = await client.root(QUESTION)
        samples = await client.sample(ask(root))
        assert server.payloads("/v1/completions")[0]["prompt"] == root.prompt.text
    assert root.token_ids == ()
    assert samples.prompt_ids == (1, 2, 3)


async def test_without_tokenize_a_model_whose_template_is_not_named_is_refused():
    async with policy() as (server, client):
        del server.replies["/tokenize"]
        with pytest.raises(RequestError, match=r"--chat-template FILE or --tokenizer DIR"):
            await (await VLLMPolicy.connect(client.server, None)).root(CONVERSATION)


@pytest.mark.parametrize("ids", [None, [], ["x"], [-1]])
async def test_a_reply_that_does_not_tell_the_prompts_ids_either_is_refused(ids):
    def reply(payload):
        reply = completions(lambda p, i: ("x\n\n", "stop", "\n\n"))(payload)
        for choice in reply["choices"]:
            choice["prompt_token_ids"] = ids
        return reply

    async with policy(asking=IN_LLAMA3, **{"/v1/completions": reply}) as (server, client):
        del server.replies["/tokenize"]
        with pytest.raises(ProtocolError, match=r"prompt_token_ids|--policy-api openai"):
            await client.sample(ask(await client.root(QUESTION)))


def qwen(payload):
    reply = tokenize(payload | {"add_generation_prompt": False})
    return {"tokens": [7, 8, 9, 10]} if payload.get("prompt") == "<|start_header_id|>" else reply


CONVERSATION = (
    Message("system", "Be brief."),
    Message("user", "What is 1+1?"),
    Message("assistant", "2\n\n"),
    Message("user", "And 2+2?"),
)


async def test_every_turn_of_a_conversation_is_tokenized_in_the_fixed_template_of_llama_3():
    async with policy() as (server, client):
        root = await client.root(CONVERSATION)
        await client.sample(ask(root))
        (asked,) = [p for p in server.payloads("/tokenize") if "1+1" in p.get("prompt", "")]
        (payload,) = server.payloads("/v1/completions")
    assert root.prompt.messages == CONVERSATION
    assert asked["prompt"] == root.prompt.text == render_llama3(CONVERSATION)
    assert asked["add_special_tokens"] is True
    assert payload["prompt"] == list(root.token_ids)
    assert root.token_ids.count(1) == 1


async def test_a_template_that_refuses_a_system_message_gets_it_with_the_question():
    def mistral(payload):
        turns = payload.get("messages", [])
        if any(turn["role"] == "system" for turn in turns):
            return web.json_response({"error": {"message": "Conversation roles ..."}}, status=400)
        return {"tokens": [ord(letter) for turn in turns for letter in turn["content"]] or [7, 8]}

    async with policy(**{"/tokenize": mistral}) as (_, client):
        root = await client.root(CONVERSATION[:2])
        assert "".join(map(chr, root.token_ids)) == "Be brief.\n\nWhat is 1+1?"
        assert root.prompt.messages == CONVERSATION[:2]


async def test_every_turn_of_a_conversation_goes_into_another_models_own_template():
    async with policy(**{"/tokenize": qwen}) as (server, client):
        root = await client.root(list(CONVERSATION))
        await client.sample(ask(root))
        (asked,) = [p for p in server.payloads("/tokenize") if "messages" in p][2:]
        (payload,) = server.payloads("/v1/completions")
    assert asked == {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What is 1+1?"},
            {"role": "assistant", "content": "2\n\n"},
            {"role": "user", "content": "And 2+2?"},
        ],
        "add_generation_prompt": True,
    }
    assert root.prompt.messages == CONVERSATION
    assert root.token_ids == tuple(map(ord, "Be brief.What is 1+1?2\n\nAnd 2+2?"))
    assert payload["prompt"] == list(root.token_ids)


async def test_another_models_prompt_comes_from_its_own_template():
    async with policy(**{"/tokenize": qwen}) as (server, client):
        root = await client.root(question("What?", "Be brief."))
        (payload,) = [p for p in server.payloads("/tokenize") if "messages" in p][2:]
    assert [m["role"] for m in payload["messages"]] == ["system", "user"]
    assert payload["add_generation_prompt"] is True
    assert len(root.token_ids) == len("Be brief.What?")


async def test_a_model_that_is_not_served_is_named_with_those_that_are():
    async with (
        scripted_server({"/v1/models": models("llama")}) as server,
        Session() as session,
    ):
        with pytest.raises(ConfigError, match=r"'qwen'.*serves llama"):
            await VLLMPolicy.connect(Server(session, server.url, 5), "qwen")


async def test_the_key_goes_into_the_header_alone():
    async with policy() as (server, client):
        await client.sample(ask(await client.root(QUESTION)))
    assert {h["Authorization"] for h in server.headers} == {"Bearer secret"}
    assert "secret" not in str(server.requests)


async def test_sampling_fields_of_ones_own_are_sent():
    own = {"top_k": 20, "min_p": 0.1, "presence_penalty": 1.5}
    async with policy() as (server, client):
        await client.sample(ask(await client.root(QUESTION), **own))
        (payload,) = server.payloads("/v1/completions")
    assert {name: payload[name] for name in own} == own


@pytest.mark.parametrize("status", [500, 422])
async def test_a_gateway_that_refuses_its_own_ids_is_sent_text_from_then_on(status, caplog):
    """As LiteLLM's `hosted_vllm/` does: it has no /tokenize, and returns the ids of the prompt."""
    good = completions(lambda payload, i: ("a step\n\n", "stop", "\n\n"))

    def complete(payload):
        if not isinstance(payload["prompt"], str):
            said = {"error": {"message": "Unmapped prompt format"}}
            return web.json_response(said, status=status)
        return good(payload | {"prompt": [1, *map(ord, payload["prompt"])]})

    served = {"/v1/models": models(), "/v1/completions": complete}
    async with scripted_server(served) as scripted, Session() as session:
        client = await VLLMPolicy.connect(Server(session, scripted.url, 5), None, IN_LLAMA3)
        root = await client.root(QUESTION)
        first = await client.sample(ask(root, n=2))
        prompt = replace(root.prompt, ids=first.prompt_ids)
        step = first.steps[0]
        for _ in range(2):
            samples = await client.sample(ask(Trajectory(prompt, (step,)), n=2))
        prompts = [payload["prompt"] for payload in scripted.payloads("/v1/completions")]
    assert [one.text for one in samples.steps] == ["a step\n\n"] * 2
    assert not client.speaks_ids
    assert prompts[0] == root.prompt.text
    assert prompts[-2:] == [root.prompt.text + step.text] * 2
    assert caplog.text.count("refuses token ids") == 1


async def test_a_failure_of_a_server_that_takes_ids_is_not_taken_for_a_refusal():
    answers = iter([200, 500])
    good = completions(lambda payload, i: ("a step\n\n", "stop", "\n\n"))

    def complete(payload):
        return good(payload) if next(answers) == 200 else web.Response(status=500)

    async with policy(**{"/v1/completions": complete}) as (_, client):
        root = await client.root(QUESTION)
        await client.sample(ask(root, n=1))
        with pytest.raises(TransientServerError):
            await client.sample(ask(root, n=1))
    assert client.speaks_ids
