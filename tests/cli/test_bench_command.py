"""`ttc bench` as a subprocess: killed and resumed, stopped, refused."""

import asyncio
import json
import random
import signal

import pytest

from tests.commands import ended, start, ttc
from tests.fakes.chance_servers import chance_servers, write
from tests.fakes.scripted_server import completions

GRID = ["-s", "greedy,best-of-n,beam,dvts", "-n", "4,8", "--seed", "0,1", "--max-steps", "4"]
OPTIONS = ["--no-check", "--concurrency", "8"]
NUM_PROBLEMS = 12
NUM_SEARCHES = NUM_PROBLEMS * (1 + 2 + 4 + 4)
NUM_KILLS = 3


@pytest.fixture
def problems(tmp_path) -> str:
    path = tmp_path / "problems.jsonl"
    rows = [{"problem": f"p{i}", "answer": str(i % 3), "level": i % 2} for i in range(NUM_PROBLEMS)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


class Tripwire:
    """Answers so many requests to the policy once set, then sets an event and answers no more."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.tripped = asyncio.Event()

    def set(self, count: int | None) -> None:
        self.left = count
        self.tripped.clear()

    async def __call__(self, payload):
        if self.left == 0:
            self.tripped.set()
            await asyncio.Event().wait()
        if self.left:
            self.left -= 1
        return completions(write)(payload)


async def test_killed_again_and_again_and_resumed_it_equals_an_uninterrupted_run(
    tmp_path, problems
):
    wire, luck = Tripwire(), random.Random(0)
    async with chance_servers(completions=wire) as server:
        servers = [*("--policy", server.url, "--prm", server.url), *OPTIONS]
        whole = tmp_path / "whole"
        code, said, _ = await ttc("bench", problems, *GRID, *servers, "--out", whole)
        assert code == 0
        for words in ("accuracy", "best-of-n", "dvts", "majority", f"ttc report {whole} --out"):
            assert words in said
        assert all(len(line) <= 80 for line in said.splitlines() if str(whole) not in line)
        run, num_lines = tmp_path / "run", []
        for _ in range(NUM_KILLS):
            wire.set(luck.randrange(1, 3 * NUM_SEARCHES // NUM_KILLS))
            process = await start("bench", problems, *GRID, *servers, "--out", run, "--resume")
            await asyncio.wait_for(wire.tripped.wait(), 60)
            process.kill()
            await process.communicate()
            results = run / "results.jsonl"
            num_lines.append(results.read_bytes().count(b"\n"))
        assert 0 < num_lines[-1] < NUM_SEARCHES
        wire.set(None)
        code, said, _ = await ttc(
            "bench", problems, *GRID, *servers, "--out", run, "--resume", "--json"
        )
        assert code == 0
    (greedy,) = [row for row in json.loads(said) if row["strategy"] == "greedy"]
    assert (greedy["n"], greedy["vote"], greedy["problems"]) == (1, "majority", NUM_PROBLEMS)
    low, share, high = (greedy[f"share_right{end}"] for end in ("_low", "", "_high"))
    assert 0 <= low <= share <= high <= 1
    assert num_lines == sorted(num_lines)
    assert (run / "results.jsonl").read_text().splitlines() == (
        (whole / "results.jsonl").read_text().splitlines()
    )
    assert (run / "config.json").read_bytes() == (whole / "config.json").read_bytes()


@pytest.mark.parametrize("signalled", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "preempted"])
async def test_a_stop_exits_130_with_everything_finished_on_disk(tmp_path, problems, signalled):
    wire = Tripwire()
    wire.set(40)
    async with chance_servers(completions=wire) as server:
        servers = [*("--policy", server.url, "--prm", server.url), *OPTIONS]
        process = await start("bench", problems, *GRID, *servers, "--out", tmp_path / "run")
        await asyncio.wait_for(wire.tripped.wait(), 60)
        process.send_signal(signalled)
        code, _, err = await ended(process)
    assert code == 130
    *_, saved, last = err.splitlines()
    assert last == "ttc: interrupted"
    lines = (tmp_path / "run" / "results.jsonl").read_text().splitlines()
    assert 0 < len(lines) < NUM_SEARCHES
    assert all(json.loads(line)["error"] == "" for line in lines)
    assert f"{len(lines)} of {NUM_SEARCHES} searches are saved in {tmp_path / 'run'}" in saved
    assert saved.endswith("--resume")


def array(task: int, *, first: int = 1, last: int = 3) -> dict[str, str]:
    named = {"ID": task, "MIN": first, "MAX": last, "STEP": 1, "COUNT": last - first + 1}
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in named.items()}


@pytest.mark.timeout(400)  # seven processes, one after the other
async def test_an_array_is_killed_requeued_and_merged_to_the_run_of_one_process(tmp_path, problems):
    wire, grid = Tripwire(), ["-s", "greedy,dvts", "-n", "4", "--max-steps", "3"]
    async with chance_servers(completions=wire) as server:
        command = [problems, *grid, "--policy", server.url, "--prm", server.url, *OPTIONS]
        sharded = [*command, "--shard", "auto", "--out", tmp_path / "shards"]
        for task in (1, 3):
            code, said, err = await ttc("bench", *sharded, **array(task))
            assert code == 0, err
            assert f"4 of 12 problems: shard {task} of 3" in err
        wire.set(3)
        process = await start("bench", *sharded, **array(2))
        await asyncio.wait_for(wire.tripped.wait(), 60)
        wire.set(None)
        code, _, err = await ttc("bench", *sharded, **array(2))
        assert code == 2
        assert "another ttc is writing to it" in err
        process.kill()
        await process.communicate()
        _, _, err = await ttc("report", tmp_path / "shards", "--out", tmp_path / "report")
        assert "ttc: of 3 shards, 2 unfinished; to go on: sbatch --array=2\n" in err
        code, _, err = await ttc("bench", *sharded, **array(2, first=2, last=2))
        assert code == 0, err
        await ttc("bench", *command, "--out", tmp_path / "whole")
    code, said, err = await ttc("merge", tmp_path / "shards", "--out", tmp_path / "run")
    assert (code, said, err) == (0, f"{tmp_path / 'run'}\n", "")
    for name in ("config.json", "results.jsonl", "problems.jsonl"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


async def test_a_changed_setting_is_refused_by_name_and_a_failed_problem_exits_1(
    tmp_path, problems
):
    async with chance_servers(completions=lambda _: {"choices": []}) as server:
        command = [problems, "-s", "majority", "--policy", server.url, "--out", tmp_path / "run"]
        code, _, err = await ttc("bench", *command)
        assert code == 1
        assert f"{NUM_PROBLEMS} of {NUM_PROBLEMS} searches failed" in err
        code, _, err = await ttc("bench", *command, "--resume", "--temperature", "0.5")
    assert code == 2
    assert "temperature was 0.8 and is 0.5" in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-s", "beam", "-n", "1,2"], "n is 2 and m is 4"),
        (["-s", "bean"], "strategy is 'bean': it must be one of greedy, best-of-n"),
        (["-s", "bean"], "did you mean beam?"),
        ([], "the demo models know little of"),
        (["-n", "4,x"], "n is 'x': write whole numbers"),
        (["--vote", "prm"], "a bench counts every vote: leave it out"),
        (["--levels", "7"], "the set's levels are 0, 1"),
        (["--shard", "3/2"], "shard is 3/2"),
        (["--column", "answer"], "FIELD=COLUMN"),
        (["--recipe", "lama-1b"], "no such file; shipped are demomath-choice, llama-1b, llama-3b"),
    ],
)
async def test_bad_usage_is_one_line_and_exit_2(tmp_path, problems, arguments, says):
    servers = ["--policy", "http://x", "--prm", "http://x"] if arguments else []
    code, out, err = await ttc("bench", problems, *arguments, *servers, "--out", tmp_path / "run")
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "run").exists()


async def test_a_run_is_reported_and_exported_without_any_server(tmp_path, problems):
    run, report = tmp_path / "run", tmp_path / "report"
    async with chance_servers() as server:
        servers = ["--policy", server.url, "--prm", server.url, "--no-check"]
        code, _, err = await ttc(
            "bench", problems, "-s", "best-of-n", "-n", "4", *servers, "--out", run
        )
        assert code == 0, err
    code, out, _ = await ttc("report", run, "--out", report, "--baseline", "8B=49.8")
    assert code == 0
    assert out.strip() == str(report / "index.html")
    assert "8B 49.8" in (report / "accuracy.svg").read_text()
    code, out, _ = await ttc("export", run, "--format", "sal", "-n", "4")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert len(rows) == NUM_PROBLEMS
    assert all(len(row["completions"]) == 4 and "pred_maj@4" in row for row in rows)
    code, _, err = await ttc("export", run, "--format", "sal", "-s", "bean")
    assert code == 2
    assert "strategy is 'bean'" in err
    code, _, err = await ttc("report", run, "--out", report, "--baseline", "8B=498")
    assert code == 2
    assert "NAME=PERCENT" in err
    code, _, err = await ttc("report", tmp_path, "--out", report)
    assert code == 2
    assert "holds no run" in err


async def test_a_run_as_the_toolkit_searches_is_exported_imported_and_says_so(tmp_path, problems):
    run, back, report = tmp_path / "run", tmp_path / "back", tmp_path / "report"
    grid = ["-s", "beam,dvts", "-n", "2,4", "--max-steps", "4", "--compat", "sal"]
    async with chance_servers() as server:
        servers = ["--policy", server.url, "--prm", server.url, "--no-check"]
        code, _, err = await ttc("bench", problems, *grid, *servers, "--out", run)
    assert code == 0, err
    settings = json.loads((run / "config.json").read_text())["settings"]
    assert settings["compat"] == "sal"
    code, out, _ = await ttc("export", run, "--format", "sal", "-s", "beam", "-n", "2")
    lines = tmp_path / "beam_search_completions.jsonl"
    lines.write_text(out + '{"problem": "torn')
    code, out, err = await ttc("import", lines, "--compat", "sal", "--out", back, "--json", "-q")
    assert code == 1
    assert err.splitlines()[0].startswith(f"ttc: {lines}, line {NUM_PROBLEMS + 1}: ")
    assert err.splitlines()[1:] == [f"ttc: 1 of {NUM_PROBLEMS + 1} rows were left out"]
    assert {row["problems"] for row in json.loads(out)} == {NUM_PROBLEMS}
    code, _, err = await ttc("report", run, back, "--out", report)
    assert code == 0, err
    page = (report / "index.html").read_text()
    assert page.count("--compat sal") == 2
    code, _, err = await ttc("import", lines, "--out", back)
    assert (code, err) == (
        2,
        f"ttc: out is {back}: it holds a run already; name another directory\n",
    )
