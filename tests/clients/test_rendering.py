"""Prompts in the model's own template: from its server, a file, a tokenizer, or not at all."""

import json
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from aiohttp import web

from tests.clients.test_policy_contract import QUESTION, ask
from tests.fakes.scripted_server import models, scripted_server, tokenize
from ttc_client.clients.connect import connect_policy
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.clients.template_file import read_template
from ttc_client.clients.templates import Asking, folded
from ttc_client.errors import ConfigError, RequestError, TransientServerError
from ttc_client.types import Message, Prompt, Trajectory

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}
{{ raise_exception('System role not supported') }}{% endif %}
{% for message in messages %}<start_of_turn>{{ message['role'] }}
{{ message['content'] | trim }}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""
IN_GEMMA = "<start_of_turn>user\nBe brief.\n\np<end_of_turn>\n<start_of_turn>model\n"

FAMILIES = ["google/gemma-2-2b-it", "mistralai/Mistral-7B-Instruct-v0.3", "microsoft/Phi-3-mini"]


@asynccontextmanager
async def policy(replies: dict, *, name="QwQ-32B", asking=None, api="openai"):
    async with scripted_server({"/v1/models": models(name), **replies}) as server, Session() as s:
        yield server, await connect_policy(Server(s, server.url, 5), api, None, asking)


def chat(payload):
    message = {"content": "x"}
    made = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(payload["n"])]
    return {"choices": made}


def completion(payload):
    made = [{"index": i, "text": "x", "finish_reason": "stop"} for i in range(payload["n"])]
    return {"choices": made}


@pytest.mark.parametrize("name", [*FAMILIES, "QwQ-32B", "meta-llama/Llama-3.2-1B-Instruct"])
async def test_no_template_is_guessed_from_a_name(name):
    served = {"/v1/completions": completion, "/v1/chat/completions": chat}
    async with policy(served, name=name) as (server, client):
        root = await client.root(QUESTION)
        await client.sample(ask(root, n=2, stop=()))
        with pytest.raises(RequestError, match=r"--chat-template FILE or --tokenizer DIR, or use"):
            await client.sample(ask(root))
        assert not server.payloads("/v1/completions")
        (sent,) = server.payloads("/v1/chat/completions")
    assert sent["messages"][-1] == {"role": "user", "content": "p"}


async def test_a_servers_own_template_is_used_for_steps():
    def apply(payload):
        turns = "".join(f"[{turn['role']}]{turn['content']}" for turn in payload["messages"])
        return {"prompt": f"<s>{turns}[assistant]"}

    served = {"/apply-template": apply, "/v1/completions": completion}
    async with policy(served) as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
        assert (
            server.payloads("/v1/completions")[0]["prompt"] == "[system]Be brief.[user]p[assistant]"
        )


@pytest.mark.parametrize("api", ["openai", "vllm"])
async def test_a_moments_load_does_not_decide_the_template(api):
    def busy(_):
        return web.json_response({"error": "busy"}, status=503)

    async with (
        scripted_server(
            {"/v1/models": models("QwQ-32B"), "/apply-template": busy, "/tokenize": busy}
        ) as server,
        Session() as s,
    ):
        with pytest.raises(TransientServerError, match="busy"):
            await connect_policy(Server(s, server.url, 5), api, None, None)


async def test_a_template_that_refuses_a_system_message_gets_it_with_the_question():
    def apply(payload):
        if payload["messages"][0]["role"] == "system":
            return web.json_response(
                {"error": {"message": "System role not supported"}}, status=500
            )
        return {"prompt": payload["messages"][0]["content"]}

    async with policy({"/apply-template": apply}) as (_, client):
        assert (await client.root(QUESTION)).prompt.text == "Be brief.\n\np"
    assert folded(QUESTION[1:]) == QUESTION[1:]


async def test_what_the_template_is_told_reaches_it_and_the_chat_api():
    asking = Asking(kwargs={"enable_thinking": False}, extra_body={"mirostat": 2})
    served = {"/v1/chat/completions": chat}
    async with policy(served, asking=asking) as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
        (sent,) = server.payloads("/v1/chat/completions")
        probes = [*server.payloads("/apply-template"), *server.payloads("/tokenize")]
    assert {json.dumps(p["chat_template_kwargs"]) for p in [sent, *probes]} == {
        '{"enable_thinking": false}'
    }
    assert sent["mirostat"] == 2


@pytest.mark.parametrize("thinks", [True, False])
async def test_a_text_in_the_thoughts_field_alone_is_the_answer_where_thinking_is_off(thinks):
    message = {"content": None, "reasoning_content": "It is 4."}
    reply = {"choices": [{"message": message, "finish_reason": "stop"}]}
    asking = Asking(kwargs={"enable_thinking": thinks})
    async with policy({"/v1/chat/completions": lambda _: reply}, asking=asking) as (_, client):
        request = ask(await client.root(QUESTION), n=1, stop=())
        if thinks:
            with pytest.raises(Exception, match="only a thought"):
                await client.sample(request)
        else:
            assert (await client.sample(request)).steps[0].text == "It is 4."


@pytest.mark.parametrize("end", ["<think>\n\n</think>\n\n", "<think>\n", ""])
async def test_such_a_text_is_the_answer_where_the_rendered_prompt_ends_the_thought(end):
    message = {"content": None, "reasoning": "It is 4."}
    served = {
        "/apply-template": lambda payload: {"prompt": payload["messages"][-1]["content"] + end},
        "/v1/chat/completions": lambda _: {
            "choices": [{"message": message, "finish_reason": "stop"}]
        },
    }
    async with policy(served) as (_, client):
        request = ask(await client.root(QUESTION), n=1, stop=())
        if "</think>" in end:
            assert (await client.sample(request)).steps[0].text == "It is 4."
        else:
            with pytest.raises(Exception, match="only a thought"):
                await client.sample(request)


@pytest.mark.parametrize("api", ["vllm", "openai"])
async def test_tools_are_asked_for_with_all_sampling_fields(api):
    served = {"/tokenize": tokenize, "/v1/chat/completions": chat}
    extra = {"mirostat": 2, "min_p": 0.3}
    asking = Asking(kwargs={"enable_thinking": False}, extra_body=extra)
    async with policy(served, api=api, asking=asking) as (server, client):
        root = Trajectory(Prompt(tuple(QUESTION), chat={"tools": [1], "top_k": 3}))
        request = ask(root, n=2, stop=())
        await client.sample(replace(request, top_k=7, min_p=0.1, presence_penalty=0.5))
        (sent,) = server.payloads("/v1/chat/completions")
    assert sent["presence_penalty"] == 0.5
    assert sent["repetition_penalty"] == 1.0
    assert (sent["min_p"], sent["mirostat"]) == (0.3, 2)  # the user's own come first
    assert (sent["top_k"], sent["tools"]) == (3, [1])  # and before them the caller's
    assert sent["chat_template_kwargs"] == {"enable_thinking": False}


def test_a_file_renders_as_its_family_does(tmp_path):
    file = tmp_path / "gemma.jinja"
    file.write_text(GEMMA)
    render = read_template(str(file), None)
    assert render is not None
    assert render(QUESTION, {}) == IN_GEMMA


@pytest.mark.parametrize("shape", ["string", "list", "file"])
def test_a_tokenizers_directory_has_the_template_and_its_tokens(tmp_path, shape):
    template = "{{ messages[0]['content'] }}{{ eos_token }}{{ bos_token }}"
    named = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": template}]
    config: dict = {"eos_token": {"content": "</s>"}, "bos_token": "<s>"}
    if shape == "file":
        (tmp_path / "chat_template.jinja").write_text(template)
    else:
        config["chat_template"] = named if shape == "list" else template
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    render = read_template(None, str(tmp_path))
    assert render is not None
    assert render([Message("user", "p")], {}) == "p</s>"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{% for %}", "is not one"),
        ("{{ ''.__class__.__mro__ }}", "fails"),
        ("{{ raise_exception('no tools') }}", "no tools"),
        ("{% for i in range(10 ** 9) %}x{% endfor %}", "fails"),
    ],
)
def test_a_template_that_is_broken_or_breaks_out_is_refused_with_its_file(tmp_path, source, says):
    file = tmp_path / "t.jinja"
    file.write_text(source)

    def rendered() -> str:
        render = read_template(str(file), None)
        assert render is not None
        return render([Message("user", "p")], {})

    with pytest.raises(ConfigError, match=f"t.jinja.*{says}"):
        rendered()


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"chat_template is .*none\.jinja, which cannot be read"):
        read_template(str(tmp_path / "none.jinja"), None)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(ConfigError, match="has no chat_template"):
        read_template(None, str(tmp_path))


@pytest.mark.parametrize("path", ["/dev/zero", "a\0b", "."])
def test_a_path_that_names_no_small_file_is_refused(path):
    for chat_template, tokenizer in ((path, None), (None, path)):
        with pytest.raises(ConfigError, match=r"cannot be read|is not"):
            read_template(chat_template, tokenizer)


@pytest.mark.parametrize(
    "source",
    ["{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}", "{% if a %}" * 200 + "{% endif %}" * 200],
    ids=["brackets", "conditions"],
)
def test_a_template_that_nests_more_deeply_than_python_can_is_refused(tmp_path, source):
    file = tmp_path / "t.jinja"
    file.write_text(source)
    with pytest.raises(ConfigError, match=r"t\.jinja is not one"):
        read_template(str(file), None)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ('{"chat_template":' + "[" * 100_000, "is not JSON"),
        ('{"chat_template": [1, "x", null]}', "has no chat_template"),
        ('{"chat_template": [{"name": "default", "template": 5}]}', "has no chat_template"),
    ],
    ids=["deep", "a list of other things", "a template that is no text"],
)
def test_a_tokenizers_configuration_of_another_shape_is_refused(tmp_path, config, says):
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises(ConfigError, match=says):
        read_template(None, str(tmp_path))
