"""The output directory of a search: whole lines, whatever happens."""

import json
import resource
import signal
from contextlib import contextmanager

import pytest

from ttc_client.errors import ConfigError, TTCError
from ttc_client.runtime.lines import append_whole
from ttc_client.runtime.store import RunDirectory
from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.testing import ROOT, a_problem
from ttc_client.types import Counts, SearchResult, Step, Usage


def exchange(text: str = "step"):
    request = SampleRequest(ROOT, 1, 0.8, 1.0, 64, (), seed=3)
    return request, Samples((Step(text, "eos", 1),), (1, 2, 3), Usage(policy_requests=1))


@contextmanager
def disk_full_at(num_bytes: int):
    """Let no file grow beyond that; what a full disk does, the kernel does here too."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_every_exchange_is_a_line_on_disk_before_the_search_ends(tmp_path):
    with RunDirectory(tmp_path / "run") as directory:
        for i in range(3):
            directory.record(exchange(f"step {i}"))
    lines = (tmp_path / "run" / "trace.jsonl").read_text().splitlines()
    assert [json.loads(line)["sampled"][0]["text"] for line in lines] == [
        "step 0",
        "step 1",
        "step 2",
    ]


def test_a_second_search_on_the_directory_is_refused(tmp_path):
    with (
        RunDirectory(tmp_path),
        pytest.raises(ConfigError, match="holds a search already"),
        RunDirectory(tmp_path),
    ):
        pass


def test_a_directory_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "run", tmp_path / "file"):
        with pytest.raises(ConfigError, match=f"out is {path}: [NF]"), RunDirectory(path):
            pass


def test_a_full_disk_stops_no_search_is_told_at_the_end_and_tears_no_line(tmp_path):
    says = r"cannot write to .*: File too large; the rest of trace\.jsonl.* could not be kept"
    with RunDirectory(tmp_path) as directory:
        with disk_full_at(2000):
            for i in range(5):
                directory.record(exchange(f"{i} " + "x" * 300))
            with pytest.raises(TTCError, match=says):
                directory.finish(result())
        directory.record(exchange())
    lines = (tmp_path / "trace.jsonl").read_bytes().splitlines(keepends=True)
    assert 3 <= len(lines) < 5
    assert all(line.endswith(b"\n") and json.loads(line) for line in lines)
    assert json.loads((tmp_path / "result.json").read_text())["answer"] == "4"


def result() -> SearchResult:
    return SearchResult(
        problem=a_problem(),
        answer="4",
        strategy="greedy",
        n=1,
        m=1,
        vote="majority",
        choices={"majority": "4"},
        answers=(),
        candidates=(),
        tree=(),
        counts=Counts(1, 1, 1, 1, 1, 0, 0, 1),
        usage=Usage(),
        wall_s=1.0,
        seed=0,
        task="math",
        policy="policy",
        prm=None,
    )


def test_a_result_is_there_whole_or_not_at_all(tmp_path):
    with RunDirectory(tmp_path) as directory:
        with disk_full_at(100), pytest.raises(TTCError, match="File too large"):
            directory.finish(result())
        assert not (tmp_path / "result.json").exists()
        directory.finish(result())
    assert json.loads((tmp_path / "result.json").read_text())["answer"] == "4"


def test_a_line_is_written_whole_or_not_at_all(tmp_path):
    with (tmp_path / "file").open("xb", buffering=0) as file:
        append_whole(file, b"one\n")
        with disk_full_at(10), pytest.raises(OSError, match="File too large"):
            append_whole(file, b"two, which is longer\n")
        append_whole(file, b"three\n")
    assert (tmp_path / "file").read_bytes() == b"one\nthree\n"


def test_a_search_that_failed_before_any_answer_leaves_the_directory_free(tmp_path):
    for _ in range(2):
        with RunDirectory(tmp_path):
            pass
    assert not list(tmp_path.iterdir())
