"""Budget forcing: thoughts that go on, thoughts that are ended, in every strategy."""

import json
from dataclasses import replace

import pytest

from tests.search.thinkers import RESPONSE, SHAPES, Thinker, text_of, tokens, write
from ttc_client.errors import ConfigError
from ttc_client.search.forcing import ENOUGH, MOST_WAITS, forcing_note
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.strategies import STRATEGIES
from ttc_client.search.thinking import said
from ttc_client.testing.searches import run_search
from ttc_client.types import Message, Prompt, Trajectory

SHORT = "Two and two."
LONGER = " it may be five. No, it is four."
LONG = "Two and two are four. " * 20


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def shape(request):
    return request.param


async def verifier(request: ScoreRequest) -> Scores:
    return Scores(tuple((0.5,) * len(item) for item in request.items))


async def searched(policy, strategy="best-of-n", *, n=4, **params):
    asked = SearchParams(strategy=strategy, n=n, m=2, **params)
    return await run_search(asked, policy, verifier, root=policy.shape.root, write=write)


def texts(found):
    return {pick.trajectory.text for pick in found.picks}


async def test_a_thought_that_ends_too_early_goes_on_after_wait(shape):
    policy = Thinker(shape, [SHORT, LONGER])
    found = await searched(policy, think_tokens="12:400")
    (text,) = texts(found)
    gap = "" if shape.ending.startswith("\n") else "\n"
    ends = "\n" if shape.ending.startswith("\n") else ""
    thought = f"{SHORT}{ends}{gap}Wait{LONGER}"
    assert text == shape.opening + thought + shape.ending + RESPONSE
    assert said(found.picks[0].trajectory).answer == RESPONSE


async def test_a_thought_within_its_budget_is_left_alone(shape):
    policy = Thinker(shape, [SHORT])
    found = await searched(policy, think_tokens="2:400")
    assert texts(found) == {shape.opening + SHORT + shape.ending + RESPONSE}
    assert not any(step.forced.num_tokens for pick in found.picks for step in pick.trajectory.steps)


async def test_a_thought_that_is_too_long_is_ended_and_the_answer_asked_for(shape):
    policy = Thinker(shape, [LONG])
    found = await searched(policy, think_tokens=":30")
    for pick in found.picks:
        text, answer = pick.trajectory.text, said(pick.trajectory).answer
        assert answer == RESPONSE
        thought = text[: text.index(ENOUGH)]
        assert len(tokens(thought)) == 30
        assert text.startswith(shape.opening + LONG[:40])
        assert pick.trajectory.finish == "eos"


async def test_the_policy_goes_on_from_the_exact_tokens(shape):
    policy = Thinker(shape, [SHORT, LONGER, LONG])
    found = await searched(policy, think_tokens="40:60")
    for trajectory in (
        *(r.trajectory for r in policy.requests),
        *(p.trajectory for p in found.picks),
    ):
        assert text_of(trajectory.token_ids[3:]) == trajectory.text
        assert trajectory.num_tokens == len(trajectory.token_ids) - 3


async def test_marks_that_are_no_tokens_of_their_own_are_taken_back(monkeypatch):
    shape = SHAPES["in another family's marks"]
    policy = Thinker(shape, ["Two [and", LONGER])

    async def in_parts(text):  # the mark reads as other tokens by itself than at its place
        step = await write(text)
        return replace(step, token_ids=(*step.token_ids[:-1], 10**6)) if "[/" in text else step

    asked = SearchParams(strategy="majority", n=2, m=2, think_tokens="12:400")
    found = await run_search(asked, policy, root=shape.root, write=in_parts)
    (text,) = texts(found)
    assert text == f"[THINK]Two [and\nWait{LONGER}[/THINK]{RESPONSE}"
    assert text_of(found.picks[0].trajectory.token_ids[3:]) == text


async def test_a_policy_with_no_more_to_say_is_not_asked_for_ever(shape):
    policy = Thinker(shape, [SHORT, "."])
    found = await searched(policy, "greedy", n=1, temperature=0.0, think_tokens="1000:1500")
    (pick,) = found.picks
    assert pick.trajectory.text.count("Wait") == MOST_WAITS
    assert pick.trajectory.finish == "eos"
    assert len(policy.requests) <= MOST_WAITS + 3


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "compute-optimal"])
async def test_every_strategy_keeps_to_the_budget(name, shape):
    policy = Thinker(shape, [SHORT, LONG])
    n = 1 if name == "greedy" else 16
    temperature = 0.0 if name == "greedy" else 0.8
    found = await searched(
        policy, name, n=n, temperature=temperature, think_tokens="12:60", max_completion_tokens=300
    )
    assert found.picks
    for pick in found.picks:
        thought = said(pick.trajectory)
        assert thought.answer == RESPONSE
        assert thought.thought.startswith("Two and two.")
        assert "Wait" in thought.thought
        assert thought.thought.endswith("directly now.")
        assert [step.forced.is_closed for step in pick.trajectory.steps].count(True) == 1
        assert text_of(pick.trajectory.token_ids[3:]) == pick.trajectory.text


@pytest.mark.parametrize("strategy", ["dvts", "best-of-n", "rejection"])
async def test_a_thoughts_own_steps_are_held_to_the_budget(strategy, shape):
    policy = Thinker(shape, ["Two.\n\nAnd two.", LONG.replace(". ", ".\n\n")])
    found = await searched(
        policy, strategy, n=4, thoughts="score", think_tokens="20:50", max_steps=100
    )
    for pick in found.picks:
        thought = said(pick.trajectory)
        assert thought.answer == RESPONSE
        assert "Wait" in thought.thought
        assert len(pick.trajectory.scores) == len(pick.trajectory.readings)
        assert "And two." in "\n".join(pick.trajectory.readings)


async def test_no_two_requests_share_a_seed_and_a_search_repeats_itself(shape):
    first, second = (Thinker(shape, [SHORT, LONGER, LONG]) for _ in range(2))
    for policy in (first, second):
        await searched(policy, "dvts", n=8, think_tokens="25:60")
    seeds = [request.seed + i for request in first.requests for i in range(request.n)]
    assert len(seeds) == len(set(seeds))
    assert sorted(seeds) == sorted(r.seed + i for r in second.requests for i in range(r.n))


async def test_what_is_put_in_has_no_log_probabilities_and_costs_none_of_the_others(shape):
    policy = Thinker(shape, [SHORT, LONG])
    asked = SearchParams(strategy="best-of-n", n=2, m=2, think_tokens="12:60")
    found = await run_search(asked, policy, verifier, root=shape.root, write=write, top_logprobs=0)
    for pick in found.picks:
        (step,) = pick.trajectory.steps
        assert len(step.logprobs) == step.num_tokens - step.forced.num_tokens
        assert step.forced.num_tokens > 1


async def test_a_policy_that_does_not_think_is_as_without_a_budget():
    policy = Thinker(SHAPES["marked by the model"], [""])
    policy._rest = lambda trajectory: RESPONSE[len(trajectory.text) :]
    found = await searched(policy, "dvts", n=4, think_tokens="12:60")
    assert texts(found) == {RESPONSE}
    assert {t.readings[0] for t in found.sampled} == {"Add them."}
    budget = SearchParams(think_tokens="12:60").thought_budget
    said_so = forcing_note(budget, [pick.trajectory for pick in found.picks])
    assert said_so == "the policy did not think, so that think_tokens changed nothing"


async def test_the_note_counts_what_was_forced():
    shape = SHAPES["opened by the prompt"]
    for thoughts, says in (
        ([SHORT, LONG], "of 4 thoughts, 4 went on after Wait and 4 were ended at 60 tokens"),
        ([LONG[:100]], "of 4 thoughts, 0 went on after Wait and 0 were ended at 60 tokens"),
    ):
        found = await searched(Thinker(shape, thoughts), think_tokens="12:60")
        budget = SearchParams(think_tokens="12:60").thought_budget
        picked = [pick.trajectory for pick in found.picks for _ in range(int(pick.votes))]
        assert forcing_note(budget, picked) == says


async def test_a_thought_that_the_server_cut_has_no_vote_and_is_not_ended():
    shape = SHAPES["opened by the prompt"]
    policy = Thinker(shape, [LONG])
    step = policy.step

    def full(request):
        return replace(step(replace(request, max_tokens=min(20, request.max_tokens))))

    policy.step = full
    found = await searched(policy, think_tokens=":50")
    assert {pick.trajectory.finish for pick in found.picks} == {"length"}
    assert all(said(pick.trajectory).is_open for pick in found.picks)


async def test_thoughts_whose_marks_the_server_left_out_are_refused():
    policy = Thinker(SHAPES["marked by the model"], [""])
    policy._rest = lambda trajectory: "analysisTwo and two.assistantfinal4"
    with pytest.raises(ConfigError, match="skip_special_tokens"):
        await searched(policy, think_tokens="12:60")


async def test_tools_and_a_budget_do_not_go_together():
    root = Trajectory(Prompt((Message("user", "p"),), chat={"tools": []}))
    asked = SearchParams(strategy="majority", n=2, m=2, think_tokens="12:60")
    with pytest.raises(ConfigError, match="tools or a response format"):
        await run_search(asked, Thinker(SHAPES["in channels"], [SHORT]), root=root)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"think_tokens": "500"}, "write MIN:MAX"),
        ({"think_tokens": "a:b"}, "write MIN:MAX, such as 500:4000"),
        ({"think_tokens": "-1:"}, "MIN must not be above MAX"),
        ({"think_tokens": "-1:9"}, "MIN must not be above MAX"),
        ({"think_tokens": "9:3"}, "MIN must not be above MAX"),
        ({"think_tokens": ":0"}, "nor MAX below 1"),
        ({"think_tokens": "5:2048"}, "leaves no room for the answer: raise it"),
        ({"think_tokens": "5000:"}, "leaves no room for the answer: raise it"),
        ({"think_tokens": "5:9", "compat": "sal"}, "leave one out"),
        (
            {"think_tokens": "5:9", "thoughts": "score", "step_delimiter": tuple("abcd")},
            "name one less",
        ),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else None,
)
def test_budgets_that_cannot_be_kept_are_refused(given, says):
    with pytest.raises(ConfigError, match=says):
        SearchParams(**given)


@pytest.mark.parametrize(("given", "budget"), [("5:9", (5, 9)), (":9", (0, 9)), ("5:", (5, 2048))])
def test_either_end_of_a_budget_may_be_left_out(given, budget):
    assert SearchParams(think_tokens=given).thought_budget == budget
