"""What is refused, by name and before the first byte, and what is not."""

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hm"}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "Hm"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": " "}]}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages"),
        ({"messages": [{"role": "user", "content": "x", "name": "Eve"}]}, "messages"),
        ({"messages": "Hm"}, "messages"),
        ({"n": 9}, "n"),
        ({"n": 0}, "n"),
        ({"n": "two"}, "n"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": 0}, "temperature"),
        ({"top_p": 0}, "top_p"),
        ({"seed": 2**64}, "seed"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_completion_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"logit_bias": {"5": 1}}, "logit_bias"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"bogus": 1}, "bogus"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"ttc": {"policy": "http://elsewhere"}}, "ttc.policy"),
        ({"ttc": {"return": ["secrets"]}}, "ttc"),
        ({"ttc": {"n": -1}}, "ttc"),
        ({"ttc": 5}, "ttc"),
    ],
)
async def test_a_field_that_cannot_be_honoured_is_a_400_that_names_it(
    caller, fields, param, stream
):
    before = len(caller.policy.requests)
    answer = await caller.chat(
        **{"messages": [{"role": "user", "content": "x"}], "stream": stream, **fields}
    )
    assert (answer.status, answer.error["param"]) == (400, param)
    assert answer.error["type"] == "invalid_request_error"
    assert len(caller.policy.requests) == before


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"temprature": 1}, "temperature"),
        ({"ttc": {"stratgy": "dvts"}}, "ttc.strategy"),
        ({"ttc": {"strategy": "dtvs"}}, "dvts"),
        ({"ttc": {"settings": {"stop_att": 0.9}}}, "stop_at"),
        ({"ttc": {"vote": "majorty"}}, "majority"),
        ({"ttc": {"return": ["trees"]}}, "tree"),
        ({"stream": True, "stream_options": {"include_use": 1}}, "stream_options.include_usage"),
        ({"response_format": {"type": "json_objects"}}, "json_object"),
        ({"messages": [{"role": "users", "content": "x"}]}, "user"),
        ({"model": "scripted:hrad"}, "{model}:hard"),
        ({"model": "fast"}, "{model}:fast"),
    ],
    ids=str,
)
async def test_a_name_that_is_nearly_right_is_answered_with_the_right_one(caller, fields, hint):
    body = {**caller.body(), **fields}
    answer = await caller.post("/v1/chat/completions", body)
    wanted = hint.replace("{model}", caller.model)
    assert answer.error["message"].endswith(f"; did you mean {wanted}?")


async def test_a_name_like_no_other_has_no_hint_and_is_not_repeated_at_length(caller):
    answer = await caller.chat(**{"z` \n`z": 1})
    assert (answer.status, answer.error["param"]) == (400, "z` \n`z")
    assert "did you mean" not in answer.error["message"]
    long = await caller.chat(**{"z" * 10_000: 1})
    assert len(long.error["message"]) < 200


async def test_null_equals_absent_and_neutral_values_ask_for_nothing(caller):
    nothing = {
        "n": None,
        "stop": None,
        "tools": [],
        "tool_choice": None,
        "logprobs": False,
        "user": "me",
        "frequency_penalty": 0,
        "presence_penalty": 0.0,
        "logit_bias": {},
        "store": False,
        "reasoning_effort": None,
        "stream_options": None,
        "ttc": {"n": None},
        "bogus": None,
        "response_format": {"type": "text"},
    }
    assert (await caller.chat(**nothing)).status == 200


async def test_models_are_the_policy_and_its_profiles(caller):
    listed = (await caller.get("/v1/models")).json["data"]
    names = [model["id"] for model in listed]
    profiles = [f"{caller.model}:{name}" for name in ("fast", "hard", "vote", "best")]
    assert names == [caller.model, *profiles]
    assert (await caller.get(f"/v1/models/{names[1]}")).json == listed[1]
    for name in (
        "gpt-4",
        f"{caller.model}:",
        f"{caller.model}:vote:vote",
        f"{caller.model}-vote",
    ):
        answer = await caller.post("/v1/chat/completions", {**caller.body(), "model": name})
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_body_that_is_not_encoded_as_it_says_is_refused(caller, encoding):
    headers = {"Content-Encoding": encoding}
    answer = await caller.post("/v1/chat/completions", b'{"model": "x"}', headers)
    assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(caller, body):
    for path in ("/v1/chat/completions", "/v1/responses"):
        assert (await caller.post(path, body)).error["type"] == "invalid_request_error"
