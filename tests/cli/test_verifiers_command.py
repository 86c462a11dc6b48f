"""Every kind of verifier from the command line to the report, beside the demo policy."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ttc_client.bench.runs import read_run
from ttc_client.cli.app import make_app

MAIN = "from ttc_client.cli import main; main()"
MODULE = """
def lasts(problem, steps):
    return min(1.0, len(steps) / 4)
"""


@pytest.fixture(scope="module")
def urls() -> Iterator[tuple[str, str]]:
    """Run the demo servers by `ttc up`."""
    arguments = [sys.executable, "-c", MAIN, "up", "--policy-port", "0", "--prm-port", "0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            policy, prm = (process.stdout.readline().split()[-1] for _ in range(2))
            yield policy, prm
        finally:
            process.terminate()


def ttc(*arguments: str) -> None:
    make_app()(list(arguments), standalone_mode=False)


VERIFIERS = {
    "confidence": (("--prm-api", "confidence"), r"confidence \(likelihood\)"),
    "deepconf": (
        ("--prm-api", "confidence", "--top-logprobs", "20"),
        r"confidence \(lowest group, top 20\)",
    ),
    "self": (("--prm-api", "self"), r"ttc-demo-policy \(its own judge, log-prob.*token\)"),
    "judge": (("--prm-api", "judge", "--prm", "PRM"), r"ttc-demo-prm \(judge, log-prob.*token\)"),
    "python": (("--prm-api", "python:mine:lasts"), "python:mine:lasts"),
    "combined": (
        ("--prm-api", "auto=2,confidence", "--prm", "PRM", "--combine", "product"),
        r"product of 2 × ttc-demo-prm .* and confidence \(likelihood\)",
    ),
}


@pytest.mark.parametrize(("flags", "named"), VERIFIERS.values(), ids=VERIFIERS)
def test_it_solves_benches_and_reports(flags, named, urls, tmp_path, monkeypatch, capsys):
    policy, prm = urls
    (tmp_path / "mine.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    asked = ["--policy", policy, *(prm if flag == "PRM" else flag for flag in flags), "-q"]
    ttc("solve", "Compute $17 + 25$.", "-s", "best-of-n", "-n", "4", *asked, "--json")
    result = json.loads(capsys.readouterr().out)
    assert re.search(named, result["prm"])
    assert all(candidate["reward"] is not None for candidate in result["candidates"])
    run, page = tmp_path / "run", tmp_path / "report"
    grid = ("--limit", "1", "-s", "best-of-n", "-n", "4", "--out", str(run))
    ttc("bench", "demomath", *grid, *asked)
    ttc("report", str(run), "--out", str(page))
    found = read_run(run)
    assert re.search(named.partition(" at ")[0], found.settings["prm"])
    assert not found.failed
    records = found.records.values()
    assert all(s.reward is not None for record in records for s in record.samples)
    assert re.search(named, (page / "index.html").read_text())
