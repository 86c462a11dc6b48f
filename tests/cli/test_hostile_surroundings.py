"""The command line where streams are closed, full or not UTF-8, and where bytes are not text."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import TTC
from tests.runtime.test_store import disk_full_at
from ttc_client.errors import ConfigError
from ttc_client.report.tables import Table
from ttc_client.report.terminal import print_json
from ttc_client.search.params import MAX_N, SearchParams
from ttc_client.settings.config import load_settings, read_toml
from ttc_client.settings.servers import Servers
from ttc_client.tasks.table import find_task

PROBLEM = "Compute $1 + 2$."
GREEDY = [*TTC, "solve", "-s", "greedy", "-q", PROBLEM]


def run(
    *arguments: str | bytes, redirected: str = "", cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell that redirects it."""
    shell = ["bash", "-c", f'"$@" {redirected}', "bash", *arguments]
    return subprocess.run(
        shell, capture_output=True, text=True, cwd=cwd, timeout=90, env=os.environ | environment
    )


def test_an_ascii_terminal_shows_what_it_can():
    done = run(*GREEDY, PYTHONIOENCODING="ascii")
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert "Answer: 3" in done.stdout


@pytest.mark.parametrize("redirected", [">&-", "> /dev/full"])
def test_an_answer_that_cannot_be_printed_is_said_and_the_result_kept(tmp_path, redirected):
    done = run(*GREEDY, "--out", str(tmp_path / "run"), redirected=redirected)
    assert done.returncode == 1
    assert "ttc: cannot print: " in done.stderr
    assert done.stderr.rstrip().endswith("the answer is 3")
    assert json.loads((tmp_path / "run" / "result.json").read_text())["answer"] == "3"


def test_a_disk_that_fills_up_midway_costs_the_trace_and_not_the_answer(tmp_path):
    with disk_full_at(600):
        done = run(*GREEDY, "--out", str(tmp_path / "run"))
    assert done.returncode == 1
    assert "Answer: 3" in done.stdout
    assert "File too large" in done.stderr
    assert "result.json could not be kept" in done.stderr
    assert "a bug" not in done.stderr


def test_without_any_stream_a_command_ends_as_it_should():
    done = run(*TTC, "datasets", redirected="<&- >&- 2>&-")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_a_closed_stdin_is_an_empty_problem():
    done = run(*TTC, "solve", "-q", "-s", "greedy", redirected="<&-")
    assert done.returncode == 2
    assert "the problem is empty" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        ([b"solve", b"\xff\xfe"], {}, "holds bytes that are not UTF-8 text"),
        ([b"config"], {"TTC_MODEL": "\udcff"}, "TTC_MODEL in the environment holds bytes"),
        ([b"solve", b"--out", b"", b"x"], {}, "for '--out': out is empty"),
        ([b"report", b"x", b"--out="], {}, "out is empty"),
    ],
)
def test_what_is_no_text_or_no_name_is_bad_usage(arguments, environment, says):
    done = run(*TTC, *arguments, **environment)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_argument_is_read_as_utf_8_in_any_locale():
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = run(*TTC, "config", "--model", "½", "--json", **environment)
    assert json.loads(done.stdout)["model"]["value"] == "½"


def test_pythonwarnings_are_no_errors_of_ours():
    done = run(*TTC, "config", PYTHONWARNINGS="error")
    assert done.returncode == 0, done.stderr


def test_json_is_escaped_where_it_cannot_be_encoded(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w", encoding="ascii") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        print_json({"answer": "½ 𝟙 \u202e"})
    text = (tmp_path / "out").read_text()
    assert text.isascii()
    assert json.loads(text) == {"answer": "½ 𝟙 \u202e"}


@pytest.mark.parametrize("name", ["n", "m"])
def test_an_absurd_budget_is_refused_by_its_bound(name):
    SearchParams(**{name: MAX_N})
    with pytest.raises(ConfigError, match=f"{name} is 100001: it must be 100,000 or less"):
        SearchParams(**{name: MAX_N + 1})


@pytest.mark.parametrize("seed", [2**63, -(2**63) - 1])
def test_a_seed_that_no_server_takes_is_refused(seed):
    with pytest.raises(ConfigError, match="64 bits"):
        SearchParams(seed=seed)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = " + b"[" * 50_000, "nested too deeply"),
        (b".".join([b"a"] * 5_000) + b" = 1", "not a setting"),
        (b'model = "\xff"', "cannot be read as TOML"),
        (b"n = " + b"9" * 5000, "cannot be read as TOML"),
        (b"n = 1\n\x00", "cannot be read as TOML"),
    ],
)
def test_a_hostile_toml_file_is_refused_in_words(tmp_path, content, says):
    (tmp_path / "ttc.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        read_toml(tmp_path / "ttc.toml", ["n", "model"], required=True)


def test_a_toml_file_may_begin_with_a_mark(tmp_path):
    (tmp_path / "ttc.toml").write_bytes("\ufeffn = 8".encode())
    assert read_toml(tmp_path / "ttc.toml", ["n"], required=True) == {"n": 8}


@pytest.mark.parametrize("value", [7, True, [1, 2], {"a": 1}, [["http://x"]], 1.5])
def test_servers_of_another_type_are_refused(tmp_path, value):
    with pytest.raises(ConfigError, match=r"policy is .*must be a list of URLs"):
        load_settings({"policy": value}, {})


@pytest.mark.parametrize(
    "name", ["os:getcwd", "os:sep", "ttc_client.types:Problem", "math:", "os.nothing:x", "a b:c"]
)
def test_what_is_no_task_is_refused(name):
    with pytest.raises(ConfigError, match="task is"):
        find_task(name)


@pytest.mark.parametrize(
    "url",
    [
        "me:hunter2@gpu1:8000",
        "http:me:hunter2@gpu1",
        "http:/me:hunter2@gpu1:8000",
        "//me:hunter2@gpu1",
        "http://gpu1:8000/x@y?key=hunter2",
        "gpu1:8000?key=hunter2",
        "me:hunter2@[::1",
    ],
)
def test_a_password_in_a_url_is_refused_and_never_shown(url):
    with pytest.raises(ConfigError) as caught:
        Servers(policy=(url,))
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_cell_of_a_csv_is_a_formula(text):
    table = Table("t", ("id", "value"), ((text, -0.5), ("plain", 7)))
    _, first, second = csv.reader(io.StringIO(table.csv(), newline=""))
    assert first == [f"'{text}".replace("\r", "\n"), "-0.5"]
    assert second == ["plain", "7"]
