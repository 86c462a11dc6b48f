"""Replies to other requests, as a server repeats them, and how they are told from our own."""

import asyncio
import json
from contextlib import closing, suppress

import msgspec
import pytest

from tests.fakes.scripted_server import completions, models, scripted_server, tokenize
from ttc_client.clients.echo import Echo
from ttc_client.clients.http import Server
from ttc_client.clients.manners import Manners
from ttc_client.clients.replies import OthersReply
from ttc_client.clients.session import Session
from ttc_client.clients.vllm import VLLMPolicy
from ttc_client.errors import GarbledError
from ttc_client.middleware.retries import RetryBudget, retrying
from ttc_client.search.ports import SampleRequest
from ttc_client.types import Prompt, Trajectory

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


async def test_no_late_copy_of_a_reply_is_taken_for_the_reply_to_the_next_request(caplog):
    answer = completions(lambda payload, i: (str(payload["prompt"][0]), "stop", None))

    async def serve(reader, writer):
        late: list[bytes] = []
        with closing(writer), suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
                said = answer(json.loads(await reader.readexactly(length)))
                body = json.dumps(said).encode()
                reply = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                writer.write(late.pop() if late else reply)
                late.append(reply)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = "http://{}:{}".format(*listener.sockets[0].getsockname())
    async with listener, Session() as opened:
        policy = VLLMPolicy(Server(opened, url, 5), "m", None, False, Echo("m"), Manners(url))
        again: list[object] = []
        sample = retrying(policy.sample, 30, RetryBudget(), again.append)
        for number in range(20):
            samples = await sample(request((number, 2)))
            assert {step.text for step in samples.steps} == {str(number)}
        assert [type(error) for error in again] == [GarbledError]
        assert opened.num_opened == 20
    assert caplog.text.count("replies to other requests") == 1
