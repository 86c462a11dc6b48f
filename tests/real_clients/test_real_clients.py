"""Other projects' clients against `ttc serve` on the demo models, each as the guide shows it."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.test_demo import ttc
from tests.guide.shown import GUIDE, ROOT, snippets

SHOWN_URL = "http://127.0.0.1:8100"
ANSWER = r"\boxed{41}"
FILES = {"yaml": "sums.yaml", "json": "sums.jsonl"}

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Run the page's own gateway, at a free port."""
    command = shown("clients", "ttc serve").replace("8100", "0").split()
    with ttc(*command[1:]) as (_, lines):
        yield lines[0].removesuffix("/v1")


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return the environment of a client, from which only the loopback interface is reached."""
    script = ROOT / "scripts" / "install_clients"
    clients = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    nowhere = dict.fromkeys(("http_proxy", "https_proxy", "all_proxy"), "http://127.0.0.1:9")
    return {
        **os.environ,
        **nowhere,
        "no_proxy": "127.0.0.1",
        "PATH": f"{clients}/bin:{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
    }


def shown(page: str, first: str) -> str:
    """Return the command of a page that begins so."""
    text = (GUIDE / f"{page}.md").read_text()
    found = re.search(rf"^    ({first}(?:.*\\\n)*.*)", text, re.MULTILINE)
    assert found, first
    return found[1].replace("\\\n", "")


def run(page: str, first: str, url: str, directory: Path, environment: dict[str, str]) -> str:
    """Run a command of a page beside the page's files; return what it prints."""
    text = (GUIDE / f"{page}.md").read_text()
    for snippet in snippets(GUIDE / f"{page}.md"):
        (directory / snippet.name).write_text(snippet.text.replace(SHOWN_URL, url))
    for language, block in re.findall(r"^```(yaml|json)\n(.*?)^```", text, re.M | re.S):
        (directory / FILES[language]).write_text(block)
    exported = re.search(r"^    export (.*)", text, re.MULTILINE)
    more = dict(pair.split("=") for pair in exported[1].split()) if exported else {}
    done = subprocess.run(
        shown(page, first).replace(SHOWN_URL, url),
        shell=True,
        cwd=directory,
        env={
            **environment,
            **{name: value.replace(SHOWN_URL, url) for name, value in more.items()},
            "HOME": str(directory),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("name", ["langchain", "litellm"])
def test_a_chat_library_gets_the_answer_whole_and_as_a_stream(name, url, environment, tmp_path):
    said = run("clients", f"python with_{name}.py", url, tmp_path, environment)
    assert said.count(ANSWER) == 2
    assert int(re.search(r"(\d+) tokens", said)[1]) > 100


def test_inspect_scores_a_small_task(url, environment, tmp_path):
    said = run("clients", "inspect eval", url, tmp_path, environment)
    assert re.search(r"^accuracy +1\.000", said, re.MULTILINE)


def test_lm_eval_scores_a_task_from_local_files(url, environment, tmp_path):
    run("lm-eval", "lm_eval", url, tmp_path, environment)
    (found,) = (tmp_path / "out").rglob("results_*.json")
    assert json.loads(found.read_text())["results"]["sums"]["exact_match,boxed"] == 1.0
