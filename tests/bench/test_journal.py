"""A run's directory: what was finished is there, whatever happened, and only that."""

import errno
import json

import pytest

from tests.runtime.test_store import disk_full_at
from ttc_client.bench.journal import Journal
from ttc_client.bench.runs import read_run, read_traces
from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.records import Cost, Key, Record, Trace, key_of
from ttc_client.types import Problem, Usage

PROBLEMS = [
    Problem(question="1+1?", id="a", gold="2"),
    Problem(question="1+2?", id="b", gold="3"),
]
SETTINGS = {"dataset": "d", "n": (4, 8), "temperature": 0.8}
KEYS = [Key("dvts", n, 0, name) for n in (4, 8) for name in "ab"]


def journal(path, resume=False, **changes) -> Journal:
    return Journal(path, {**SETTINGS, **changes}, PROBLEMS, resume=resume)


async def write(book: Journal, key: Key, error: str = "") -> None:
    grades = {} if error else {"weighted": 1.0}
    record = Record(**key._asdict(), error=error, vote="weighted", grades=grades)
    cost = Cost(**key._asdict(), usage=Usage(completion_tokens=5), wall_s=1.5)
    await book.write(record, None if error else cost, Trace(**key._asdict(), tree=()))


async def test_what_is_written_can_be_read(tmp_path):
    with journal(tmp_path / "run") as book:
        for key in KEYS:
            await write(book, key)
    run = read_run(tmp_path / "run")
    assert list(run.problems.values()) == PROBLEMS
    assert list(run.records) == list(run.costs) == KEYS
    assert run.costs[KEYS[0]].usage.completion_tokens == 5
    assert [key_of(trace) for trace in read_traces(tmp_path / "run")] == KEYS
    assert run.settings["n"] == [4, 8]


async def test_a_torn_last_line_is_dropped_and_its_search_is_run_again(tmp_path):
    with journal(tmp_path) as book:
        for key in KEYS[:2]:
            await write(book, key)
    for name in ("results.jsonl", "traces.jsonl", "costs.jsonl"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:-7])
    assert set(read_run(tmp_path).records) == {KEYS[0]}
    with journal(tmp_path, resume=True) as book:
        assert book.finished == {KEYS[0]: 1.0}
        await write(book, KEYS[1])
    assert list(read_run(tmp_path).records) == KEYS[:2]
    assert list(read_run(tmp_path).costs) == KEYS[:2]


async def test_a_failed_search_is_not_finished_and_its_last_line_counts(tmp_path):
    with journal(tmp_path) as book:
        await write(book, KEYS[0], error="no answer")
    with journal(tmp_path, resume=True) as book:
        assert not book.finished
        await write(book, KEYS[0])
    assert read_run(tmp_path).records[KEYS[0]].error == ""


async def test_sorting_puts_one_line_per_search_into_the_plans_order(tmp_path):
    with journal(tmp_path) as book:
        await write(book, KEYS[1], error="no answer")
        for key in reversed(KEYS):
            await write(book, key)
        book.sort(KEYS)
    lines = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [(row["n"], row["id"], row["error"]) for row in map(json.loads, lines)] == [
        (4, "a", ""),
        (4, "b", ""),
        (8, "a", ""),
        (8, "b", ""),
    ]


def test_a_directory_with_a_run_is_only_taken_up_when_told(tmp_path):
    with journal(tmp_path):
        pass
    with pytest.raises(ConfigError, match="add --resume"), journal(tmp_path):
        pass


def test_changed_settings_are_refused_and_named(tmp_path):
    with journal(tmp_path):
        pass
    changed = journal(tmp_path, resume=True, temperature=0.7, top_p=0.9)
    with pytest.raises(ConfigError) as caught, changed:
        pass
    said = str(caught.value)
    assert "temperature was 0.8 and is 0.7; top_p was None and is 0.9" in said
    assert "dataset" not in said
    other = Journal(tmp_path, SETTINGS, PROBLEMS[:1], resume=True)
    with pytest.raises(ConfigError, match="its problems were others; go on with those, or"), other:
        pass


def test_two_runs_on_one_directory_are_refused(tmp_path):
    with (
        journal(tmp_path),
        pytest.raises(ConfigError, match="another ttc"),
        journal(tmp_path, resume=True),
    ):
        pass


async def test_a_full_disk_stops_the_run_and_leaves_whole_lines(tmp_path, monkeypatch):
    with journal(tmp_path) as book:
        await write(book, KEYS[0])
        results = book._lines._files["results.jsonl"]

        class FullDisk:
            def seek(self, *place):
                return results.seek(*place)

            def truncate(self, size):
                return results.truncate(size)

            def write(self, line):
                results.write(line[:5])
                raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setitem(book._lines._files, "results.jsonl", FullDisk())
        with pytest.raises(TTCError, match="No space left"):
            await write(book, KEYS[1])
        monkeypatch.undo()
    assert set(read_run(tmp_path).records) == {KEYS[0]}
    assert (tmp_path / "results.jsonl").read_bytes().endswith(b"\n")


def test_what_holds_no_run_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="holds no run"):
        read_run(tmp_path)


async def test_a_disk_that_fills_up_while_sorting_is_told_and_leaves_no_half(tmp_path):
    with journal(tmp_path) as book:
        for key in reversed(KEYS):
            await write(book, key)
        with disk_full_at(100), pytest.raises(TTCError, match=r"File too large.*--resume"):
            book.sort(KEYS)
    assert not list(tmp_path.glob("*.part"))
    with journal(tmp_path, resume=True) as book:
        assert book.finished.keys() == set(KEYS)
        book.sort(KEYS)
    assert list(read_run(tmp_path).records) == KEYS
