"""Which model is meant of those that a server lists, and where its API lies."""

import pytest

from tests.clients.test_openai import ask, choices
from tests.clients.test_policy_contract import QUESTION
from tests.fakes.scripted_server import scripted_server
from ttc_client.clients.http import Server
from ttc_client.clients.models import served_model, served_policy
from ttc_client.clients.openai import OpenAIPolicy
from ttc_client.clients.session import Session
from ttc_client.errors import ConfigError, RequestError


def listing(*models: str | dict):
    data = [model if isinstance(model, dict) else {"id": model} for model in models]
    return lambda _: {"object": "list", "data": data}


async def taken(*models: str | dict, wanted: str | None = None) -> tuple[str, int | None]:
    async with scripted_server({"/v1/models": listing(*models)}) as server, Session() as session:
        _, *found = await served_policy(Server(session, server.url, 5), wanted)
        return found[0], found[1]


@pytest.mark.parametrize(
    "other",
    [
        "text-embedding-nomic-embed-text-v1.5",
        "bge-m3",
        "BAAI/bge-reranker-v2-m3",
        "intfloat/e5-mistral-7b-instruct",
        "openai/whisper-large-v3",
        "sentence-transformers/all-MiniLM-L6-v2",
        {"id": "nomic", "type": "embeddings"},
    ],
)
async def test_a_model_that_writes_nothing_is_not_taken_for_the_policy(other, caplog):
    assert (await taken(other, "llama-3.2-3b-instruct"))[0] == "llama-3.2-3b-instruct"
    assert "llama-3.2-3b-instruct is taken; --model names another" in caplog.text
    with pytest.raises(ConfigError, match=r"none seems to write text.*--model"):
        await taken(other)


async def test_of_several_that_write_the_first_is_taken_and_said_and_one_alone_is_not(caplog):
    assert (await taken("qwen2.5-7b", "gemma-2-2b"))[0] == "qwen2.5-7b"
    assert "serves qwen2.5-7b, gemma-2-2b: qwen2.5-7b is taken" in caplog.text
    caplog.clear()
    assert (await taken("gte-like-but-chosen", wanted="gte-like-but-chosen"))[0].startswith("gte")
    assert (await taken("qwen2.5-7b"))[0] == "qwen2.5-7b"
    assert not caplog.text


async def test_an_adapter_reads_what_its_base_model_does():
    listed = (
        {"id": "base", "max_model_len": 200, "parent": None},
        {"id": "maths", "max_model_len": None, "parent": "base"},
        {"id": "lost", "max_model_len": None, "parent": "lost"},
    )
    assert await taken(*listed, wanted="maths") == ("maths", 200)
    assert await taken(*listed, wanted="lost") == ("lost", None)


@pytest.mark.parametrize("base", ["/v1beta/openai", "/v3", "/v1-openai", "/api/v2/"])
@pytest.mark.parametrize("model", [None, "m"])
async def test_an_api_that_does_not_lie_below_v1_is_asked_where_it_lies(base, model):
    chat = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    root = base.rstrip("/")
    served = {f"{root}/models": listing("m"), f"{root}/chat/completions": lambda _: chat}
    async with scripted_server(served) as server, Session() as session:
        client = await OpenAIPolicy.connect(Server(session, server.url + root, 5), model)
        samples = await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
    assert samples.steps[0].text == "x"


async def test_below_v1_comes_first_and_a_server_without_a_list_is_told_as_such():
    served = {
        "/api/v1/models": listing("right"),
        "/api/models": listing("wrong"),
        "/api/v1/completions": lambda _: choices("x"),
    }
    async with scripted_server(served) as server, Session() as session:
        client = await OpenAIPolicy.connect(Server(session, f"{server.url}/api", 5), None)
        assert client.model == "right"
        with pytest.raises(RequestError, match=r"/else/v1/models answered 404"):
            await served_policy(Server(session, f"{server.url}/else", 5), None)


async def test_a_verifiers_model_may_be_of_any_kind():
    async with scripted_server({"/v1/models": listing("bge-m3")}) as server, Session() as session:
        assert await served_model(Server(session, server.url, 5), None) == ("bge-m3", None)
