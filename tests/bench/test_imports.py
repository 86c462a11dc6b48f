"""The published toolkit's JSON lines, graded here: its form, its faults, and there and back."""

import gzip
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow
import pyarrow.parquet
import pytest

from tests.fakes.chance_servers import chance_servers
from ttc_client.analysis.curves import read_curves
from ttc_client.bench.bench import Bench
from ttc_client.bench.export import export
from ttc_client.bench.grid import Grid
from ttc_client.bench.imports import Sampled, load_sampled
from ttc_client.bench.journal import Journal
from ttc_client.bench.regrade import Regrading
from ttc_client.bench.runs import Run, read_run
from ttc_client.errors import ConfigError
from ttc_client.runtime.client import Client
from ttc_client.runtime.records import Record
from ttc_client.settings.config import load_settings
from ttc_client.types import Problem

GOLDEN = Path(__file__).parents[1] / "sal" / "golden.jsonl"
TWO = [r"so \boxed{1}", r"so \boxed{2}"]
SOUND: dict[str, Any] = {
    "problem": "How many?",
    "answer": "1",
    "completions": TWO,
    "scores": [[0.5, 0.9], [0.2]],
    "agg_scores": [0.9, 0.2],
}


def write(path: Path, *rows: dict[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("".join(line + "\n" for line in lines))
    return path


async def graded(out: Path, rows: list[Sampled], compat=None) -> Run:
    regrading = Regrading(rows, compat)
    with Journal(out, regrading.settings, regrading.problems, resume=False) as journal:
        await regrading.run(journal)
    assert regrading.num_done == len(rows)
    return read_run(out)


@pytest.mark.parametrize("compat", [None, "sal"])
async def test_a_run_that_is_exported_and_imported_has_the_same_accuracies(tmp_path, compat):
    problems = [Problem(question=f"problem {i}", id=f"p{i}", gold=str(i % 3)) for i in range(4)]
    grid = Grid(("best-of-n", "beam", "dvts"), (4, 8), (0, 1))
    async with chance_servers() as server:
        urls = {"policy": server.url, "prm": server.url, "check": False}
        settings = load_settings({**urls, "max_steps": 3, "compat": compat}, {})
        with Journal(
            tmp_path / "ours", {"compat": compat, "n": [4, 8]}, problems, resume=False
        ) as j:
            async with Client(settings.servers) as client:
                await Bench(problems, grid.searches(settings), j).run(client)
    ours = read_run(tmp_path / "ours")
    paths = []
    for strategy, n, seed in {(r.strategy, r.n, r.seed) for r in ours.records.values()}:

        def wanted(record: Record, cell=(strategy, n, seed)) -> bool:
            return (record.strategy, record.n, record.seed) == cell

        rows = [msgspec.to_builtins(row) for row in export(ours, "sal", wanted)]
        paths.append(write(tmp_path / f"{strategy}--n-{n}--seed-{seed}.jsonl", *rows))
    rows, damaged = load_sampled(paths)
    theirs = await graded(tmp_path / "theirs", rows, compat)
    assert not damaged
    assert theirs.records.keys() == ours.records.keys()
    before, after = read_curves([ours]), read_curves([theirs])
    assert before.keys() == after.keys()
    for curve, points in before.items():
        assert {n: p.right for n, p in points.items()} == {
            n: p.right for n, p in after[curve].items()
        }, curve
    for key, record in ours.records.items():
        assert record.choices == theirs.records[key].choices


async def test_the_toolkits_own_rows_get_the_predictions_that_it_made(tmp_path):
    rows = [msgspec.json.decode(line) for line in GOLDEN.read_bytes().splitlines()]
    own = [{**row, "problem": f"p{i}", "answer": "3"} for i, row in enumerate(rows)]
    path = write(tmp_path / "dvts_completions.jsonl", *own)
    sampled, damaged = load_sampled([path])
    assert not damaged
    run = await graded(tmp_path / "run", sampled, "sal")
    for record, row in zip(run.records.values(), rows, strict=True):
        kinds = {"naive": "prm", "weighted": "weighted", "maj": "majority"}
        for kind, vote in kinds.items():
            if prediction := row.get(f"pred_{kind}@{record.n}"):
                assert prediction == rf"\boxed{{{record.choices[vote]}}}"
    assert any(record.grades["weighted"] for record in run.records.values())


async def test_scores_may_be_aggregated_ones_alone(tmp_path):
    row = {name: value for name, value in SOUND.items() if name != "scores"}
    path = write(tmp_path / "beam_search_completions.jsonl", {**row, "completion_tokens": -1})
    (sampled,), damaged = load_sampled([path])
    assert not damaged
    assert (sampled.strategy, sampled.rewards, sampled.scores) == ("beam", (0.9, 0.2), ((), ()))
    run = await graded(tmp_path / "run", [sampled])
    (record,) = run.records.values()
    assert record.grades == {"prm": 1, "weighted": 1, "majority": 1}
    assert record.n == 2


def test_without_aggregated_scores_the_last_ones_count(tmp_path):
    row = {name: value for name, value in SOUND.items() if name != "agg_scores"}
    path = tmp_path / "best_of_n_completions.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(row).encode()))
    (sampled,), _ = load_sampled([path])
    assert (sampled.strategy, sampled.seed, sampled.rewards) == ("best-of-n", 0, (0.9, 0.2))


def test_strategy_and_seed_are_told_by_the_path_unless_they_are_named(tmp_path):
    directory = tmp_path / "DVTS-completions" / "MATH-500--T-0.8--n-2--m-4--look-0--seed-3"
    directory.mkdir(parents=True)
    path = write(directory / "train.jsonl", SOUND)
    (row,), _ = load_sampled([path])
    assert (row.strategy, row.seed) == ("dvts", 3)
    (row,), _ = load_sampled([path], "majority", 1)
    assert (row.strategy, row.seed, row.rewards) == ("majority", 1, (None, None))
    with pytest.raises(ConfigError, match="--strategy"):
        load_sampled([write(tmp_path / "train.jsonl", SOUND)])


def test_smaller_budgets_are_read_off_the_first_completions(tmp_path):
    path = write(tmp_path / "dvts.jsonl", SOUND)
    (row,), _ = load_sampled([path], budgets=(1, 2))
    assert row.budgets == (1, 2)


def test_of_a_problem_that_a_batch_held_twice_each_row_gets_its_own_part(tmp_path):
    """Its DVTS gives either row all 2N completions, those of the first one first."""
    four = {
        **SOUND,
        "completions": ["a", "b", "c", "d"],
        "scores": [[0.1], [0.2], [0.3], [0.4]],
        "agg_scores": [0.1, 0.2, 0.3, 0.4],
        "pred_maj@1": "",
        "pred_maj@2": "",
    }
    path = write(tmp_path / "dvts.jsonl", four, {**SOUND, "problem": "another"}, four)
    rows, damaged = load_sampled([path])
    assert not damaged
    assert [row.completions for row in rows] == [("a", "b"), tuple(TWO), ("c", "d")]
    assert rows[2].rewards == (0.3, 0.4)
    assert len({row.problem.id for row in rows}) == 3


def test_a_problem_that_was_searched_twice_keeps_what_each_search_sampled(tmp_path):
    path = write(tmp_path / "dvts.jsonl", {**SOUND, "pred_maj@2": ""}, {**SOUND, "pred_maj@2": ""})
    rows, _ = load_sampled([path])
    assert [row.completions for row in rows] == [tuple(TWO)] * 2


def test_problems_without_ids_are_the_same_in_all_files(tmp_path):
    paths = [write(tmp_path / f"dvts--seed-{seed}.jsonl", SOUND) for seed in (0, 1)]
    rows, damaged = load_sampled(paths)
    assert not damaged
    assert [(row.problem.id, row.seed) for row in rows] == [("0", 0), ("0", 1)]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({k: v for k, v in SOUND.items() if k != "completions"}, "`completions`"),
        ({k: v for k, v in SOUND.items() if k != "answer"}, "`answer`"),
        ({**SOUND, "answer": " "}, "its answer is empty"),
        ({**SOUND, "completions": []}, "$.completions"),
        ({**SOUND, "completions": ["a", None]}, "$.completions[1]"),
        ({**SOUND, "scores": [[0.5]]}, "has 1 scores for 2 completions"),
        ({**SOUND, "scores": [0.5, 0.5]}, "$.scores[0]"),
        ({**SOUND, "agg_scores": [0.5, 1.5]}, "<= 1.0"),
        ({**SOUND, "scores": None, "agg_scores": None}, "neither scores nor agg_scores"),
        ({**SOUND, "scores": [[0.5], []], "agg_scores": None}, "no scores for completion 1"),
        ('{"problem": "torn', "truncated"),
        ("[1, 2]", "object"),
        (SOUND | {"unique_id": "x", "problem": "other"}, "id 'x' is that of another problem"),
        (SOUND | {"unique_id": "x", "completions": ["a", "b"]}, "line 1 already"),
    ],
)
def test_a_damaged_row_is_one_line_that_says_where_and_what(tmp_path, row, says):
    path = write(tmp_path / "beam.jsonl", {**SOUND, "unique_id": "x"}, "", row)
    rows, (line,) = load_sampled([path])
    assert len(rows) == 1
    assert line.startswith(f"{path}, line 3: ")
    assert says in line
    assert "\n" not in line


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere-dvts\.jsonl: there is no such file"):
        load_sampled([tmp_path / "nowhere-dvts.jsonl"])
    torn = tmp_path / "dvts.jsonl.gz"
    torn.write_bytes(gzip.compress(b"{}\n" * 100)[:20])
    no_table = write(tmp_path / "dvts.parquet", "{}")
    for path in (torn, no_table):
        with pytest.raises(ConfigError, match=f"{path} cannot be read"):
            load_sampled([path])


def test_parquet_is_read_too(tmp_path):
    path = tmp_path / "dvts.parquet"
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([{**SOUND, "level": 3}]), path)
    (row,), _ = load_sampled([path])
    assert row.completions == tuple(TWO)
    assert row.problem == replace(row.problem, level="3", gold="1")
