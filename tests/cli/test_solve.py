"""The command line as a subprocess, against the embedded servers and against broken ones."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.fakes.scripted_server import scripted_server

PROBLEM = r"Compute $\frac{3}{4} + \frac{5}{6}$."
DEMO = "ttc: tiny demo models answer, often wrong; for real: --policy URL --prm URL"


def ttc(*arguments: str, stdin: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from ttc_client.cli import main; main()", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=cwd, timeout=90)


@pytest.mark.parametrize("strategy", ["dvts", "beam", "best-of-n", "majority", "greedy"])
def test_a_search_on_the_embedded_servers_prints_one_json_object(strategy, tmp_path):
    out = tmp_path / "run"
    done = ttc("solve", "-s", strategy, "-n", "8", "--json", "--out", str(out), PROBLEM)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["strategy"] == strategy
    assert result["n"] == (1 if strategy == "greedy" else 8)
    assert result["demo"] is True
    assert result["policy"] == "ttc-demo-policy"
    assert done.stderr.splitlines()[0] == DEMO
    votes = sum(candidate["votes"] for candidate in result["candidates"])
    assert votes == min(result["n"], result["counts"]["finished"])
    kinds = {"majority"} if strategy in ("greedy", "majority") else {"majority", "prm", "weighted"}
    assert set(result["choices"]) == kinds
    for candidate in result["candidates"]:
        scores = [step["score"] for step in candidate["steps"]]
        if strategy in ("greedy", "majority"):
            assert set(scores) <= {None}
        else:
            assert all(0 <= score <= 1 for score in scores)
    assert result["usage"]["completion_tokens"] > 0
    assert json.loads((out / "result.json").read_text()) == result
    lines = (out / "trace.jsonl").read_text().splitlines()
    usage = result["usage"]
    assert len(lines) == usage["policy_requests"] + usage["prm_requests"]


def test_the_same_seed_gives_the_same_tree_and_another_seed_another():
    def tree(seed: int) -> list:
        done = ttc("solve", "-n", "8", "--seed", str(seed), "--json", "-q", stdin=PROBLEM)
        return json.loads(done.stdout)["tree"]

    assert tree(1) == tree(1)
    assert tree(1) != tree(2)


def test_plain_output_shows_the_answer_the_votes_and_the_tree():
    done = ttc("solve", "-n", "8", "--tree", "-q", PROBLEM)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [DEMO]
    for words in ("search tree", "chosen by", "Answer: ", "tokens generated", " sampled → "):
        assert words in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-n", "2"], "dvts needs n to be at least m"),
        (["-n", "10"], "multiple of m, such as 8"),
        (["-n", "0"], "n is 0"),
        (["-m", "0"], "m is 0"),
        (["--temperature", "2.5"], "between 0 and 2"),
        (["--temperature", "0"], "use greedy"),
        (["-s", "best"], "must be one of greedy, best-of-n"),
        (["-s", "dtvs"], "did you mean dvts?"),
        (["-s", "best-of-n", "--lookahead", "2"], "lookahead is 2, but best-of-n has no such"),
        (["-s", "nowhere:STRATEGY"], "cannot be imported"),
        (["--task", "algebra"], "task is 'algebra': it must be math"),
        (["--policy", "gpu:8000", "--prm", "http://x"], "must be a URL"),
        (["--policy", "http://x"], "add --prm URL"),
        (["--bogus"], "No such option"),
        (["--config", "nowhere.toml"], "no such file"),
    ],
)
def test_bad_usage_is_one_line_and_exit_2(arguments, says):
    done = ttc("solve", *arguments, PROBLEM)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def _html(_) -> web.Response:
    return web.Response(text="<html>hello</html>", content_type="text/html")


def _status(status: int):
    return lambda _: web.json_response({"error": {"message": "boom"}}, status=status)


def _half(_) -> web.Response:
    return web.Response(text='{"data": [{"id"', content_type="application/json")


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (_status(401), "TTC_POLICY_API_KEY"),
        (_status(404), "right server"),
        (_status(500), "answered 500: boom"),
        (_html, "<html>"),
        (_half, "cut short"),
    ],
)
async def test_a_broken_server_is_one_line_that_names_the_url(reply, says):
    async with scripted_server({"/v1/models": reply}) as server:
        done = await _in_thread("solve", "--policy", server.url, "--prm", server.url, PROBLEM)
    assert done.returncode == 1
    assert server.url in done.stderr
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


async def test_what_a_server_calls_its_model_cannot_move_the_cursor():
    hostile = {"data": [{"id": "mo\x1b[2Jdel\u202e"}]}
    async with scripted_server({"/v1/models": lambda _: hostile}) as server:
        arguments = ("-s", "majority", "--policy", server.url, "--model", "x")
        done = await _in_thread("solve", *arguments, PROBLEM)
        debugged = await _in_thread("solve", *arguments, "--debug", PROBLEM)
    assert done.returncode == 2
    assert done.stderr.endswith("serves mo�[2Jdel�\n")
    assert "Traceback" in debugged.stderr
    assert not {"\x1b", "\u202e"}.intersection(debugged.stderr)


def test_a_problem_that_is_no_text_is_one_line_and_exit_2():
    command = [sys.executable, "-c", "from ttc_client.cli import main; main()", "solve"]
    done = subprocess.run(command, input=b"\xff", capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"ttc: stdin is not UTF-8 text")


def test_ctrl_c_while_the_command_is_loaded_is_one_line_and_exit_130():
    command = """if True:
        import sys
        from ttc_client.cli import main

        class Interrupting:
            def find_spec(self, name, *_):
                if name == "ttc_client.cli.app":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupting())
        main()
    """
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "ttc: interrupted\n")


def test_output_that_cannot_be_written_is_one_line_and_exit_1():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from ttc_client.cli import main; main()", "config"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "ttc: [Errno 28] No space left on device\n"


async def test_a_server_that_never_answers_ends_with_the_time_out():
    async def never(_) -> web.Response:
        import asyncio

        await asyncio.Event().wait()
        raise AssertionError

    async with scripted_server({"/v1/models": never}) as server:
        arguments = ("--timeout", "1", "--policy", server.url, "--prm", server.url)
        done = await _in_thread("solve", *arguments, PROBLEM)
    assert done.returncode == 1
    assert "no answer within 1 s" in done.stderr


def test_nothing_listening_is_said():
    done = ttc("solve", "--policy", "http://127.0.0.1:9", "--prm", "http://127.0.0.1:9", PROBLEM)
    assert done.returncode == 1
    assert "nothing answers at http://127.0.0.1:9" in done.stderr


async def _in_thread(*arguments: str) -> subprocess.CompletedProcess:
    import asyncio

    return await asyncio.to_thread(ttc, *arguments)


def test_settings_come_from_flags_over_environment_over_file(tmp_path, monkeypatch):
    (tmp_path / "ttc.toml").write_text("n = 32\nm = 8\nstrategy = 'beam'\n")
    monkeypatch.setenv("TTC_M", "2")
    monkeypatch.setenv("TTC_PRM_API_KEY", "very-secret")
    done = ttc("config", "--json", "-s", "dvts", cwd=tmp_path)
    rows = json.loads(done.stdout)
    assert rows["strategy"] == {"value": "dvts", "origin": "flag"}
    assert rows["m"] == {"value": 2, "origin": "TTC_M"}
    assert rows["n"] == {"value": 32, "origin": "ttc.toml"}
    assert rows["seed"]["origin"] == "default"
    assert "very-secret" not in done.stdout


def test_a_misspelt_variable_is_named_with_a_near_one(monkeypatch):
    monkeypatch.setenv("TTC_STRATGY", "beam")
    done = ttc("config")
    assert (done.returncode, done.stdout) == (2, "")
    assert "TTC_STRATGY, which is not a setting; did you mean TTC_STRATEGY?" in done.stderr


def test_an_unknown_key_in_the_file_is_named_with_a_near_one(tmp_path):
    (tmp_path / "ttc.toml").write_text("stratgy = 'beam'\n")
    done = ttc("config", cwd=tmp_path)
    assert done.returncode == 2
    assert "did you mean strategy?" in done.stderr


def test_ctrl_c_exits_130_and_leaves_no_server_behind(tmp_path):
    command = [sys.executable, "-c", "from ttc_client.cli import main; main()", "solve"]
    search = subprocess.Popen(
        [*command, "-n", "64", "--out", str(tmp_path / "run"), PROBLEM],
        stderr=subprocess.PIPE,
        text=True,
    )
    trace = tmp_path / "run" / "trace.jsonl"
    while not (trace.exists() and trace.stat().st_size):
        assert search.poll() is None
    search.send_signal(signal.SIGINT)
    _, said = search.communicate(timeout=20)
    assert search.returncode == 130
    assert said.splitlines()[-1] == "ttc: interrupted"
    assert all(json.loads(line) for line in trace.read_text().splitlines())


def test_help_shows_what_matters_first_and_the_rest_on_demand():
    short, whole = ttc("solve", "-h"), ttc("solve", "--help-all")
    assert short.returncode == whole.returncode == 0
    for words in ("--strategy", "--policy", "(default: dvts)", "Examples", "--help-all"):
        assert words in short.stdout
    rare = ("--lookahead", "--no-seeds", "--no-check", "--table", "--session-header")
    assert not any(words in short.stdout for words in rare)
    assert all(words in whole.stdout for words in rare)
    assert len(short.stdout.splitlines()) < 2 / 3 * len(whole.stdout.splitlines())


def test_every_strategy_of_the_table_is_a_choice():
    command = """if True:
        from dataclasses import replace
        from ttc_client.search.strategies import STRATEGIES
        STRATEGIES["mine"] = replace(STRATEGIES["dvts"], name="mine")
        from ttc_client.cli import main
        main()
    """
    for arguments, code in ((["solve", "-h"], 0), (["solve", "-s", "min", "1 + 1?"], 2)):
        done = subprocess.run(
            [sys.executable, "-c", command, *arguments], capture_output=True, text=True
        )
        assert done.returncode == code
        assert "mine" in done.stdout + done.stderr


def test_the_command_alone_shows_its_help_and_the_version_is_told():
    bare, version = ttc(), ttc("--version")
    assert (bare.returncode, bare.stderr) == (2, "")
    assert "Usage: ttc" in bare.stdout
    assert version.stdout.startswith("ttc-client ")
    assert ttc("-h").stdout == ttc("--help").stdout


def test_the_demo_says_what_came_out_and_shows_the_search_to_help():
    done = ttc("demo")
    assert done.returncode == 0
    assert done.stderr.splitlines() == [DEMO]
    greedy, majority, dvts = (
        next(line for line in done.stdout.splitlines() if line.split()[:1] == [name])
        for name in ("greedy", "majority", "dvts")
    )
    assert "31 ✗" in greedy
    assert "31 ✗" in majority
    assert "41 ✓" in dvts
    assert done.stdout.count(" wrong") == 2
    assert "search tree" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_recipes_data_sets_and_guide_pages_are_listed():
    assert "llama-1b" in ttc("recipes").stdout
    assert {row["dataset"] for row in json.loads(ttc("datasets", "--json").stdout)} >= {"demomath"}
    assert ttc("guide", "nothing").returncode == 2
