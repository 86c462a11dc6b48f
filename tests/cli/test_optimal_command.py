"""`ttc optimal fit` and what follows: a table, a figure, and searches that go by the table."""

import json

import pytest

from tests.commands import ttc
from tests.fakes.chance_servers import chance_servers
from tests.tables import table
from ttc_client.settings.table_file import read_table, write_table

PROBLEM = r"Compute $\frac{3}{4} + \frac{5}{6}$."
DEMO = {"policy": "ttc-demo-policy", "prm": "ttc-demo-prm (scoring protocol)"}


@pytest.fixture
def problems(tmp_path) -> str:
    path = tmp_path / "problems.jsonl"
    rows = [{"problem": f"p{i}", "answer": str(i % 3)} for i in range(12)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


async def test_runs_become_a_table_and_a_figure_and_the_table_is_searched_by(tmp_path, problems):
    out, fitted, runs = tmp_path / "table.json", ("optimal", "fit"), []
    async with chance_servers() as server:
        servers = ["--policy", server.url, "--prm", server.url, "--no-check", "-q"]
        for m in ("2", "4"):
            runs.append(tmp_path / f"m{m}")
            grid = ["-s", "best-of-n,beam,dvts", "-n", "4,8", "-m", m, "--max-steps", "3"]
            code, _, err = await ttc("bench", problems, *grid, *servers, "--out", runs[-1])
            assert code == 0, err
        code, said, err = await ttc("optimal", "fit", *runs, "--out", out)
        assert code == 0, fitted
        assert (
            err
            == "ttc: 2 problems a bin are few: the choices may be chance; fit on 20 a bin or more\n"
        )
        for words in ("oracle bin", "model bin", "bin 5", "the best single one", "gain"):
            assert words in said
        code, said, _ = await ttc("optimal", "fit", *runs, "--out", out, "--json")
        found = json.loads(said)
        assert {(v["n"], v["judge"]) for v in found["validation"]} == {
            *((4, "oracle"), (4, "model"), (8, "oracle"), (8, "model")),
        }
        for v in found["validation"]:
            assert v["accuracy"]["low"] <= v["accuracy"]["mean"] <= v["accuracy"]["high"]
        assert len(found["choices"]["model"][0]["choices"]) == 5
        chosen = read_table(out)
        assert [budget.n for budget in chosen.budgets] == [4, 8]
        assert chosen.origin.dataset == problems
        by_table = ["-s", "compute-optimal", "-n", "4,8", "--max-steps", "3", "--table", out]
        code, said, err = await ttc(
            "bench", problems, *by_table, *servers, "--out", tmp_path / "by-table"
        )
        assert code == 0, err
        assert "compute-optimal" in said
        settings = json.loads((tmp_path / "by-table" / "config.json").read_text())["settings"]
        assert settings["own"]["compute-optimal"]["table"] == json.loads(out.read_text())
        write_table(table(**DEMO), out)
        again = [problems, *by_table, *servers, "--out", tmp_path / "by-table", "--resume"]
        code, _, err = await ttc("bench", *again)
        assert code == 2
        assert "table was" in err.splitlines()[-1]
    report = tmp_path / "report"
    code, _, err = await ttc("report", *runs, tmp_path / "by-table", "--out", report)
    assert code == 0, err
    drawn = (report / "compute-optimal.svg").read_text()
    assert "compute-optimal (model bins)" in drawn
    assert "compute-optimal (table)" in drawn


async def test_a_problem_is_searched_by_the_table_and_the_result_says_how(tmp_path):
    path, out = tmp_path / "table.json", tmp_path / "run"
    write_table(table(edge=0.0, **DEMO), path)  # no problem is hard
    search = ["-s", "compute-optimal", "--table", path, "-n", "16", PROBLEM]
    code, said, err = await ttc("solve", *search, "--json", "--out", out)
    assert code == 0, err
    result = json.loads(said)
    allocation = result["allocation"]
    assert (allocation["bin"], allocation["strategy"], allocation["m"]) == (1, "best-of-n", None)
    assert 0 <= allocation["reward"] <= 1
    assert allocation["probe"] == 4
    assert sum(candidate["votes"] for candidate in result["candidates"]) == 16
    assert json.loads((out / "result.json").read_text()) == result
    write_table(table(edge=1.0, **DEMO), path)  # every problem is
    code, said, _ = await ttc("solve", *search, "--tree", "-q")
    assert code == 0
    assert "Spent on dvts, M=4: bin 2, by a mean reward of " in said
    assert "in a probe of 4" in said
    assert "search tree" in said


@pytest.mark.parametrize(
    ("changes", "arguments", "says"),
    [
        ({}, ["-n", "3"], "n is 3, but the table's smallest budget is 4"),
        ({}, ["--reduction", "min"], "reduction is min, but the table's bins"),
        ({"prm": "RLHFlow"}, [], "fitted for the PRM RLHFlow, and this one is ttc-demo-prm"),
        ({"policy": "llama"}, [], "fitted for the policy llama, and this one is ttc-demo"),
    ],
)
async def test_a_table_that_does_not_fit_is_one_line_and_exit_2(tmp_path, changes, arguments, says):
    path = tmp_path / "table.json"
    write_table(table(**{**DEMO, **changes}), path)
    search = ["-s", "compute-optimal", "--table", path, *arguments, "-q", PROBLEM]
    code, out, err = await ttc("solve", *search)
    assert (code, out) == (2, "")
    assert says in err.splitlines()[-1]
    assert len(err.splitlines()) <= 2  # the first says that the demo models answer


async def test_a_table_that_is_none_or_missing_is_one_line_and_exit_2(tmp_path):
    path = tmp_path / "table.json"
    for arguments, says in (
        ([], "compute-optimal needs a table: fit one with ttc optimal fit"),
        (["--table", path], "there is no such file"),
    ):
        code, _, err = await ttc("solve", "-s", "compute-optimal", *arguments, PROBLEM)
        assert code == 2
        assert says in err
        assert len(err.splitlines()) == 1
    path.write_text("[]")
    code, _, err = await ttc("config", "--table", path)
    assert code == 2
    assert "is not a table of ttc optimal fit" in err


async def test_another_models_table_is_used_where_that_is_wanted(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(**{**DEMO, "prm": "the same by another name"}), path)
    search = ["-s", "compute-optimal", "--table", path, "-n", "4", "--no-check", "-q", PROBLEM]
    code, _, err = await ttc("solve", *search)
    assert code == 0, err


async def test_help_and_config_know_the_table(tmp_path):
    path = tmp_path / "table.json"
    write_table(table(**DEMO), path)
    code, out, _ = await ttc("solve", "--help-all")
    assert "--table" in out
    assert "compute-optimal" in out
    code, out, _ = await ttc("config", "-s", "compute-optimal", "--table", path)
    assert code == 0
    assert "for N = 4, 16, fitted on set" in out
    code, _, err = await ttc("optimal", "fit", tmp_path, "--out", path)
    assert code == 2
    assert "holds no run of ttc bench" in err
