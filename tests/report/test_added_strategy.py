"""A strategy that somebody adds to the table is in all of a report; one that is gone is said."""

import csv
import json

import msgspec
import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.curves import read_curves
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.report.findings import findings
from ttc_client.report.summary import short_table
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report
from ttc_client.runtime.records import Trace, key_of
from ttc_client.types import TreeNode

WON, LOST = (True, True, True), (False, False, False)


def _run(path) -> Run:
    """A run of dice, always right, and of greedy decoding, never right."""
    records = []
    for i in range(8):
        name = f"p{i}"
        records += [
            record("greedy", 1, [(0, None)], name=name, correct=LOST),
            *(record("dice", n, [(0, 0.9)] * n, name=name, correct=WON) for n in (4, 8)),
        ]
    made = run(*records, name=str(path))
    path.mkdir()
    tree = (TreeNode((0,), "so 1", 0.9, "eos", 8, True),)
    lines = [msgspec.json.encode(Trace(**key_of(r)._asdict(), tree=tree)) for r in records]
    (path / "traces.jsonl").write_bytes(b"\n".join(lines))
    return made


def test_it_is_in_figures_findings_tables_and_the_page(dice, tmp_path):
    made = _run(tmp_path / "run")
    points = read_curves([made])
    assert findings(points, {})[0].startswith("dice at 8: 100.0 %, +100.0 on greedy")
    assert ("dice", 8) in [row[:2] for row in short_table(points, [4, 8]).rows]
    page = write_report([made], tmp_path / "out", {}, ModelSizes()).read_text()
    for figure in ("accuracy", "cost", "level"):
        assert "<!-- dice (weighted)" in (tmp_path / "out" / f"{figure}.svg").read_text(), figure
    assert "<!-- dice -->" in (tmp_path / "out" / "votes.svg").read_text()
    with (tmp_path / "out" / "accuracy.csv").open() as file:
        rows = {(row["strategy"], row["N"]): row["accuracy"] for row in csv.DictReader(file)}
    assert rows["dice (weighted)", "4"] == rows["dice (pass)", "8"] == "1.0"
    assert "| dice (weighted) | greedy | 8 | 100.0 |" in (tmp_path / "out/tables.md").read_text()
    data = page.partition('<script id="problems" type="application/json">')[2]
    problems = json.loads(data.partition("</script>")[0])["problems"]
    searches = {search["name"]: search["tree"] for search in problems[0]["searches"]}
    assert len(searches["dice, N=8, seed 0"]) == 1


def test_one_that_is_not_known_is_said_before_anything_is_written(tmp_path):
    made = _run(tmp_path / "run")
    with pytest.raises(ConfigError, match="strategy is 'dice': it must be one of greedy, "):
        write_report([made], tmp_path / "out", {}, ModelSizes())
    assert not (tmp_path / "out").exists()
