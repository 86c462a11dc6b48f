"""Verifiers of all kinds through the client: named, opened, recorded, counted."""

import re
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.fakes.judges import chat_judge
from tests.fakes.scripted_server import scripted_server
from ttc_client import Client, SearchParams, Servers
from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.ports import SampleRequest
from ttc_client.testing import walk
from ttc_client.types import Message, Problem, Step

PARAMS = SearchParams(strategy="best-of-n", n=4)
SELF = f"python:{__name__}"
HISTORY = Problem(
    question="Twice it?",
    messages=(Message("user", "7"), Message("assistant", "Yes."), Message("user", "Twice it?")),
)


async def policy(request: SampleRequest) -> list[Step]:
    """Write as `walk` does, surer of what is good, as far as it is asked."""
    steps = []
    for i in range(request.n):
        text, finish = walk(request, i, length=2)
        logps = () if request.top_logprobs is None else (-3.0 if "bad" in text else -0.1,)
        steps.append(Step(text, finish, 1, logprobs=logps))
    return steps


def is_good(problem, steps) -> float:
    return float("bad" not in "".join(steps))


def is_right(problem, steps) -> float:
    return float("right" in steps[-1])


is_right.reads = "solutions"


def right(prompt: str, payload) -> str:
    return f"Verdict: {'no' if 'bad' in prompt else 'yes'}"


async def plain(request):
    return [[0.5] * len(item) for item in request.items]


async def solve(params=PARAMS, problem="p", **servers):
    async with Client(Servers(policy=policy, **servers)) as client:
        return await client.solve(problem, params)


@asynccontextmanager
async def a_judge(say=right):
    async with scripted_server(chat_judge(say)) as server:
        yield server.url


@pytest.mark.parametrize(
    ("api", "says"),
    [
        ("confidence", "confidence (likelihood)"),
        (f"{SELF}:is_good", f"{SELF}:is_good"),
        (f"{SELF}:is_right", f"{SELF}:is_right"),
    ],
)
async def test_a_verifier_without_a_server_finds_the_right_answer_and_is_recorded(api, says):
    result = await solve(SearchParams(strategy="best-of-n", n=16), prm_api=api)
    assert (result.answer, result.prm) == ("right", says)


async def test_a_judge_is_recorded_with_how_it_is_read_and_counted_apart_from_the_policy():
    async with a_judge() as url:
        result = await solve(
            SearchParams(strategy="dvts", n=8), prm=url, prm_api="judge", verdicts=1
        )
    assert result.answer == "right"
    assert result.prm == f"judge (judge, 1 verdict) at {url}"
    assert result.usage.prm_requests
    assert result.usage.prm_completion_tokens == 5 * result.usage.prm_requests
    assert result.usage.policy_requests < result.usage.prm_requests


async def test_unreadable_verdicts_are_counted_in_the_result():
    def moody(prompt: str, payload) -> str:
        return "GRADE: C" if "bad0" in prompt else right(prompt, payload)

    async with a_judge(moody) as url:
        result = await solve(prm=url, prm_api="judge", verdicts=1)
    unread = [c for c in result.candidates if "bad0" in c.text]
    assert unread
    assert {c.reward for c in unread} == {None}
    assert all(c.group is not None for c in unread)
    assert result.usage.failures == {"unreadable verdict": len(unread)}


async def test_a_strategy_that_needs_prefixes_refuses_who_reads_whole_solutions():
    with pytest.raises(ConfigError, match=r"dvts has unfinished solutions scored.*best-of-n"):
        await solve(SearchParams(strategy="dvts", n=4), prm_api=f"{SELF}:is_right")


async def test_several_verifiers_score_as_one_and_are_named_with_their_weights():
    result = await solve(prm=plain, prm_api=f"auto=3,confidence,{SELF}:is_good", combine="mean")
    assert result.prm == (
        "mean of 3 × plain at a function and confidence (likelihood) and " + f"{SELF}:is_good"
    )
    good = [c.reward for c in result.candidates if "bad" not in c.text]
    assert good == pytest.approx([(3 * 0.5 + 0.905 + 1) / 5] * len(good), abs=1e-3)


async def test_what_a_verifier_does_not_read_of_a_conversation_is_said():
    said = "read the last question without the 2 turns before it"
    assert said in (await solve(problem=HISTORY, prm=plain)).note
    assert said not in (await solve(problem=HISTORY, prm_api="confidence")).note
    assert said not in (await solve(prm=plain)).note
    majority = SearchParams(strategy="majority", n=4)
    assert said not in (await solve(majority, problem=HISTORY, prm=plain)).note


async def test_a_function_as_a_policy_cannot_judge_itself():
    with pytest.raises(ConfigError, match="self, but the policy is a function"):
        await solve(prm_api="self")


@pytest.mark.parametrize("text", ["no form", None])
async def test_a_judges_prompt_that_cannot_be_used_is_refused_by_name(text, tmp_path):
    path = tmp_path / "prompt.txt"
    if text:
        path.write_text(text)
    async with a_judge() as url:
        with pytest.raises(ConfigError, match="prompt"):
            await solve(prm=url, prm_api="judge", judge_prompt=str(path))


async def test_a_prompt_of_ones_own_is_what_the_judge_reads(tmp_path):
    path = tmp_path / "prompt.txt"
    path.write_text("Of {problem}:\n{solution}\nHow good is it?\nRating: 0 to 10\n")
    seen: list[str] = []

    def rate(prompt: str, payload) -> str:
        seen.append(prompt)
        return "Rating: 3"

    async with a_judge(rate) as url:
        result = await solve(prm=url, prm_api="judge", judge_prompt=str(path), verdicts=2)
    assert all(prompt.startswith("Of p:\n") for prompt in seen)
    assert {candidate.reward for candidate in result.candidates} == {0.3}


async def test_log_probabilities_are_asked_for_only_where_confidence_reads_them():
    asked: list[int | None] = []

    async def listening(request: SampleRequest) -> list[Step]:
        asked.append(request.top_logprobs)
        return await policy(request)

    for servers in (
        Servers(policy=listening, prm=plain),
        Servers(policy=listening, prm_api="confidence"),
    ):
        async with Client(servers) as client:
            await client.solve("p", PARAMS)
            await client.solve("p", SearchParams(strategy="majority", n=4))
    assert asked == [None, None, 0, None]


def prefers_good(prompt: str, payload) -> str:
    """Compare as `right` judges: the answer that is right, or else the first."""
    if "answer_a" not in prompt:
        return right(prompt, payload)
    a, b = (
        prompt.partition(f"<{name}>")[2].partition("</")[0] for name in ("answer_a", "answer_b")
    )
    return "Better: B" if "right" in b and "right" not in a else "Better: A"


@pytest.mark.parametrize("strategy", ["majority", "best-of-n"])
async def test_a_judge_that_compares_pairs_finds_the_right_answer(strategy):
    params = SearchParams(strategy=strategy, n=16, vote="tournament")
    async with a_judge(prefers_good) as url:
        result = await solve(params, prm=url, prm_api="judge", verdicts=1)
    assert (result.answer, result.vote) == ("right", "tournament")
    assert result.choices["tournament"] == "right"
    assert result.answers[0].answer == "right"
    assert re.match(r"tournament of \d+ pairs, each in both orders: \d+ flipped", result.note)
    assert result.usage.prm_requests >= 2 * int(result.note.split()[2])


async def test_a_tournament_without_a_judge_is_refused():
    with pytest.raises(ConfigError, match="vote is tournament, which needs a judge"):
        await solve(SearchParams(strategy="best-of-n", n=4, vote="tournament"), prm=plain)


async def test_a_judge_that_fails_at_every_pair_is_an_error():
    def fails(prompt: str, payload):
        if "answer_a" in prompt:
            return web.json_response({"error": "no"}, status=400)
        return right(prompt, payload)

    params = SearchParams(strategy="best-of-n", n=8, vote="tournament")
    async with a_judge(fails) as url:
        with pytest.raises(ServerError, match="400: no"):
            await solve(params, prm=url, prm_api="judge", verdicts=1)


async def test_the_open_task_is_decided_by_a_tournament_where_there_is_a_judge():
    async with a_judge(prefers_good) as url:
        judged = Servers(policy=policy, prm=url, prm_api="judge", verdicts=1)
        async with Client(judged, task="open") as client:
            result = await client.solve("p", SearchParams(strategy="best-of-n", n=4))
    assert result.vote == "tournament"
    assert result.answer == result.answers[0].answer
    async with Client(Servers(policy=policy, prm=plain), task="open") as client:
        result = await client.solve("p", SearchParams(strategy="best-of-n", n=4))
    assert result.vote == "weighted"
