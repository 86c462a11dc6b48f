"""Sequential revision on scripted ports: what each attempt sees, and which of them vote."""

import asyncio

import pytest

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.found import Found
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.results import search_tree
from ttc_client.search.revise import ReviseSettings
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, run_search
from ttc_client.types import Finish


def params_of(n: int, revisions: int) -> SearchParams:
    own = ReviseSettings(revisions=revisions)
    return SearchParams(strategy="revise", n=n, settings=own)


def num_seen(request: SampleRequest) -> int:
    return sum(message.role == "assistant" for message in request.messages)


def place_in_chain(request: SampleRequest) -> tuple[int, int]:
    """The chain, and how many attempts come before; each is a prompt and an answer below it."""
    path = request.trajectory.path
    return (path[0] if path else -1), (len(path) + 1) // 2


def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
    chain, before = place_in_chain(request)
    return f"attempt {before} of {chain}", "eos"


async def search(policy: ScriptedPolicy, n: int = 12, revisions: int = 6, judge=None) -> Found:
    prm = ScriptedVerifier(judge or (lambda text: 0.5))
    return await run_search(params_of(n, revisions), policy, prm, question="why?")


async def test_each_attempt_sees_the_last_four_of_its_own_chain_and_the_question():
    policy = ScriptedPolicy(write)
    found = await search(policy)
    assert sorted(num_seen(request) for request in policy.requests) == sorted(
        2 * [0, 1, 2, 3, 4, 4]
    )
    (last,) = [r for r in policy.requests if place_in_chain(r) == (1, 5)]
    roles = [message.role for message in last.messages]
    assert roles == ["user", *4 * ["assistant", "user"]]
    assert last.messages[0].content == "why?"
    shown = [message.content for message in last.messages if message.role == "assistant"]
    assert shown == ["attempt 1 of 1", "attempt 2 of 1", "attempt 3 of 1", "attempt 4 of 1"]
    assert len(found.sampled) == 12
    assert all(request.n == 1 and request.stop == () for request in policy.requests)


async def test_the_best_attempt_of_each_chain_votes_and_the_verifier_reads_the_first_question():
    def judge(text: str) -> float:
        return 0.9 if text in ("attempt 2 of 0", "attempt 0 of -1") else 0.4

    def written(request: SampleRequest, i: int) -> tuple[str, Finish]:
        text, finish = write(request, i)
        return text, "length" if text == "attempt 0 of -1" else finish

    policy = ScriptedPolicy(written)
    prm = ScriptedVerifier(judge)
    found = await run_search(params_of(8, 4), policy, prm, question="why?")
    texts = [(pick.trajectory.text, pick.votes, pick.weight) for pick in found.picks]
    assert texts == [("attempt 2 of 0", 1, None), ("attempt 1 of 1", 1, None)]
    assert {request.question for request in prm.requests} == {"why?"}
    assert found.note == "the best attempt of each of 2 chains of 4 votes"


async def test_a_slow_chain_holds_up_no_other():
    held = asyncio.Event()

    def gate(request: SampleRequest) -> asyncio.Event | None:
        return held if request.trajectory.path[:1] == (0,) else None

    policy = ScriptedPolicy(write, gate)
    task = asyncio.create_task(search(policy, 8, 4))
    for _ in range(200):
        await asyncio.sleep(0)
    assert [
        place_in_chain(request) for request in policy.requests if place_in_chain(request)[1]
    ] == [
        *((0, 1), (1, 1), (1, 2), (1, 3)),
    ]
    held.set()
    await task


async def test_a_revision_that_fails_ends_its_chain_and_what_the_chain_has_stands():
    def fails(request: SampleRequest, i: int) -> tuple[str, Finish]:
        if place_in_chain(request) == (0, 2):
            raise ServerError("full", url="http://nowhere", status=400)
        return write(request, i)

    found = await search(ScriptedPolicy(fails), 8, 4)
    assert [len([t for t in found.sampled if t.path[0] == chain]) for chain in (0, 1)] == [2, 4]
    assert len(found.picks) == 2


async def test_the_tree_shows_what_was_asked_anew_between_an_attempt_and_the_next():
    found = await search(ScriptedPolicy(write), 2, 2)
    nodes = search_tree(found)
    assert [(node.path, node.is_prompt, node.kept) for node in nodes] == [
        ((0,), False, True),
        ((0, 0), True, True),
        ((0, 0, 0), False, False),
    ], "the first attempt votes, and the second is made of it"
    assert nodes[1].text.startswith("This solution may be wrong.")
    assert nodes[1].score is None


@pytest.mark.parametrize(
    ("n", "revisions", "says"),
    [
        (8, 0, "revisions is 0: it must be 1 or more"),
        (2, 4, "n is 2 and revisions is 4: revise needs n to be at least revisions"),
        (6, 4, "n is 6 and revisions is 4: revise needs n to be a multiple of revisions, such as"),
    ],
)
async def test_what_makes_no_whole_chains_is_said(n, revisions, says):
    with pytest.raises(ConfigError, match=says):
        await search(ScriptedPolicy(write), n, revisions)
