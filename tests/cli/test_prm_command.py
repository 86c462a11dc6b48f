"""`ttc prm eval` as a subprocess: killed and resumed, several verifiers, failures, refusals."""

import asyncio
import json

import pytest
from aiohttp import web

from tests.commands import start, ttc
from tests.fakes.chance_servers import chance_servers, score

NUM_SOLUTIONS = 30


@pytest.fixture
def solutions(tmp_path) -> str:
    path = tmp_path / "set.jsonl"
    rows = [
        {
            "id": f"{'math' if i % 3 else 'gsm8k'}-{i}",
            "problem": f"p{i}",
            "steps": ["a", f"b{i}", "bad" if i % 2 else "good"],
            "label": 2 if i % 2 else -1,
        }
        for i in range(NUM_SOLUTIONS)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def knows(payload):
    """Score as one who can tell."""
    return {"scores": [[0.1 if step == "bad" else 0.9 for step in s] for s in payload["items"]]}


async def test_verifiers_stand_side_by_side_and_one_that_knows_finds_every_error(
    solutions, tmp_path
):
    out = tmp_path / "judged"
    async with chance_servers(score=knows) as good, chance_servers() as other:
        prms = ["--prm", f"good={good.url}", "--prm", f"other={other.url}", "--no-check"]
        code, said, err = await ttc("prm", "eval", solutions, *prms, "--json", "--out", out)
        assert code == 0, err
        asked = len(good.payloads("/score"))
        found = json.loads(said)
        again = await ttc("prm", "eval", solutions, *prms, "--json", "--out", out, "--resume")
        assert (again[0], json.loads(again[1])) == (0, found)
        assert len(good.payloads("/score")) == asked + 1  # only what tells that it is a PRM
    first, second = found["verifiers"]
    parts = {part["subset"]: part for part in first["evaluation"]["parts"]}
    assert list(parts) == ["gsm8k", "math", "mean of subsets", "all"]
    assert parts["all"]["f1"] == [1.0, 1.0, 1.0]
    assert second["evaluation"]["parts"][-1]["f1"][0] < 0.5
    (pair,) = found["pairs"]
    assert (pair["one"], pair["other"]) == ("good", "other")
    assert pair["paired"]["difference"][1] > 0
    assert [null["name"] for null in found["nulls"]] == ["constant", "chance"]
    assert json.loads((out / "report.json").read_text()) == found
    page = (out / "index.html").read_text()
    assert "Qwen/Qwen2.5-Math-PRM-7B" in page  # the published F1s, beside ProcessBench's subsets
    assert "<script>" not in page.split("</style>")[1].split("<script id")[0]


async def test_killed_in_the_middle_it_asks_only_for_what_is_missing(solutions, tmp_path):
    out, reached, answered = tmp_path / "judged", asyncio.Event(), 0

    async def stops(payload):
        nonlocal answered
        if payload["items"] and answered == 10:
            reached.set()
            await asyncio.Event().wait()
        answered += bool(payload["items"])
        return score(payload)

    arguments = [solutions, "--no-check", "--concurrency", "4", "--json", "--out", str(out)]
    async with chance_servers(score=stops) as server:
        process = await start("prm", "eval", *arguments, "--prm", f"v={server.url}")
        await asyncio.wait_for(reached.wait(), 60)
        process.kill()
        await process.communicate()
    kept = (out / "scores.jsonl").read_bytes().count(b"\n")
    assert 0 < kept <= 10
    async with chance_servers() as server:
        code, resumed, err = await ttc(
            "prm", "eval", *arguments, "--prm", f"v={server.url}", "--resume"
        )
        assert code == 0, err
        asked = [p for p in server.payloads("/score") if p["items"]]
        assert len(asked) == NUM_SOLUTIONS - kept
        whole = await ttc(
            "prm", "eval", solutions, "--no-check", "--json", "--prm", f"v={server.url}"
        )
    evaluations = [json.loads(x)["verifiers"][0]["evaluation"] for x in (resumed, whole[1])]
    assert evaluations[0] == evaluations[1]


async def test_a_solution_that_fails_is_counted_and_left_out(solutions):
    def fails(payload):
        if any("b3" in item for item in payload["items"]):
            return web.json_response({"error": {"message": "too odd"}}, status=400)
        return knows(payload)

    async with chance_servers(score=fails) as server:
        code, said, err = await ttc(
            "prm", "eval", solutions, "--no-check", "--json", "--prm", server.url
        )
    (found,) = json.loads(said)["verifiers"]
    assert code == 1
    assert "1 solutions were not scored" in err
    assert "too odd" in err
    assert found["cost"]["num_failed"] == 1
    assert found["evaluation"]["parts"][-1]["num_wrong"] == NUM_SOLUTIONS // 2 - 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--threshold", "2"], "threshold is '2'"),
        (["--limit", "0"], "limit is 0"),
        (["--run", "nowhere"], "nowhere holds no run"),
        (["--prm", "http://user@host"], "user name"),
        (["--prm-api", "nonsense"], "prm_api is 'nonsense'"),
        (["--out", ""], "out is empty"),
    ],
    ids=["threshold", "limit", "run", "url", "api", "out"],
)
async def test_bad_usage_is_one_line(solutions, arguments, said):
    code, out, err = await ttc("prm", "eval", solutions, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


async def test_two_verifiers_of_one_name_are_refused(solutions):
    async with chance_servers() as server:
        arguments = ["--prm", server.url, "--prm", server.url, "--no-check"]
        code, _, err = await ttc("prm", "eval", solutions, *arguments)
    assert code == 2
    assert "NAME=URL" in err
