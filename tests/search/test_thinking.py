"""Searches with a model that thinks: what is scored, what a step is, and what votes."""

import pytest

from ttc_client.answers import extract_answer
from ttc_client.errors import ConfigError
from ttc_client.search.ballot import Ballot
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.search.results import Rules, candidates, counts
from ttc_client.search.thinking import without_thoughts
from ttc_client.testing.searches import run_search
from ttc_client.types import Message, Step

RESPONSE = "Add them.\n\nSo \\boxed{4}."


class Thinker:
    """Write one text, up to the stop strings, from wherever a request goes on."""

    def __init__(self, text: str, *, cut: str = "") -> None:
        self.text, self.cut = text, cut
        self.requests: list[SampleRequest] = []

    async def __call__(self, request: SampleRequest) -> Samples:
        self.requests.append(request)
        rest = self.text[len(request.trajectory.text) :]
        ends = [at + len(s) for s in request.stop if (at := rest.find(s)) >= 0]
        end = min(ends, default=len(rest))
        finish = "stop" if ends else self.cut or "eos"
        return Samples((Step(rest[:end], finish, max(1, end // 4)),) * request.n)


class Reader:
    """Score every step, and remember what was read."""

    def __init__(self) -> None:
        self.read: list[str] = []

    async def __call__(self, request: ScoreRequest) -> Scores:
        self.read += [step for item in request.items for step in item]
        return Scores(tuple((0.5,) * len(item) for item in request.items))


async def searched(strategy: str, text: str, *, cut: str = "", **params):
    policy, verifier = Thinker(text, cut=cut), Reader()
    asked = SearchParams(strategy=strategy, n=4, m=2, **params)
    found = await run_search(asked, policy, verifier)
    ballot = Ballot(extract_answer, as_they_are)
    read, groups = await candidates(found.picks, asked, ballot, Rules(), scored=True)
    return policy, verifier, found, read, groups


async def as_they_are(answers):
    return answers


THOUGHTS = {
    "marked": "<think>\nTwo.\n\nAnd two \\boxed{5}.\n</think>\n\n" + RESPONSE,
    "another pair": "[THINK]Two.\n\nAnd two \\boxed{5}.[/THINK]" + RESPONSE,
    "channels": "<|channel|>analysis<|message|>Two. \\boxed{5}<|end|><|start|>assistant"
    "<|channel|>final<|message|>" + RESPONSE,
}


@pytest.mark.parametrize("text", THOUGHTS.values(), ids=THOUGHTS)
async def test_the_verifier_reads_the_response_and_the_answer_is_read_in_it(text):
    _, verifier, _, read, groups = await searched("best-of-n", text)
    assert set(verifier.read) == {"Add them.", "So \\boxed{4}."}
    assert [group.answer for group in groups] == ["4"]
    assert "Two." in read[0].thought
    assert [step.text for step in read[0].steps] == ["Add them.", "So \\boxed{4}."]


async def test_the_steps_of_a_thought_are_scored_where_that_is_asked_for():
    _, verifier, _, read, _ = await searched("best-of-n", THOUGHTS["marked"], thoughts="score")
    assert set(verifier.read) == {"Two.", "And two \\boxed{5}.", "Add them.", "So \\boxed{4}."}
    assert read[0].answer == "4"


@pytest.mark.parametrize("strategy", ["dvts", "beam"])
async def test_a_thought_and_the_first_step_behind_it_are_one_step(strategy):
    policy, verifier, found, _, groups = await searched(strategy, THOUGHTS["marked"])
    assert set(verifier.read) == {"Add them.", "So \\boxed{4}."}
    first = next(t for t in found.sampled if len(t.path) == 1)
    assert first.text.endswith("</think>\n\nAdd them.\n\n")
    assert first.readings == ("Add them.",)
    assert [group.answer for group in groups] == ["4"]
    seeds = [r.seed + i for r in policy.requests for i in range(r.n)]
    assert len(seeds) == len(set(seeds))
    stops = [request.stop for request in policy.requests]
    assert stops.count(("</think>",)) == 4  # of each first step


async def test_a_thought_is_stepped_through_where_its_steps_are_scored():
    policy, verifier, *_ = await searched("dvts", THOUGHTS["marked"], thoughts="score")
    assert {request.stop for request in policy.requests} == {("\n\n",)}
    assert "Two." in verifier.read


@pytest.mark.parametrize("cut", ["length", "eos"])
async def test_an_open_thought_has_no_vote_whatever_ended_it(cut):
    text = "<think>\nTwo and two, so \\boxed{5}"
    _, verifier, found, read, groups = await searched("best-of-n", text, cut=cut)
    assert not verifier.read
    assert not groups
    assert all(candidate.in_thought and not candidate.answer for candidate in read)
    assert counts(found, read).in_thought == (4 if cut == "eos" else 0)


async def test_a_step_that_thinks_to_its_completions_last_token_is_cut():
    text = "<think>\n" + "so on\n\n" * 50
    policy, _, found, _, groups = await searched("dvts", text, max_completion_tokens=40)
    assert {t.finish for t in found.sampled} <= {"length", "eos"}
    assert all(request.max_tokens >= 1 for request in policy.requests)
    assert not groups


async def test_steps_end_at_delimiters_of_ones_own():
    policy, verifier, *_ = await searched(
        "dvts", "One.\nTwo; three \\boxed{4}", step_delimiter=("\n", ";")
    )
    assert {request.stop for request in policy.requests} == {("\n", ";")}
    assert set(verifier.read) == {"One.", "Two", "three \\boxed{4}"}


@pytest.mark.parametrize(
    ("delimiters", "says"),
    [
        ((), "servers take 1 to 4"),
        (("a",) * 5, "servers take 1 to 4"),
        (("",), "is empty"),
        ((r"re:\n+",), "no server stops at a regular expression"),
    ],
)
def test_delimiters_that_no_server_takes_are_refused(delimiters, says):
    with pytest.raises(ConfigError, match=says):
        SearchParams(step_delimiter=delimiters)


def test_the_thoughts_of_earlier_turns_are_not_sent_again():
    turns = (
        Message("user", "<think>a user's</think>"),
        Message("assistant", "<think>\nTwo.\n</think>\n\nIt is 4."),
        Message("assistant", "It is 5."),
    )
    said = [turn.content for turn in without_thoughts(turns)]
    assert said == ["<think>a user's</think>", "It is 4.", "It is 5."]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"top_k": 0}, "top_k is 0"),
        ({"min_p": 1.0}, r"min_p is 1\.0"),
        ({"presence_penalty": 3.0}, r"presence_penalty is 3\.0"),
        ({"thoughts": "keep"}, "thoughts is 'keep'"),
    ],
)
def test_settings_that_no_server_takes_are_refused(setting, says):
    with pytest.raises(ConfigError, match=says):
        SearchParams(**setting)
