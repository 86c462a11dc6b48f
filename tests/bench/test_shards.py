"""Which shard a process is: engines' variables, partial arrays, and what a directory keeps."""

import threading

import pytest

from ttc_client.bench.shards import SHARDS, Shards, find_shard, read_shards, shard_paths
from ttc_client.errors import ConfigError


def slurm(task: int, first: int, last: int, *, step: int = 1, count: int | None = None):
    """What Slurm sets in a task of --array=FIRST-LAST:STEP, or of as many tasks between them."""
    named = {"ID": task, "MIN": first, "MAX": last, "STEP": step}
    named["COUNT"] = len(range(first, last + 1, step)) if count is None else count
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in named.items()}


def sky(rank: int, count: int, kind: str = "JOB") -> dict[str, str]:
    of = {"JOB": "NUM_JOBS", "NODE": "NUM_NODES"}[kind]
    return {f"SKYPILOT_{kind}_RANK": str(rank), f"SKYPILOT_{of}": str(count)}


@pytest.mark.parametrize("first", [0, 1, 5])
@pytest.mark.parametrize("step", [1, 2])
def test_an_array_is_as_many_shards_as_it_has_tasks_wherever_it_begins(tmp_path, first, step):
    last = first + 8 * step
    found = [
        str(find_shard("auto", slurm(task, first, last, step=step), tmp_path))
        for task in range(first, last + 1, step)
    ]
    assert found == [f"{i}/9" for i in range(1, 10)]


@pytest.mark.parametrize(
    ("text", "environment", "shard"),
    [
        ("auto/4", {"JOB_COMPLETION_INDEX": "0"}, "1/4"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "3"}, "4/4"),
        ("auto", sky(2, 8), "3/8"),
        ("auto", sky(1, 2, "NODE"), "2/2"),
        ("auto", sky(2, 8) | sky(0, 1, "NODE"), "3/8"),
        ("auto/9", slurm(9, 1, 9), "9/9"),
        ("auto/3674", slurm(3000, 1, 3000), "3000/3674"),
        ("auto/10", slurm(3, 0, 7, count=3), "4/10"),
        ("auto/1", slurm(7, 7, 7), "1/1"),
    ],
)
def test_each_engine_says_which_shard_a_task_is(tmp_path, text, environment, shard):
    assert str(find_shard(text, environment, tmp_path)) == shard


def test_each_shard_has_a_directory_of_its_own_that_sorts_as_it_counts(tmp_path):
    names = [find_shard("auto", slurm(i, 0, 9), tmp_path).path.name for i in range(10)]
    assert names == sorted(names)
    assert names[2] == "shard-03-of-10"
    assert len(set(names)) == 10


@pytest.mark.parametrize(
    ("environment", "shard"),
    [
        (slurm(3, 3, 3), "4/10"),
        (slurm(8, 3, 8, count=2), "9/10"),
        (slurm(6, 2, 8, step=2), "7/10"),
        (slurm(9, 0, 9), "10/10"),
    ],
)
def test_a_partial_array_keeps_the_shards_of_the_run_that_it_goes_on_with(
    tmp_path, environment, shard
):
    find_shard("auto", slurm(0, 0, 9), tmp_path)
    assert str(find_shard("auto", environment, tmp_path)) == shard
    assert str(find_shard("auto/10", environment, tmp_path)) == shard


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("auto", {}, "no SKYPILOT_JOB_RANK or"),
        ("auto", {"JOB_COMPLETION_INDEX": "1"}, "auto/K, with the Job's completions"),
        ("auto", slurm(3, 3, 3), "a whole array of at least 2"),
        ("auto", slurm(3, 1, 7, count=4), "the array is of 4, from 1 to 7"),
        ("auto/10", slurm(3, 3, 5), "count from 0 or 1"),
        ("auto/2", slurm(0, 0, 2), "count from 0 or 1"),
        ("auto/4", {"JOB_COMPLETION_INDEX": "4"}, "does not fit"),
        ("auto/0", {"JOB_COMPLETION_INDEX": "0"}, "shard is 'auto/0'"),
        ("auto/9000000", {"JOB_COMPLETION_INDEX": "0"}, "with k up to 1000000"),
        ("automatic", slurm(0, 0, 1), "shard is 'automatic'"),
        ("auto", {"SLURM_ARRAY_TASK_ID": "1"}, "SLURM_ARRAY_TASK_MIN is None"),
        ("auto", slurm(0, 0, 10**30, count=2), "SLURM_ARRAY_TASK_MAX is '10000"),
        ("auto", {"SKYPILOT_JOB_RANK": "x", "SKYPILOT_NUM_JOBS": "2"}, "RANK is 'x'"),
    ],
)
def test_what_does_not_fix_the_number_of_shards_is_refused(tmp_path, text, environment, said):
    with pytest.raises(ConfigError, match=said):
        find_shard(text, environment, tmp_path)


@pytest.mark.parametrize(
    ("text", "environment", "said"),
    [
        ("auto", slurm(0, 0, 19), "the tasks 1-10"),
        ("auto", slurm(0, 0, 9), "the tasks 1-10"),
        ("auto/20", slurm(1, 1, 10), "begun with 10"),
        ("auto", slurm(11, 11, 11), "the tasks 1-10"),
    ],
)
def test_an_array_that_is_not_the_runs_is_refused(tmp_path, text, environment, said):
    find_shard("auto", slurm(1, 1, 10), tmp_path)
    with pytest.raises(ConfigError, match=said):
        find_shard(text, environment, tmp_path)


def test_tasks_that_start_at_once_agree_and_leave_nothing_else_behind(tmp_path):
    found: list[str] = []
    tasks = [
        threading.Thread(
            target=lambda i=i: found.append(str(find_shard("auto", slurm(i, 0, 15), tmp_path)))
        )
        for i in range(16)
    ]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    assert sorted(found) == sorted(f"{i}/16" for i in range(1, 17))
    assert [path.name for path in tmp_path.iterdir()] == [SHARDS]


def test_a_file_system_without_links_keeps_it_too(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    find_shard("auto", slurm(2, 0, 9), tmp_path)
    assert read_shards(tmp_path) == Shards(10)
    assert [path.name for path in tmp_path.iterdir()] == [SHARDS]


def test_a_run_and_a_damaged_file_are_refused(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a run already"):
        find_shard("auto", slurm(0, 0, 1), tmp_path)
    (tmp_path / "config.json").unlink()
    for damaged in ("{", '{"count":0}', '{"count":9,"step":0}', '{"count":9000000000}'):
        (tmp_path / SHARDS).write_text(damaged)
        with pytest.raises(ConfigError, match="damaged"):
            find_shard("auto", slurm(0, 0, 1), tmp_path)


def test_the_shards_of_a_directory_are_those_that_were_begun(tmp_path):
    assert shard_paths(tmp_path) == [tmp_path]
    paths = [find_shard("auto", slurm(i, 0, 9), tmp_path).path for i in (7, 2)]
    with pytest.raises(ConfigError, match="no shard yet of 10"):
        shard_paths(tmp_path)
    for path in paths:
        path.mkdir()
        (path / "config.json").touch()
    assert shard_paths(tmp_path) == paths[::-1]


@pytest.mark.parametrize(
    ("shards", "array"),
    [([1], "1"), ([1, 2, 3], "1,3,5"), ([], "")],
)
def test_the_tasks_of_shards_are_written_as_slurm_takes_them(shards, array):
    assert Shards(5, first=1, step=2).array(shards) == array
    assert Shards(3674, first=1).array(range(3001, 3675)) == "3001-3674"
    assert Shards(9).array([9, 1, 2, 5]) == "0-1,4,8"
