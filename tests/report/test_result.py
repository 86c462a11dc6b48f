"""What is printed of a search: an answer, votes that add up, and lines that fit."""

import io
import re
from dataclasses import replace

from rich.console import Console

from ttc_client import Client, SearchParams, Servers
from ttc_client.report.result import print_result
from ttc_client.search.ports import SampleRequest
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier
from ttc_client.types import AnswerGroup, Finish, SearchResult

WORDS = "Now take the longest of all the sides that there are and halve it until it is odd. "


def _write(request: SampleRequest, i: int) -> tuple[str, Finish]:
    """Write one of three first steps, then an end that is right, wrong or none."""
    if not request.trajectory.steps and request.stop:
        return f"## Step {'abc'[i % 3]}\n{WORDS}\n\n", "stop"
    ends = ("so $\\boxed{7}$", "so $\\boxed{8}$", "so nothing")
    return f"{WORDS}{ends[i % 3]}", "length" if i % 4 == 3 else "eos"


def _judge(text: str) -> float:
    return 0.9 if "7" in text else 0.4


async def _solved(strategy: str, n: int) -> SearchResult:
    policy, prm = ScriptedPolicy(_write), ScriptedVerifier(_judge)
    async with Client(Servers(policy=(policy,), prm=(prm,))) as client:
        return await client.solve("What is it?", SearchParams(strategy=strategy, n=n, m=4))


def _printed(result: SearchResult, width: int = 80, *, tree: bool = False) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    print_result(result, console, tree=tree)
    return console.file.getvalue().splitlines()


async def test_64_samples_of_which_3_first_steps_are_distinct_add_up():
    result = await _solved("beam", 64)
    counts = result.counts
    assert (counts.first_steps, counts.distinct_first_steps) == (64, 3)
    text = " ".join(" ".join(_printed(result)).split())
    assert "64 first steps were 3 distinct ones: copies are searched once, and counted" in text
    assert (
        f"{counts.sampled} steps sampled → {counts.finished} completions, "
        f"{counts.distinct} of them distinct → {counts.votes:g} votes"
    ) in text
    assert counts.sampled == sum(node.multiplicity for node in result.tree)
    assert counts.sampled == 64 + counts.finished
    votes = sum(group.votes for group in result.answers)
    assert counts.votes == votes
    held = [c for c in result.candidates if c.group is None]
    assert sum(c.votes for c in result.candidates) == votes + sum(c.votes for c in held)
    assert counts.cut + counts.unanswered >= sum(c.votes for c in held) > 0
    assert f"{result.answers[0].votes:g} of {votes:g} candidates)" in text


async def test_what_has_no_vote_is_told_with_the_reason():
    result = await _solved("best-of-n", 12)
    lines = _printed(result)
    assert result.counts.votes + result.counts.cut + result.counts.unanswered == 12
    assert "3 completions cut by a token limit: without a vote" in lines
    assert "3 completions without an answer: no vote" in lines
    assert any(line.startswith("12 completions, 3 of ") for line in lines)


async def test_without_a_verifier_there_are_no_rewards_and_one_vote():
    lines = _printed(await _solved("majority", 8))
    assert lines[0].split() == ["answer", "votes", "chosen", "by"]
    assert lines[1].split() == ["7", "2", "majority"]
    text = "\n".join(lines)
    for word in ("prm", "PRM", "weighted", "reward"):
        assert word not in text
    scored = "\n".join(_printed(await _solved("best-of-n", 8)))
    assert "summed reward" in scored
    assert "prm, weighted, majority" in scored


async def test_votes_that_are_weighed_without_a_verifier_show_their_weights():
    """Each vote has a confidence of 1, that of the scripted tokens."""
    result = await _solved("deepconf", 9)
    assert (result.vote, result.choices) == ("weighted", {"weighted": "7", "majority": "7"})
    lines = _printed(result)
    assert lines[0].split() == ["answer", "votes", "summed", "weight", "chosen", "by"]
    assert lines[1].split() == ["7", "9", "9.00", "weighted,", "majority"]
    assert " ".join(" ".join(lines).split()).endswith(
        " 9 of 9 traces above the bar, a confidence of 1; the warm-up of 16 takes all 9, "
        "so that nothing is saved"
    )


async def test_one_candidate_is_not_several():
    lines = _printed(await _solved("greedy", 1))
    assert "Answer: 7   (majority vote; 1 of 1 candidate)" in lines
    assert "1 completion, 1 of them distinct → 1 vote" in lines


async def test_wrapped_lines_of_a_solution_keep_their_indent():
    lines = _printed(await _solved("beam", 8), 60)
    start = lines.index("Best solution") + 1
    solution = lines[start : lines.index("", start)]
    (first, *others) = [line for line in solution if line.strip()]
    assert first.startswith("0.400  ## Step ")
    assert len(others) > 3
    assert all(line.startswith(("0.900  ", "       ")) for line in others)


async def test_nothing_is_wider_than_the_screen():
    result = await _solved("beam", 64)
    long = AnswerGroup("9" * 200, 1, 0.1, 0.1)
    result = replace(result, answers=(*result.answers, long), note="decided \x1b[2Jearly")
    for width in (60, 80):
        lines = _printed(result, width, tree=True)
        assert max(map(len, lines)) <= width
        assert "\x1b" not in "".join(lines)
        assert "".join(lines).count("9") >= 200
        cost = [line for line in lines if "tokens generated" in line or "requests" in line]
        assert all(re.fullmatch(r"[^·]+(?: · [^·]+)*", line) for line in cost)
        assert cost[-1].endswith(" s")


async def test_no_answer_is_said_to_be_none():
    result = await _solved("best-of-n", 2)
    lines = _printed(replace(result, answer="", answers=(), choices={}))
    assert "No answer: no candidate came to an end with one." in lines
    assert not any("votes" in line and "chosen by" in line for line in lines)


async def test_an_answer_of_several_lines_is_told_by_its_first_line_and_the_verifier_is_named():
    result = await _solved("best-of-n", 4)
    group = replace(result.answers[0], answer="first\n\nsecond")
    lines = _printed(replace(result, answer=group.answer, answers=(group,), prm="judge-7b"))
    assert any(line.startswith("first … ") for line in lines)
    assert any(line.startswith("Answer: as above ") for line in lines)
    assert "scored by judge-7b" in lines
