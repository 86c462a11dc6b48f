"""What a verifier's rewards would gain on a run that is there."""

from dataclasses import replace

import msgspec
import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.rerank import Resampled
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Trace, key_of
from ttc_client.types import TreeNode


@pytest.fixture
def finished(tmp_path) -> Run:
    """Two problems of four samples; a wrong answer has the majority, and one text comes twice."""
    records = [
        record("best-of-n", 4, [(0, 0.1), (1, 0.9), (1, 0.9), (1, 0.9)], name=name)
        for name in ("a", "b")
    ]
    records[1] = replace(records[1], samples=records[1].samples[:3])  # one of b's failed
    found = run(*records, name=str(tmp_path))
    texts = ["right\n\nend", "wrong 1\n\nend", "wrong 2\n\nend", "wrong 2\n\nend"]
    tree = tuple(TreeNode((i,), text, 0.5, "eos", 1, True) for i, text in enumerate(texts))
    traces = [Trace(**key_of(r)._asdict(), tree=tree) for r in records]
    lines = b"".join(msgspec.json.encode(t) + b"\n" for t in traces)
    (tmp_path / "traces.jsonl").write_bytes(lines)
    return found


def test_each_text_of_a_problem_is_scored_once_in_steps(finished):
    work = Resampled.of(finished).work()
    assert [w.steps for w in work] == [("right", "end"), ("wrong 1", "end"), ("wrong 2", "end")] * 2
    assert len({w.key for w in work}) == 6


def test_a_verifier_that_knows_gains_what_the_majority_loses(finished):
    resampled = Resampled.of(finished)
    knows = {w.key: (0.5, 0.9 if "right" in w.steps else 0.01) for w in resampled.work()}
    weighted, best = resampled.gains(knows)
    assert (weighted.vote, best.vote, weighted.n) == ("weighted", "prm", 4)
    assert (weighted.right.mean, weighted.majority, weighted.best) == (1, 0, 1)
    assert weighted.gain.difference == best.gain.difference == 1
    indifferent = dict.fromkeys(knows, (0.5, 0.5))
    assert resampled.gains(indifferent)[0].gain.difference == 0


def test_a_search_with_a_sample_that_was_not_scored_is_left_out(finished):
    resampled = Resampled.of(finished)
    known = {w.key: (0.5, 0.5) for w in resampled.work() if "/a/" in w.key}
    assert resampled.gains(known)[0].right.num_problems == 1
    assert resampled.gains({}) == []


def test_a_run_without_independent_samples_is_refused():
    with pytest.raises(ConfigError, match="no best-of-n samples"):
        Resampled.of(run(record("beam", 4, [(0, 0.1)])))
