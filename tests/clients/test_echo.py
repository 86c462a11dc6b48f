"""Replies to other requests, as a server repeats them, and how they are told from our own."""

import asyncio
import json
from contextlib import asynccontextmanager, closing, suppress

import msgspec
import pytest

from tests.fakes.scripted_server import completions, models, scripted_server, tokenize
from ttc_client.clients.echo import Echo, check_length, check_seed
from ttc_client.clients.http import Server
from ttc_client.clients.manners import Manners
from ttc_client.clients.replies import OthersReply
from ttc_client.clients.scores import ScoreProtocol
from ttc_client.clients.session import Session
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import GarbledError, ProtocolError
from ttc_client.search.ports import SampleRequest, ScoreRequest
from ttc_client.types import Problem, Prompt, Trajectory

SENT = b"[1,2,3]"


@pytest.mark.parametrize("repeated", ["[1,2,3]", "[1, 2,\n 3]", "null"])
def test_the_prompt_that_was_sent_may_be_repeated_or_left_out(repeated):
    Echo("m").check_prompt(SENT, msgspec.Raw(repeated.encode()))


@pytest.mark.parametrize("repeated", ["[1,2,4]", "[1,2]", "[12,3]", "[]", '"[1,2,3]"', "{}"])
def test_another_prompt_is_that_of_another_request(repeated):
    with pytest.raises(OthersReply, match="another prompt"):
        Echo("m").check_prompt(SENT, msgspec.Raw(repeated.encode()))


@pytest.mark.parametrize(
    ("names", "last_is_ours"),
    [
        (("m", "m", "m"), True),
        (("m", None, "", "m"), True),
        (("gateway/m", "gateway/m"), True),
        (("gateway/m", "m"), True),
        (("m", "other"), False),
        (("gateway/m", "other"), False),
    ],
)
def test_a_model_has_one_name_beside_the_one_that_was_asked_for(names, last_is_ours):
    echo = Echo("m")
    for name in names[:-1]:
        echo.check_model(name)
    if last_is_ours:
        echo.check_model(names[-1])
        return
    with pytest.raises(OthersReply, match=f"by the model {names[-1]!r}, not {names[0]!r}"):
        echo.check_model(names[-1])


def request(ids: tuple[int, ...]) -> SampleRequest:
    return SampleRequest(Trajectory(Prompt((), "", ids)), 2, 0.8, 1.0, 64, (), seed=5)


async def test_the_reply_to_another_request_is_garbled():
    answer = completions(lambda payload, i: ("x", "stop", None))
    spoiled = [{}, {"prompt": [7]}, {}]
    names = iter(["m", "m", "other"])

    def spoil(payload):
        return {**answer({**payload, **spoiled.pop(0)}), "model": next(names)}

    replies = {"/v1/models": models("m"), "/tokenize": tokenize, "/v1/completions": spoil}
    async with scripted_server(replies) as scripted, Session() as opened:
        policy = await VLLMPolicy.connect(Server(opened, scripted.url, 5), None)
        await policy.sample(request((1, 2)))
        with pytest.raises(GarbledError, match="for another prompt"):
            await policy.sample(request((1, 2)))
        with pytest.raises(GarbledError, match="by the model 'other'"):
            await policy.sample(request((1, 2)))


@asynccontextmanager
async def late_copies(reply, *, are_late_by: int = 1):
    """Run a server that sends late copies: for each reply one of those before."""

    async def serve(reader, writer):
        late: list[bytes] = []
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                body = json.dumps(reply(head.split()[1].decode(), asked)).encode()
                late.append(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                writer.write(late[-1] if len(late) <= are_late_by else late[-1 - are_late_by])

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield "http://{}:{}".format(*listener.sockets[0].getsockname())


def as_vllm(path, asked):
    text = str(asked["prompt"][0])
    return completions(lambda payload, i: (text, "stop", None))(asked)


def with_nothing_repeated(path, asked):
    said = as_vllm(path, asked)
    for choice in said["choices"]:
        choice.pop("prompt_token_ids")
    return {**said, "id": "", "usage": {}}


@pytest.mark.parametrize("reply", [as_vllm, with_nothing_repeated])
@pytest.mark.parametrize("late_by", [1, 2])
async def test_no_late_copy_of_a_reply_is_taken_for_the_reply_to_a_later_request(
    reply, late_by, caplog
):
    async with late_copies(reply, are_late_by=late_by) as url, Session() as opened:
        policy = VLLMPolicy(Server(opened, url, 5), "m", None, False, Echo("m"), Manners(url))
        for number in range(20):
            samples = await policy.sample(request((number, 2)))
            assert {step.text for step in samples.steps} == {str(number)}
    assert caplog.text.count("replies to other requests") == 1


async def test_two_clients_of_one_server_are_not_given_each_others_late_replies(caplog):
    def reply(path, asked):
        if path == "/score":
            return {"scores": [[0.5] * len(item) for item in asked["items"]]}
        return with_nothing_repeated(path, asked)

    async with late_copies(reply) as url, Session() as opened:
        policy = VLLMPolicy(Server(opened, url, 5), "m", None, False, Echo("m"), Manners(url))
        verifier = ScoreProtocol(Server(opened, url, 5))
        for number in range(10):
            samples = await policy.sample(request((number, 2)))
            assert {step.text for step in samples.steps} == {str(number)}
            await verifier.score(ScoreRequest(Problem(question="q"), (), (("a",) * number,)))
    assert "replies to other requests" in caplog.text


async def test_a_server_that_answers_all_alike_is_asked_again_once():
    replies = {"/ask": lambda _: {"value": 7}}
    async with scripted_server(replies) as scripted, Session() as opened:
        server = Server(opened, scripted.url, 5)
        for number in range(9):
            await server.post("/ask", {"number": number}, dict[str, int])
        assert [asked["number"] for asked in scripted.payloads("/ask")] == [0, 1, *range(1, 9)]
        assert opened.num_opened == 2


async def test_the_wrong_kind_of_server_is_asked_again_once_where_it_may_have_been_late():
    replies = {"/ask": lambda asked: asked}
    async with scripted_server(replies) as scripted, Session() as opened:
        server = Server(opened, scripted.url, 5)
        await server.post("/ask", {"value": 7}, dict[str, int])
        with pytest.raises(ProtocolError, match="Expected `int`"):
            await server.post("/ask", {"value": "x"}, dict[str, int])
        assert len(scripted.payloads("/ask")) == 3


@pytest.mark.parametrize(
    "check",
    [
        lambda: check_length(40, 4, 41),
        lambda: check_seed(7, 8),
        lambda: check_seed(None, 8),
    ],
)
def test_what_belongs_to_another_request(check):
    with pytest.raises(OthersReply):
        check()


def test_what_may_belong_to_the_request():
    for counted in (0, 40, 160):
        check_length(40, 4, counted)
    check_seed(7, 7)
    check_seed(7, None)


def test_a_gateway_with_several_models_is_believed_on_new_connections():
    echo = Echo("auto")
    echo.check_model("a", is_first=True)
    echo.check_model("b", is_first=True)
    echo.check_model("b")
    with pytest.raises(OthersReply):
        echo.check_model("a")
