"""Shards joined: the run that one process would have written, and what is said of others."""

import asyncio
import shutil
import warnings
from collections import Counter

import msgspec
import pytest

from tests.fakes.chance_servers import chance_servers
from ttc_client.bench.bench import Bench
from ttc_client.bench.dataset import Selection
from ttc_client.bench.grid import Grid
from ttc_client.bench.journal import Journal
from ttc_client.bench.merge import merge, read_runs, said_of_shards
from ttc_client.bench.runs import COSTS, RESULTS, TRACES, encode_settings, read_settings
from ttc_client.bench.shards import SHARDS, Shards
from ttc_client.errors import ConfigError
from ttc_client.runtime.client import Client
from ttc_client.settings.config import load_settings
from ttc_client.types import Problem

GRID = Grid(("greedy", "best-of-n", "dvts"), (4,), (0, 1))
PROBLEMS = [Problem(question=f"problem {i}", id=f"p{i}", gold=str(i % 3)) for i in range(7)]
NUM_SEARCHES = len(PROBLEMS) * (1 + 2 + 2)


async def search(url, path, shard=(1, 1), *, resume=False):
    """Run a shard's searches."""
    settings = load_settings({"policy": url, "prm": url, "check": False, "max_steps": 3}, {})
    problems = Selection(shard=shard).of(PROBLEMS)
    recorded = {"dataset": "set", "shard": "{}/{}".format(*shard), "temperature": 0.8}
    with Journal(path, recorded, problems, resume=resume) as journal:
        async with Client(settings.servers) as client:
            await Bench(problems, GRID.searches(settings), journal).run(client)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Search as one process, and as three."""
    path = tmp_path_factory.mktemp("found")

    async def search_all():
        async with chance_servers() as server:
            await search(server.url, path / "whole")
            for i in (1, 2, 3):
                await search(server.url, path / "shards" / f"shard-{i}-of-3", (i, 3))

    asyncio.run(search_all())
    return path


@pytest.fixture
def whole(found):
    return found / "whole"


@pytest.fixture
def shards(found, tmp_path):
    shutil.copytree(found / "shards", tmp_path / "shards")
    return sorted((tmp_path / "shards").iterdir())


def changed(path, to, **settings):
    """Copy a shard as one of other settings."""
    if to != path:
        shutil.copytree(path, to)
    (to / "config.json").write_bytes(encode_settings(read_settings(path) | settings))
    return to


def kill(shard, num_searches: int) -> None:
    """Leave a shard as a process does that is killed after so many searches."""
    lines = (shard / RESULTS).read_bytes().splitlines(keepends=True)
    (shard / RESULTS).write_bytes(b"".join(lines[:num_searches]) + lines[-1][:20])


def untimed(path, name) -> Counter[bytes]:
    """Count a file's lines, without what depends on the clock."""
    lines = map(msgspec.json.decode, (path / name).read_bytes().splitlines())
    return Counter(
        msgspec.json.encode({k: v for k, v in x.items() if k != "wall_s"}) for x in lines
    )


def test_merged_shards_are_the_run_that_one_process_writes(tmp_path, whole, shards):
    merged = tmp_path / "merged"
    assert merge(shards[::-1], merged).path == merged
    for name in ("config.json", "problems.jsonl", RESULTS):
        assert (merged / name).read_bytes() == (whole / name).read_bytes(), name
    for name in (COSTS, TRACES):
        assert untimed(merged, name) == untimed(whole, name)
    names, of_whole = ({path.name for path in each.iterdir()} for each in (merged, whole))
    assert of_whole - names == {"lock"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["merged", "shards"]


async def test_a_merged_run_is_resumed_to_the_same_result(tmp_path, whole, shards):
    kill(shards[2], 4)
    run = merge(shards, tmp_path / "merged")
    assert len(run.records) == NUM_SEARCHES - len(PROBLEMS[2::3]) * 5 + 4
    async with chance_servers() as server:
        await search(server.url, tmp_path / "merged", resume=True)
    assert (tmp_path / "merged" / RESULTS).read_bytes() == (whole / RESULTS).read_bytes()


def test_a_directory_of_shards_stands_for_them(tmp_path, shards):
    (tmp_path / "shards" / SHARDS).write_bytes(msgspec.json.encode(Shards(3, first=1)))
    assert [run.path for run in read_runs([tmp_path / "shards"])] == shards
    assert len(merge([tmp_path / "shards"], tmp_path / "merged").records) == NUM_SEARCHES
    assert [*said_of_shards(read_runs([tmp_path / "shards"]))] == []


def test_what_is_missing_or_unfinished_is_said_with_the_array_that_goes_on(tmp_path, shards):
    kill(shards[2], 3)
    shutil.rmtree(shards[0])
    (said,) = said_of_shards(read_runs(shards[1:]))
    assert said == "of 3 shards, 1 missing, 3 unfinished"
    (tmp_path / "shards" / SHARDS).write_bytes(msgspec.json.encode(Shards(3)))
    (said,) = said_of_shards(read_runs([tmp_path / "shards"]))
    assert said.endswith("; to go on: sbatch --array=0,2")
    with pytest.raises(ConfigError, match="of 3 shards, 1 missing"):
        merge(shards[1:], tmp_path / "merged")


@pytest.mark.parametrize("setting", [{"temperature": 0.5}, {"own": {"dvts": {"lookahead": 1}}}])
def test_shards_of_other_settings_are_refused_by_name(tmp_path, shards, setting):
    own = {"own": {"dvts": {"lookahead": 0}}} if "own" in setting else {}
    for shard in shards[:2]:
        changed(shard, shard, **own)
    changed(shards[2], shards[2], **setting)
    name = "lookahead was 0 and is 1" if own else "temperature was 0.8 and is 0.5"
    for join in (
        lambda: merge(shards, tmp_path / "merged"),
        lambda: [*said_of_shards(read_runs(shards))],
    ):
        with pytest.raises(ConfigError, match=f"not shards of one run: ({name})"):
            join()
    other = changed(shards[0], tmp_path / "other", **setting)
    said = [*said_of_shards(read_runs([*shards, other]))]  # a comparison, shard by shard
    assert said == ["of 3 shards, 3 missing", "of 3 shards, 2 missing"]


def test_double_and_overlapping_shards_are_said_and_never_merged(tmp_path, shards):
    double = [*shards, changed(shards[1], tmp_path / "again")]
    half = [*shards, changed(shards[0], tmp_path / "half", shard="1/2")]
    (said,) = said_of_shards(read_runs(double))
    assert said.endswith("again are the same shard, 2/3, which counts once")
    (said,) = said_of_shards(read_runs(half))
    assert said == "some runs are shards of 2, others of 3: a problem that several hold counts once"
    with pytest.raises(ConfigError, match="are the same shard, 2/3"):
        merge(double, tmp_path / "merged")
    with pytest.raises(ConfigError, match=r"one of 3 shards, and .* one of 2"):
        merge(half, tmp_path / "merged")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: lines[:-9] + b"\n", "are not those that were searched"),
        (lambda lines: b"", "are not those that were searched"),
        (None, "cannot be read: No such file"),
    ],
)
def test_problems_that_were_not_searched_are_named_with_the_way_on(tmp_path, shards, spoil, said):
    file = shards[1] / "problems.jsonl"
    file.write_bytes(spoil(file.read_bytes())) if spoil else file.unlink()
    with (
        pytest.raises(ConfigError, match=rf"shard-2-of-3/problems.jsonl .*{said}.* --resume"),
        warnings.catch_warnings(action="ignore"),
    ):
        merge(shards, tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_only_an_empty_directory_is_merged_into(tmp_path, shards):
    with pytest.raises(ConfigError, match="holds a run already"):
        merge(shards, shards[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        merge(shards, tmp_path / "other")
    (tmp_path / "empty").mkdir()
    assert len(merge(shards, tmp_path / "empty").records) == NUM_SEARCHES
