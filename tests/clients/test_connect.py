"""Which way of asking `auto` finds, from what a server answers."""

import pytest
from aiohttp import web

from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import models, scripted_server, tokenize
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.errors import ProtocolError, RequestError, TransientServerError


def refused(status=400):
    return lambda _: web.json_response({"error": {"message": "no"}}, status=status)


def vllm(*paths, **more):
    """Refuse a request without its fields, as vLLM does, on all these paths."""
    return {"/v1/models": models(), "/tokenize": tokenize} | dict.fromkeys(paths, refused()) | more


def one_token(payload):
    return {"tokens": [7]} if payload["prompt"] == "<extra_0>" else tokenize(payload)


SERVERS = {
    "scoring protocol": (PRM_SERVERS["score"].replies(lambda _: 0.5), "scoring protocol"),
    "vLLM": (vllm("/generative_scoring", "/v1/completions"), "RLHFlow, generative scoring"),
    "older vLLM": (vllm("/v1/completions"), "RLHFlow, completions"),
    "stumbling": (
        vllm(**{"/generative_scoring": refused(500)}),
        "RLHFlow, generative scoring",
    ),
    "pooling vLLM": (
        vllm("/pooling", "/score", **{"/classify": refused(501)}),
        "RLHFlow, token classification",
    ),
    "Qwen PRM": (vllm("/pooling", "/classify", **{"/tokenize": one_token}), "step pooling"),
    "classifying vLLM": (
        vllm("/pooling", "/score", **{"/classify": lambda _: {"data": []}}),
        "outcome, classification",
    ),
    "TGI": (PRM_SERVERS["tgi"].replies(lambda _: 0.5), "RLHFlow, TGI"),
    "llama.cpp": (PRM_SERVERS["llama-cpp"].replies(lambda _: 0.5), "RLHFlow, llama.cpp"),
    "TEI": (PRM_SERVERS["tei"].replies(lambda _: 0.5), "outcome, TEI"),
}


@pytest.mark.parametrize(("replies", "how"), SERVERS.values(), ids=SERVERS)
async def test_the_way_of_asking_is_found_and_said(replies, how):
    async with scripted_server(replies) as server, Session() as session:
        client = await connect_prm(Server(session, server.url, 5), "auto")
    assert client.name.endswith(f" ({how})")


FAILURES = {
    "401": (refused(401), RequestError, "THE_KEY"),
    "503": (refused(503), TransientServerError, "503"),
    "HTML": (lambda _: web.Response(text="<html>"), ProtocolError, "right kind of server"),
}


@pytest.mark.parametrize(("answer", "error", "says"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_is_no_finding(answer, error, says):
    replies = dict.fromkeys(("/score", "/generative_scoring", "/info", "/v1/models"), answer)
    async with scripted_server(replies) as server, Session() as session:
        with pytest.raises(error, match=says):
            await connect_prm(Server(session, server.url, 5, None, "THE_KEY"), "auto")
