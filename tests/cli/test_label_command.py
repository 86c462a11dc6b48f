"""`ttc label` and `ttc export` as subprocesses: killed, resumed, exported, refused."""

import asyncio
import json

import pytest

from tests.commands import start, ttc
from tests.fakes.chance_servers import chance_servers, write
from tests.fakes.scripted_server import completions

NUM_SOLUTIONS = 12


@pytest.fixture
def solutions(tmp_path) -> str:
    path = tmp_path / "solutions.jsonl"
    rows = [
        {"id": str(i), "problem": f"p{i}", "answer": "1", "steps": ["a", "b", r"\boxed{0}"]}
        for i in range(NUM_SOLUTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def always_ends(payload, i):
    """Write an answer from 0 to 2, whether a step was asked for or a completion."""
    return write({**payload, "stop": None}, i)


async def test_killed_and_resumed_it_pays_for_each_rollout_once_and_exports_the_same(
    solutions, tmp_path
):
    out, whole = tmp_path / "labels", tmp_path / "whole"
    reached, answered = asyncio.Event(), 0

    async def stops(payload):
        nonlocal answered
        if answered == 10:
            reached.set()
            await asyncio.Event().wait()
        answered += 1
        return completions(always_ends)(payload)

    flags = ["--no-check", "--concurrency", "8", "-k", "4"]
    async with chance_servers(completions=stops) as server:
        process = await start("label", solutions, "--out", out, *flags, "--policy", server.url)
        await asyncio.wait_for(reached.wait(), 60)
        process.kill()
        await process.communicate()
    kept = (out / "rollouts.jsonl").read_bytes().count(b"\n")
    assert 0 < kept <= 10
    async with chance_servers(completions=completions(always_ends)) as server:
        there = [*flags, "--policy", server.url]
        code, said, err = await ttc("label", solutions, "--out", out, *there, "--resume", "--json")
        assert code == 0, err
        assert len(server.payloads("/v1/completions")) == 2 * NUM_SOLUTIONS - kept
        counted = json.loads(said)
        assert (counted["solutions"], counted["rollouts"]) == (NUM_SOLUTIONS, 8 * NUM_SOLUTIONS)
        assert counted["usage"]["completion_tokens"] > 0
        refused = await ttc("label", solutions, "--out", out, *there, "--resume", "-k", "5")
        assert (refused[0], "k was 4 and is 5" in refused[2]) == (2, True)
        await ttc("label", solutions, "--out", whole, *there)
    exported = [await ttc("export", path, "--format", "prm") for path in (out, whole)]
    assert exported[0][:2] == exported[1][:2]
    rows = [json.loads(line) for line in exported[0][1].splitlines()]
    assert len(rows) == NUM_SOLUTIONS
    assert all(set(map(type, row["labels"])) == {bool} for row in rows)
    assert r"step_separator='\n\n'" in exported[0][2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["label", "SOURCE", "--out", "x", "--method", "half"], "method is 'half'"),
        (["label", "SOURCE", "--out", "x", "-k", "0"], "k is 0"),
        (["label", "nowhere.jsonl", "--out", "x"], "there is no such file"),
        (["export", "nowhere", "--format", "dpo"], "holds no run"),
        (["export", "nowhere", "--format", "rlhf"], "format is 'rlhf'"),
        (["export", "nowhere", "--format", "sft", "--pick", "worst"], "pick is 'worst'"),
        (["export", "nowhere", "--format", "sft", "--decontaminate", "x.txt"], "dataset is x.txt"),
    ],
    ids=["method", "k", "source", "run", "format", "pick", "decontaminate"],
)
async def test_bad_usage_is_one_line(solutions, arguments, said):
    code, out, err = await ttc(*(solutions if a == "SOURCE" else a for a in arguments))
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1
