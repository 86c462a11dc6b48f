"""The report of made-up runs: every figure and table, and a page that is safe to open."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.curves import read_curves
from ttc_client.analysis.difficulty import bins, ease
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.report import browsed, figures
from ttc_client.report.axes import write_figure
from ttc_client.report.browsed import votes_for
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report
from ttc_client.runtime.records import Trace, key_of
from ttc_client.types import Allocation, TreeNode

EVIL = '</script><script>alert(1)</script><img src=x onerror="alert(2)">'
FOUR = [(0, 0.9), (1, 0.5), (1, 0.6), (-1, 0.99)]


@pytest.fixture
def finished(tmp_path) -> Run:
    """A run of two strategies on four problems, whose traces hold markup."""
    records = [
        record(strategy, n, FOUR, name=name, correct=(name < "c",) * 3)
        for strategy, n in (("best-of-n", 4), ("beam", 4), ("beam", 8))
        for name in ("a", "b", "c", EVIL)
    ]
    found = run(*records, record("greedy", 1, [(0, None)]), name=str(tmp_path / "run"))
    found.path.mkdir()
    tree = (
        TreeNode((0,), f"first {EVIL}\n\n", 0.25, "stop", 1, True),
        TreeNode((1,), "other\n\n", 0.1, "stop", 1, False),
        TreeNode((0, 0), "last", 0.75, "eos", 2, True),
    )
    lines = [Trace(**key_of(r)._asdict(), tree=tree) for r in records]
    (found.path / "traces.jsonl").write_bytes(
        b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    )
    return found


class Elements(HTMLParser):
    """Collects the elements of a page, and what its data script holds."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.data = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1] == (
            "script",
            {"id": "problems", "type": "application/json"},
        ):
            self.data = self.data or data


def test_a_report_has_all_figures_tables_and_the_page(finished, tmp_path):
    out = tmp_path / "report"
    index = write_report([finished], out, {"big model": 0.7}, ModelSizes(1e9, 8e9))
    assert index == out / "index.html"
    drawn = {path.stem for path in out.glob("*.svg")}
    assert drawn == {
        *("accuracy", "votes", "cost", "calibration"),
        *("level", "oracle-bin", "model-bin"),
    }
    assert drawn == {path.stem for path in out.glob("*.png")}
    assert (out / "accuracy.csv").read_text().startswith("strategy,N,accuracy,low,high")
    assert "beam (weighted)" in (out / "tables.md").read_text()
    page = index.read_text()
    assert "13 searches finished; 39 retries (503 ×26, connection ×13)" in page
    assert page.index("best-of-n at 4: ") < page.index('<div class="figures">')


@pytest.fixture
def of_twelve() -> Run:
    """A run of two strategies on twelve problems, each of which is better at some."""
    records = []
    for i in range(12):
        for strategy, is_right in (("best-of-n", i > 5), ("beam", i < 6)):
            samples = [(0, i / 12)] * 4
            records.append(record(strategy, 4, samples, name=f"p{i}", correct=(is_right,) * 3))
    return run(*records)


def read_rows(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_compute_optimal_scaling_has_a_figure_rows_and_a_table(of_twelve, tmp_path):
    page = write_report([of_twelve], tmp_path, {}, ModelSizes(1e9, 8e9)).read_text()
    drawn = (tmp_path / "compute-optimal.svg").read_text()
    for judge in ("oracle", "model"):
        assert f"<!-- compute-optimal ({judge} bins)" in drawn
    assert "<!-- beam (weighted)" in drawn
    assert 'aria-label="Each problem by the strategy that suits its difficulty' in page
    rows = read_rows(tmp_path / "accuracy.csv")
    (found,) = [row for row in rows if row["strategy"] == "compute-optimal (model bins)"]
    (alone,) = [row for row in rows if row["strategy"] == "beam (weighted)"]
    assert float(found["accuracy"]) > float(alone["accuracy"]) == 0.5
    assert float(found["FLOPs"]) == float(alone["FLOPs"])
    (best, oracle, model) = read_rows(tmp_path / "compute-optimal.csv")
    assert best["strategy"] == "best-of-n, the best single one"
    assert float(model["gain"]) == pytest.approx(float(found["accuracy"]) - 0.5)
    assert oracle["problems"] == "12"


def test_searches_by_a_table_are_shown_with_their_trees_and_by_the_vote_they_chose(tmp_path):
    chose_majority = Allocation(bin=1, reward=0.5, probe=2, strategy="majority", m=None)
    made = record("compute-optimal", 4, FOUR, correct=(False, False, True), vote="majority")
    made = replace(made, allocation=chose_majority)
    found = run(made, record("beam", 4, FOUR), name=str(tmp_path / "run"))
    found.path.mkdir()
    tree = (
        TreeNode((0,), "a probe", 0.9, "eos", 1, True),
        TreeNode((1,), "first\n\n", 0.25, "stop", 1, True),
        TreeNode((1, 0), "last", 0.75, "eos", 2, True),
    )
    line = msgspec.json.encode(Trace(**key_of(made)._asdict(), tree=tree)) + b"\n"
    (found.path / "traces.jsonl").write_bytes(line)
    page = write_report([found], tmp_path / "report", {}, ModelSizes()).read_text()
    beam, search = json.loads(Elements(page).data)["problems"][0]["searches"]
    assert beam["tree"] is None
    assert search["right"] == 1
    assert [node["text"] for node in search["tree"]] == ["a probe", "first\n\n", "last"]


def test_it_has_none_where_the_runs_do_not_allow_it(of_twelve, tmp_path):
    alone = {k: r for k, r in of_twelve.records.items() if r.strategy == "beam"}
    page = write_report([replace(of_twelve, records=alone)], tmp_path, {}, ModelSizes()).read_text()
    assert "No curve of compute-optimal scaling: there are no best-of-n samples" in page
    assert (tmp_path / "accuracy.svg").exists()
    assert not list(tmp_path.glob("compute-optimal*"))
    assert "compute-optimal" not in (tmp_path / "accuracy.csv").read_text()


def test_the_page_is_self_contained_and_what_models_wrote_is_never_markup(finished, tmp_path):
    page = write_report([finished], tmp_path / "report", {}, ModelSizes()).read_text()
    assert "alert(1)</script>" not in page
    assert "<!--" not in page
    elements = Elements(page)
    assert [tag for tag, _ in elements.found].count("script") == 2
    assert not any("onerror" in attributes for _, attributes in elements.found)
    for tag, attributes in elements.found:
        assert attributes.get("src", "data:").startswith("data:"), tag
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#").startswith("#"), tag
    problems = json.loads(elements.data)["problems"]
    (evil,) = [problem for problem in problems if problem["id"] == EVIL]
    assert [search["name"] for search in evil["searches"]] == [
        "beam, N=8, seed 0",
        "best-of-n, N=4, seed 0",
    ]
    assert evil["searches"][0]["tree"][0]["text"] == f"first {EVIL}\n\n"


def test_of_large_trees_the_page_holds_fewer_but_lists_every_problem(
    finished, tmp_path, monkeypatch
):
    monkeypatch.setattr("ttc_client.report.browsed.MOST_BYTES", 14 * browsed.STEP_BYTES)  # of 24
    page = write_report([finished], tmp_path / "report", {}, ModelSizes()).read_text()
    assert "All 4 problems" in page
    assert "2 of them with the trees" in page
    problems = json.loads(Elements(page).data)["problems"]
    with_trees = [p["id"] for p in problems if any(search["tree"] for search in p["searches"])]
    assert len(problems) == 4
    assert with_trees == ["a", "c"]


def test_a_tree_of_long_steps_does_not_fill_the_page(finished, tmp_path):
    whole = write_report([finished], tmp_path / "whole", {}, ModelSizes()).read_text()
    file = finished.path / "traces.jsonl"
    file.write_text(file.read_text().replace("other", "x" * browsed.MOST_BYTES, 1))
    page = write_report([finished], tmp_path / "report", {}, ModelSizes()).read_text()
    left_out = "The tree of this search is not in this page."
    assert len(page) <= len(whole)
    assert page.count(left_out) > whole.count(left_out)
    assert "All 4 problems" in page


def test_the_votes_of_a_search_are_put_together_from_its_samples():
    votes = votes_for(record("beam", 4, FOUR))
    assert [(v.answer, v.grade, v.votes) for v in votes] == [("1", 0.0, 2), ("0", 1.0, 1)]
    assert votes[0].reward_sum == pytest.approx(1.1)
    assert votes[0].reward_max == 0.6


def test_a_figure_shows_each_strategy_and_each_baseline(finished, tmp_path):
    curves = read_curves([finished])
    write_figure(figures.accuracy_figure(curves, {"big": 0.7}), tmp_path, "one")
    drawn = (tmp_path / "one.svg").read_text()
    for words in ("accuracy against N", "best-of-n (weighted)", "majority", "big 70.0", "greedy"):
        assert f"<!-- {words}" in drawn, words
    assert len(re.findall("<image", drawn)) == 0


def test_bins_of_difficulty_hold_equally_many_from_easy_to_hard():
    easiness = {str(i): i / 10 for i in range(11)}
    found = bins(easiness)
    assert list(found) == ["1", "2", "3", "4", "5"]
    assert [len(ids) for ids in found.values()] == [2, 2, 3, 2, 2]
    assert found["1"] == ["10", "9"]
    assert found["5"] == ["1", "0"]


def test_ease_is_pass_at_1_by_the_oracle_and_the_mean_reward_by_the_model():
    one = run(
        record("best-of-n", 4, FOUR, seed=0),
        record("best-of-n", 4, [(0, 0.1)] * 4, seed=1),
        record("beam", 4, [(1, 0.0)] * 4),
    )
    assert ease([one], "oracle") == {"a": pytest.approx(5 / 8)}
    assert ease([one], "model") == {"a": pytest.approx((2.99 + 0.4) / 8)}


def test_a_run_with_nothing_finished_has_no_report(tmp_path):
    with pytest.raises(ConfigError, match="nothing is finished"):
        write_report([run(name="empty")], tmp_path / "report", {}, ModelSizes())
    assert not Path(tmp_path / "report").exists()
