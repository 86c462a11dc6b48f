"""Run directories that a disk, a kill or an editor has damaged: what is lost is named, and no more
is lost than that."""

import json
import warnings
from pathlib import Path

import msgspec
import pytest

from ttc_client.bench.export import export
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import (
    DamagedRunWarning,
    encode_settings,
    read_run,
    read_settings,
    read_traces,
)
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Cost, GradedAnswer, Key, Record, Sample, Trace
from ttc_client.types import Problem, TreeNode, Usage

PROBLEMS = [Problem(question=f"{i} + 1?", id=str(i), gold=str(i + 1)) for i in range(3)]
SETTINGS = {"dataset": "d", "strategy": ["majority"], "n": [2], "seed": [0]}
KEYS = [Key("majority", 2, 0, problem.id) for problem in PROBLEMS]
NODE = TreeNode((0,), "It is 1.", None, "eos", 2, kept=True)
SAMPLE = Sample(0, None, (), "eos", 2, 5, (0,))


def journal(path: Path, *, resume: bool = False) -> Journal:
    return Journal(path, SETTINGS, PROBLEMS, resume=resume)


def record_of(key: Key, **changes) -> Record:
    grades = {"majority": 1.0}
    answers = (GradedAnswer("1", 1.0),)
    fields = {"grades": grades, "answers": answers, "samples": (SAMPLE,), **changes}
    return Record(**{**key._asdict(), **fields})


async def write(book: Journal, key: Key) -> None:
    cost = Cost(**key._asdict(), usage=Usage(completion_tokens=5), wall_s=1.0)
    await book.write(record_of(key), cost, Trace(**key._asdict(), tree=(NODE,)))


@pytest.fixture
async def run(tmp_path: Path) -> Path:
    with journal(tmp_path / "run") as book:
        for key in KEYS:
            await write(book, key)
        book.sort(KEYS)
    return tmp_path / "run"


def replace_line(file: Path, index: int, line: bytes) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    lines[index] = line + b"\n"
    file.write_bytes(b"".join(lines))


BAD_LINES = {
    "not UTF-8": b'{"id": "\xff\xfe"}',
    "zeros, as after a power cut": b"\0" * 300,
    "no object": b"[]",
    "deep": b"[" * 50_000,
    "cut": b'{"id": "1", "strategy": "maj',
    "empty": b"",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_a_damaged_result_is_left_out_of_a_report_and_run_again(run, line):
    replace_line(run / "results.jsonl", 1, line)
    with pytest.warns(DamagedRunWarning, match=r"results\.jsonl: line 2 is damaged .*--resume"):
        found = read_run(run)
    assert set(found.records) == {KEYS[0], KEYS[2]}
    with pytest.warns(DamagedRunWarning, match="line 2"), journal(run, resume=True) as book:  # noqa: PT031
        assert set(book.finished) == {KEYS[0], KEYS[2]}
        await write(book, KEYS[1])
        book.sort(KEYS)
    assert list(read_run(run).records) == KEYS  # without a warning


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
@pytest.mark.parametrize("name", ["costs.jsonl", "traces.jsonl", "problems.jsonl"])
async def test_another_damaged_line_is_skipped_and_blocks_nothing(run, name, line):
    replace_line(run / name, 0, line)
    with pytest.warns(DamagedRunWarning, match=rf"{name}: line 1 is damaged"):  # noqa: PT031
        found = read_run(run)
        assert len(list(read_traces(run))) == 3 - (name == "traces.jsonl")
    assert set(found.records) == set(KEYS)
    assert len(found.costs) == 3 - (name == "costs.jsonl")
    assert len(found.problems) == 3 - (name == "problems.jsonl")
    with journal(run, resume=True) as book:
        assert set(book.finished) == set(KEYS)
    if name == "problems.jsonl":
        assert list(read_run(run).problems.values()) == PROBLEMS


async def test_many_damaged_lines_are_one_warning(run):
    for index in range(3):
        replace_line(run / "costs.jsonl", index, b"x")
    (run / "costs.jsonl").write_bytes((run / "costs.jsonl").read_bytes() * 4)
    with pytest.warns(DamagedRunWarning) as caught:
        read_run(run)
    (said,) = [str(warning.message) for warning in caught]
    assert "lines 1, 2, 3, 4, 5 and 7 more are damaged" in said


async def test_missing_problems_are_said_and_written_again(run):
    (run / "problems.jsonl").unlink()
    with pytest.warns(DamagedRunWarning, match=r"problems\.jsonl is missing"):
        assert len(read_run(run).records) == 3
    with journal(run, resume=True):
        pass
    assert list(read_run(run).problems.values()) == PROBLEMS


@pytest.mark.parametrize(
    "change",
    [
        {"strategy": "majorita"},
        {"n": 0},
        {"n": 10**12},
        {"grades": {"majority": 1.5}},
        {"answers": (GradedAnswer("1", -1.0),)},
        {"answers": ()},
        {"samples": (Sample(1, None, (), "eos", 2, 5, (0,)),)},
        {"samples": (Sample(0, 1.5, (), "eos", 2, 5, (0,)),)},
        {"samples": (Sample(0, 0.5, (0.5, 7.0), "eos", 2, 5, (0,)),)},
        {"samples": (Sample(0, None, (), "eos", -1, 5, (0,)),)},
        {"samples": (Sample(0, None, (), "eos", 1e15, 5, (0,)),)},
    ],
)
async def test_a_record_that_no_search_writes_is_damaged_though_it_decodes(run, change):
    line = msgspec.json.encode(record_of(KEYS[1], **change))
    replace_line(run / "results.jsonl", 1, line)
    with pytest.warns(DamagedRunWarning, match="line 2"):
        assert set(read_run(run).records) == {KEYS[0], KEYS[2]}


@pytest.mark.parametrize("path", [(), (1, 0), (0, 0, 0)])
async def test_a_trace_with_a_step_that_follows_none_is_damaged(run, path):
    tree = (NODE, TreeNode(path, "x", None, "eos", 1, kept=True))
    replace_line(
        run / "traces.jsonl", 2, msgspec.json.encode(Trace(**KEYS[2]._asdict(), tree=tree))
    )
    with pytest.warns(DamagedRunWarning, match="line 3"):
        assert len(list(read_traces(run))) == 2


async def test_a_cost_below_nothing_is_damaged(run):
    cost = Cost(**KEYS[0]._asdict(), usage=Usage(completion_tokens=-5), wall_s=1.0)
    replace_line(run / "costs.jsonl", 0, msgspec.json.encode(cost))
    with pytest.warns(DamagedRunWarning, match="line 1"):
        assert set(read_run(run).costs) == set(KEYS[1:])


async def test_a_trace_of_another_search_than_its_record_is_left_out_of_an_export(run):
    other = Trace(**KEYS[0]._asdict(), tree=(TreeNode((5,), "x", None, "eos", 1, kept=True),))
    replace_line(run / "traces.jsonl", 0, msgspec.json.encode(other))
    with pytest.warns(DamagedRunWarning, match="majority, 2, 0, 0 does not fit"):
        rows = list(export(read_run(run), "sal", lambda _: True))
    assert [row["unique_id"] for row in rows] == ["1", "2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b"7",
        b"[" * 50_000,
        b'{"digest": "", "settings": 7}',
        b'{"digest": 7, "settings": {}}',
        b'{"settings": {}}',
        b'{"digest": "", "settings": {}}',
    ],
)
def test_damaged_settings_name_their_file_and_the_way_on(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"config\.json is damaged: .*another --out"):
        read_settings(tmp_path)


async def test_settings_that_were_changed_by_hand_are_told_by_their_digest(run):
    content = json.loads((run / "config.json").read_text())
    content["settings"]["dataset"] = "e"
    (run / "config.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="not those that the run was made with"):
        read_run(run)


def test_settings_survive_their_own_digest(tmp_path):
    settings = {
        "temperature": 0.8,
        "n": [4, 16],
        "own": {"dvts": {"m": None}},
        "é": "½",
        "x": 1e300,
    }
    (tmp_path / "config.json").write_bytes(encode_settings(settings))
    assert read_settings(tmp_path) == settings


def test_a_directory_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json cannot be read: Is a directory"):
        read_run(tmp_path)


async def test_results_without_settings_are_not_taken_for_an_empty_directory(run):
    (run / "config.json").unlink()
    with pytest.raises(ConfigError, match=r"without their settings"), journal(run, resume=True):
        pass


async def test_a_sound_run_warns_of_nothing(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_run(run)
        list(read_traces(run))
