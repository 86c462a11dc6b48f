"""Chat requests that a search answers: what is asked, which candidate wins, what is said of it."""

import asyncio
import json
from collections.abc import Callable, Iterator

import pytest

from tests.gateway.serving import Caller, serving
from ttc_client.testing import ScriptedPolicy

pytestmark = pytest.mark.asyncio(loop_scope="package")

ONE = r"\boxed{1}"


async def test_the_vote_wins_where_most_candidates_give_an_answer(caller: Caller):
    texts = (r"So \boxed{4}.", r"Thus \boxed{5}.", r"Hence \boxed{4.0}.")
    answer = await caller.chat(text="|".join(texts))
    told = answer.json["ttc"]
    assert answer.status == 200
    assert told["decided_by"] == "majority"
    assert told["answer"] in ("4", "4.0")
    assert sum(group["votes"] for group in told["answers"]) == 8
    assert answer.json["choices"][0]["message"]["content"] in (texts[0], texts[2])


async def test_a_conversation_that_is_no_maths_gets_no_prompt_and_the_verifiers_best(
    caller: Caller,
):
    parts = ("The dull one.|The bright one.", "The dullest.|7 dwarfs.")
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Name one."},
        {"role": "assistant", "content": "Grumpy, 7.", "refusal": None, "annotations": []},
        {"role": "user", "content": [{"type": "text", "text": part} for part in parts]},
    ]
    answer = await caller.chat("best", turns)
    assert answer.json["choices"][0]["message"]["content"].startswith("The bright one.")
    assert answer.json["ttc"]["decided_by"] == "reward"
    assert [(m.role, m.content) for m in caller.policy.requests[0].messages] == [
        ("system", "Be brief."),
        ("user", "Name one."),
        ("assistant", "Grumpy, 7."),
        ("user", "\n".join(parts)),
    ]
    assert caller.verifier.requests[0].question == "\n".join(parts)


@pytest.fixture
def logprobs(caller: Caller) -> Iterator[Callable[[dict[str, float]], None]]:
    """Say how likely the policy finds the tokens of each text."""
    before = caller.policy.logprob

    def are(given: dict[str, float]) -> None:
        caller.policy.logprob = lambda text: given[text]

    yield are
    caller.policy.logprob = before
    caller.policy.refuses_logprobs = False
    caller.gateway.searches.gives_logprobs = True


async def test_without_votes_and_verifier_the_most_confident_is_returned(caller, logprobs):
    logprobs({"One of them.": -0.9, "Another.": -0.2, "A third.": -0.5})
    for text in ("One of them.|Another.|A third.", "Another.|One of them.|A third."):
        answer = await caller.chat(text=text)
        assert answer.json["ttc"]["decided_by"] == "confidence"
        assert answer.json["choices"][0]["message"]["content"] == "Another."
    assert {request.top_logprobs for request in caller.policy.requests} == {0}


async def test_confidence_decides_between_no_answers_that_vote(caller, logprobs):
    logprobs({r"\boxed{1}": -0.9, r"\boxed{2}": -0.1})
    answer = await caller.chat(text=r"\boxed{1}|\boxed{1}|\boxed{1}|\boxed{2}")
    assert (answer.json["ttc"]["decided_by"], answer.json["ttc"]["answer"]) == ("majority", "1")


async def test_a_server_that_refuses_logprobs_is_asked_without_from_then_on(caller, logprobs):
    caller.policy.refuses_logprobs = True
    for asked in ([0, None], [None]):
        caller.policy.requests.clear()
        answer = await caller.chat(text="One of them.|Another.")
        assert (answer.status, answer.json["ttc"]["decided_by"]) == (200, "order")
        found = [request.top_logprobs for request in caller.policy.requests]
        assert list(dict.fromkeys(found)) == asked


async def test_a_task_brings_its_prompt_and_keeps_the_callers_own(caller: Caller):
    turns = [
        {"role": "developer", "content": "In French."},
        {"role": "system", "content": "And short."},
        {"role": "user", "content": ONE},
    ]
    await caller.chat("fast", turns)
    system, user = caller.policy.requests[0].messages
    assert (system.role, user.role) == ("system", "user")
    assert system.content.startswith("Solve the following math problem")
    assert system.content.endswith("\n\nIn French.\n\nAnd short.")


async def test_n_returns_the_best_distinct_answers_and_says_what_is_missing(caller: Caller):
    answer = await caller.chat(text=r"\boxed{1}|\boxed{2}|\boxed{1}", n=3)
    choices = answer.json["choices"]
    assert [choice["index"] for choice in choices] == [0, 1]
    assert [choice["message"]["content"] for choice in choices] == [ONE, r"\boxed{2}"]
    assert answer.json["ttc"]["shortfall"] == 1


async def test_sampling_fields_reach_the_policy(caller: Caller):
    fields = {"temperature": 0.3, "top_p": 0.5, "seed": 7, "stop": ["END", "!"]}
    first = await caller.chat(text=ONE, **fields, max_completion_tokens=99)
    await caller.chat(text=ONE, max_tokens=98, max_completion_tokens=None)
    assert first.json["ttc"]["seed"] == 7
    request, other = caller.policy.requests[0], caller.policy.requests[-1]
    assert (request.temperature, request.top_p, request.ends) == (0.3, 0.5, ("END", "!"))
    assert (request.max_tokens, other.max_tokens) == (99, 98)
    assert request.seed != other.seed


@pytest.mark.parametrize(
    ("profile", "fields", "taken"),
    [
        ("eager", {"temperature": 0}, 0.7),
        ("eager", {"temperature": 0.2}, 0.2),
        ("eager", {}, 0.8),
        ("eager", {"temperature": 0, "ttc": {"n": 1}}, 0.0),
        ("plain", {"temperature": 0, "ttc": {"strategy": "greedy"}}, 0.0),
        ("plain", {"temperature": 0}, None),
    ],
    ids=str,
)
async def test_temperature_0_is_sampled_as_the_profile_says_or_refused(profile, fields, taken):
    policy = ScriptedPolicy(lambda request, i: (ONE, "eos"), tokens=len)
    profiles = ("eager=majority:4,at-zero=0.7", "plain=majority:4")
    async with serving(policy, profiles=profiles) as caller:
        answer = await caller.chat(profile, **fields)
    if taken is None:
        assert (answer.status, answer.error["param"]) == (400, "temperature")
        assert "leave it out" in answer.error["message"]
        assert "at-zero=0.8" in answer.error["message"]
    else:
        assert answer.json["ttc"]["temperature"] == taken
    assert {request.temperature for request in policy.requests} == {taken} - {None}


async def test_requests_at_once_keep_their_own_settings(caller: Caller):
    asked = [
        caller.chat(name, f"q{i}", temperature=0.1 + i / 100)
        for i, name in enumerate(("fast", "vote", "best", "hard") * 3)
    ]
    answers = await asyncio.gather(*asked)
    assert {answer.status for answer in answers} == {200}
    found: dict[str, set[float]] = {}
    for request in caller.policy.requests:
        found.setdefault(request.messages[-1].content, set()).add(request.temperature)
    assert found == {f"q{i}": {0.1 + i / 100} for i in range(12)}


async def test_a_cut_completion_is_length_and_does_not_vote(caller: Caller):
    answer = await caller.chat(text="cut:" + ONE)
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert answer.json["ttc"]["counts"]["votes"] == 0


async def test_what_is_asked_for_is_returned(caller: Caller):
    plain = await caller.chat(text=ONE)
    answer = await caller.chat(text=ONE, ttc={"return": ["candidates", "tree"]})
    assert not {"candidates", "tree"} & plain.json["ttc"].keys()
    assert answer.json["ttc"]["candidates"][0]["text"] == ONE
    assert answer.json["ttc"]["tree"]


async def test_a_request_departs_from_its_profile_up_to_its_ceiling(caller: Caller):
    less = await caller.chat("hard", ONE, ttc={"strategy": "majority", "n": 3})
    assert (less.json["ttc"]["strategy"], less.json["ttc"]["n"]) == ("majority", 3)
    settings = {"table": "/etc/passwd"}
    for extension in (
        {"n": 12},
        {"strategy": "os:system"},
        {"strategy": "compute-optimal", "settings": settings},
        {"settings": {"lookahead": 3}},
        {"max_steps": 41},
    ):
        answer = await caller.chat("hard", ONE, ttc=extension)
        assert (answer.status, answer.error["param"]) == (400, "ttc"), extension


async def test_the_chunks_of_a_stream_are_openais(caller: Caller):
    text = "A text of several words, which is sent in several pieces. " + ONE
    whole = await caller.chat(text=text)
    answer = await caller.chat(text=text, stream=True, stream_options={"include_usage": True})
    short = await caller.chat(text=text, stream=True)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    *data, last = [data for _, data in answer.events]
    assert last == "[DONE]"
    chunks = [json.loads(chunk) for chunk in data]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    *parts, usage = chunks
    deltas = [chunk["choices"][0]["delta"] for chunk in parts]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert all("role" not in delta for delta in deltas[1:])
    said = "".join(delta.get("content", "") for delta in deltas)
    assert said == whole.json["choices"][0]["message"]["content"] == text
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in parts]
    assert reasons == [None] * (len(parts) - 1) + ["stop"]
    assert (usage["choices"], usage["usage"]) == ([], whole.json["usage"])
    assert all("usage" not in json.loads(data) for _, data in short.events[:-1])
    assert parts[-1]["ttc"]["answer"] == "1"


async def test_a_stream_of_several_choices_keeps_them_apart(caller: Caller):
    text = r"First \boxed{1}|Second \boxed{2}"
    whole = await caller.chat(text=text, n=2)
    answer = await caller.chat(text=text, n=2, stream=True, stream_options={"include_usage": True})
    said = {0: "", 1: ""}
    chunks = [json.loads(data) for _, data in answer.events[:-1]]
    for chunk in chunks[:-1]:
        (piece,) = chunk["choices"]
        said[piece["index"]] += piece["delta"].get("content", "")
    messages = [choice["message"]["content"] for choice in whole.json["choices"]]
    assert list(said.values()) == messages
    assert chunks[-1]["usage"] == whole.json["usage"]


async def test_a_vote_that_is_decided_early_says_so_and_is_counted(caller: Caller):
    answer = await caller.chat(text=ONE, ttc={"settings": {"stop_at": 0.9}})
    assert answer.json["ttc"]["note"].startswith("decided after ")
    metrics = (await caller.get("/metrics")).body.decode()
    assert 'ttc_early_stops_total{profile="vote",reason="decided"} 1' in metrics
