"""What a server refuses is found out once, whatever its words, and not sent again."""

import asyncio

import pytest
from aiohttp import web

from tests.clients.test_openai import ask, choices, policy, split
from tests.clients.test_policy_contract import QUESTION
from tests.clients.test_vllm import policy as vllm_policy
from tests.fakes.scripted_server import completions
from ttc_client.errors import RequestError
from ttc_client.middleware.parts import in_parts


def refusal(message: str, status: int = 400) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status)


def chat_choices(*texts: str) -> dict:
    made = [
        {"index": i, "message": {"content": text}, "finish_reason": "stop"}
        for i, text in enumerate(texts)
    ]
    return {"choices": made}


SAID_OF_N = [
    ("'n' : number must be at most 1", 400),
    ("n > 1 is not supported", 400),
    ("Multiple completions (n>1) are not supported by this model", 400),
    ("`n` must be 1", 422),
    ("Field 'n': Value must be between 1 <= value <= 1", 400),
    ("only one choice per request", 400),
    ("candidateCount can only be 1", 400),
    ("Currently only one output is supported", 500),
    ("this endpoint returns a single completion", 500),
    ("Only one completion choice is allowed", 500),
    ("Invalid request", 400),  # in words that tell nothing
    ("Unprocessable", 422),
]


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/chat/completions"])
@pytest.mark.parametrize(("said", "status"), SAID_OF_N)
async def test_a_server_that_refuses_n_is_asked_one_by_one_and_not_asked_again(path, said, status):
    def reply(payload):
        if payload["n"] > 1:
            return refusal(said, status)
        text = str(payload["seed"])
        return chat_choices(text) if "chat" in path else choices(text)

    async with policy(**{path: reply}) as (server, client):
        root = await client.root(QUESTION)
        for _ in range(2):
            samples = await split(client, ask(root, n=4, stop=()))
            assert [step.text for step in samples.steps] == ["5", "6", "7", "8"]
        asked = [payload["n"] for payload in server.payloads(path)]
        if "chat" in path:
            assert len(server.payloads("/v1/completions")) == 1
    assert asked.count(4) == 1


SAID_OF_MOST = [
    ("Field 'n': Value must be between 1 <= value <= 4", 400),  # llama-server of 4 slots
    ("n must be at most 4", 400),
    ("Number of choices (n) must be less than or equal to 4", 422),
    ("'n' must be between 1 and 4", 400),
]


@pytest.mark.parametrize(("said", "status"), SAID_OF_MOST)
async def test_a_limit_that_a_refusal_states_is_used_to_the_full(said, status):
    def reply(payload):
        if payload["n"] > 4:
            return refusal(said, status)
        return choices(*[str(payload["seed"] + i) for i in range(payload["n"])])

    async with policy(**{"/v1/completions": reply}) as (server, client):
        root = await client.root(QUESTION)
        for _ in range(2):
            samples = await split(client, ask(root, n=10, stop=()))
            assert [step.text for step in samples.steps] == [str(5 + i) for i in range(10)]
        asked = [payload["n"] for payload in server.payloads("/v1/completions")]
    assert asked.count(10) == 1
    assert sorted(asked) == [2, 2, 4, 4, 4, 4, 10]


NEUTRAL_500 = "'<' not supported between instances of 'int' and 'NoneType'"


async def test_a_field_on_which_a_server_fails_each_time_is_left_out():
    """As llama-cpp-python does on `top_k: -1`."""

    def reply(payload):
        if payload.get("top_k") == -1:
            return refusal(NEUTRAL_500, 500)
        return choices(*["x"] * payload["n"])

    async with policy(**{"/v1/completions": reply}) as (server, client):
        root = await client.root(QUESTION)
        for _ in range(2):
            await client.sample(ask(root, n=2))
        payloads = server.payloads("/v1/completions")
    assert "top_k" not in payloads[-1]
    assert payloads[-1]["n"] == 2
    assert sum("top_k" in payload for payload in payloads) == 3  # of 2 requests, and one repetition


NAMED_500 = (
    "1 validation error:\n  {'type': 'greater_than_equal', 'loc': ('body', 'top_k'), 'msg': "
    "'Input should be greater than or equal to 0', 'input': -1, 'ctx': {'ge': 0}}"
)


async def test_a_field_that_a_failure_names_is_left_out_alone():
    """As llama-cpp-python 0.3.36 says it; without min_p and the like, it would take its own."""

    def reply(payload):
        if payload.get("top_k", 0) < 0:
            return refusal(NAMED_500, 500)
        return choices(*["x"] * payload["n"])

    async with policy(**{"/v1/completions": reply}) as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=1))
        refused, taken = server.payloads("/v1/completions")
    assert set(refused) - set(taken) == {"top_k"}


async def test_a_mishap_teaches_nothing():
    failures = iter([500])

    def reply(payload):
        if status := next(failures, None):
            return refusal("worker died", status)
        return choices(*["x"] * payload["n"])

    async with policy(**{"/v1/completions": reply}) as (server, client):
        await client.sample(ask(await client.root(QUESTION), n=2))
        assert server.payloads("/v1/completions")[-1]["top_k"] == -1


async def test_chat_that_passes_over_n_is_asked_one_by_one():
    path = "/v1/chat/completions"
    async with policy(**{path: lambda p: chat_choices(str(p["seed"]))}) as (server, client):
        samples = await split(client, ask(await client.root(QUESTION), n=3, stop=()))
        assert [payload["n"] for payload in server.payloads(path)] == [3, 1, 1, 1]
    assert [step.text for step in samples.steps] == ["5", "6", "7"]


@pytest.mark.parametrize("passes_over", [True, False])
async def test_vllms_api_behind_a_gateway_that_gives_one_choice_is_asked_one_by_one(passes_over):
    good = completions(lambda payload, i: (str(payload["seed"]), "stop", None))

    def reply(payload):
        if payload["n"] > 1 and not passes_over:
            return refusal("n > 1 is not supported")
        return good(payload | {"n": 1})

    async with vllm_policy(**{"/v1/completions": reply}) as (server, client):
        sample = in_parts(client.sample, lambda: client.most_choices)
        for _ in range(2):
            samples = await sample(ask(await client.root(QUESTION), n=3))
        asked = [payload["n"] for payload in server.payloads("/v1/completions")]
    assert [step.text for step in samples.steps] == ["5", "6", "7"]
    assert asked.count(3) == 1


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (["top_k", "min_p"], "Unrecognized request arguments supplied: min_p, top_k"),
        (["top_k"], "top_k must be >= 0"),
        (["repetition_penalty"], "Unsupported parameter: 'repetition_penalty'"),
        (["top_k"], [{"type": "extra_forbidden", "loc": ["body", "top_k"], "msg": "Extra"}]),
        (["seed"], "property 'seed' is unsupported"),
        (["temperature"], "'temperature' does not support 0.8 with this model. Only the default"),
        (["top_k", "min_p", "repetition_penalty"], "Bad Request"),
    ],
    ids=lambda value: "-".join(map(str, value))[:40] if isinstance(value, list) else value[:40],
)
async def test_a_field_that_a_strict_server_refuses_is_left_out_once_it_has_said_so(refused, said):
    def complete(payload):
        if any(field in payload for field in refused):
            body = {"detail": said} if isinstance(said, list) else {"error": {"message": said}}
            return web.json_response(body, status=400)
        return choices(*["x"] * payload["n"])

    async with policy(**{"/v1/completions": complete}) as (server, client):
        root = await client.root(QUESTION)
        for _ in range(3):
            samples = await client.sample(ask(root, n=4))
        payloads = server.payloads("/v1/completions")
    assert len(samples.steps) == 4
    assert all(field not in payload for payload in payloads[-3:] for field in refused)
    others = {"top_k", "min_p", "repetition_penalty", "seed", "temperature"} - set(refused)
    assert others <= set(payloads[-1])


async def test_a_server_that_wants_another_name_for_the_limit_gets_it():
    def chat(payload):
        if "max_tokens" in payload:
            said = "'max_tokens' is not supported with this model. Use 'max_completion_tokens'."
            return refusal(said)
        return chat_choices(*["x"] * payload["n"])

    async with policy(**{"/v1/chat/completions": chat}) as (server, client):
        for _ in range(2):
            await client.sample(ask(await client.root(QUESTION), n=2, stop=()))
        limits = [p.get("max_completion_tokens") for p in server.payloads("/v1/chat/completions")]
    assert limits == [None, 64, 64]


async def test_a_value_that_the_user_chose_and_a_server_refuses_is_the_users_to_change():
    said = "temperature must be <= 0.5"
    async with policy(**{"/v1/completions": lambda _: refusal(said)}) as (_, client):
        with pytest.raises(RequestError, match=r"temperature must be <= 0\.5"):
            await client.sample(ask(await client.root(QUESTION), n=1))


async def test_requests_at_once_find_out_together():
    held = asyncio.Event()

    async def complete(payload):
        if payload["n"] > 1:
            await held.wait()
            return refusal("Invalid request")
        return choices(str(payload["seed"]))

    async with policy(**{"/v1/completions": complete}) as (server, client):
        root = await client.root(QUESTION)
        asking = [
            asyncio.create_task(split(client, ask(root, n=2, stop=(), seed=seed)))
            for seed in (10, 20, 30)
        ]
        while len(server.payloads("/v1/completions")) < 3:
            await asyncio.sleep(0)
        held.set()
        texts = [[step.text for step in (await one).steps] for one in asking]
        tried = [payload["n"] for payload in server.payloads("/v1/completions")]
    assert texts == [["10", "11"], ["20", "21"], ["30", "31"]]
    assert len(tried) == 3 + 2 + 6  # each as it is, two tries for less by one, and one by one


async def test_a_refusal_that_less_does_not_help_is_raised_and_tried_for_once():
    async with policy(**{"/v1/completions": lambda _: refusal("No.")}) as (server, client):
        root = await client.root(QUESTION)
        for count in (2, 3):
            with pytest.raises(RequestError, match=r"No\."):
                await client.sample(ask(root, n=2))
            assert len(server.payloads("/v1/completions")) == count


async def test_a_server_that_refuses_stop_strings_is_read_as_a_stream():
    def complete(payload):
        if payload.get("stop"):
            return refusal("Unsupported parameter: stop")
        text = 'data: {"choices": [{"text": "a step\\n\\nmore"}]}\n\n'
        return web.Response(text=text, content_type="text/event-stream")

    async with policy(**{"/v1/completions": complete}) as (server, client):
        for _ in range(2):
            samples = await split(client, ask(await client.root(QUESTION), n=2))
        stops = [payload.get("stop") for payload in server.payloads("/v1/completions")]
    assert [step.text for step in samples.steps] == ["a step\n\n"] * 2
    assert stops == [["\n\n"], *[None] * 4]


async def test_a_model_for_chat_alone_is_found_by_its_refusal():
    def complete(payload):
        return refusal("This is a chat model; use the v1/chat/completions endpoint", 400)

    served = {"/v1/completions": complete, "/v1/chat/completions": lambda _: chat_choices("x")}
    async with policy(**served) as (server, client):
        for _ in range(2):
            await client.sample(ask(await client.root(QUESTION), n=1, stop=()))
        assert len(server.payloads("/v1/completions")) == 1
