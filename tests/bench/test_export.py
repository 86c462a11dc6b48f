"""Runs as data for others: the toolkit's lines, chat messages, and scored steps."""

from dataclasses import replace

import msgspec
import pytest

from tests.analysis.records import record, run
from ttc_client.bench.export import export
from ttc_client.bench.runs import Run
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Trace, key_of
from ttc_client.types import TreeNode

FOUR = [(1, 0.9), (0, 0.5), (0, 0.6), (-1, 0.99)]
CHOICES = {"prm": "1", "weighted": "0", "majority": "0"}


@pytest.fixture
def finished(tmp_path) -> Run:
    """Two searches that sampled the same texts; the second sampled its first one twice."""
    records = [replace(record("best-of-n", 4, FOUR, seed=s), choices=CHOICES) for s in (0, 1)]
    twice = replace(records[1].samples[0], votes=2)
    records[1] = replace(records[1], samples=(twice, *records[1].samples[1:3]))
    found = run(*records, name=str(tmp_path), task={"name": "math", "system_prompt": "Be brief."})
    tree = tuple(TreeNode((i,), f"step {i}\n\nend", 0.5, "eos", 1, True) for i in range(4))
    traces = [Trace(**key_of(r)._asdict(), tree=tree) for r in records]
    (tmp_path / "traces.jsonl").write_bytes(
        b"".join(msgspec.json.encode(t) + b"\n" for t in traces)
    )
    return found


def everything(_) -> bool:
    return True


def test_the_toolkits_lines_hold_every_sample_and_the_votes_among_the_first(finished):
    first, second = export(finished, "sal", everything)
    assert first["completions"] == [f"step {i}\n\nend" for i in range(4)]
    assert (first["agg_scores"], first["scores"][0]) == ([0.9, 0.5, 0.6, 0.99], (0.9,))
    assert first["pred"] == "step 0\n\nend"  # the last one has no vote
    assert first["finish"] == ["eos"] * 4
    assert (first["unique_id"], first["level"]) == ("a", 3)
    budgets = [name for name in first if "@" in name]
    assert budgets == [
        f"pred_{kind}@{n}" for n in (1, 2, 4) for kind in ("weighted", "maj", "naive")
    ]
    assert first["pred_naive@4"] == first["pred_maj@1"] == r"\boxed{1}"
    assert first["pred_weighted@2"] == r"\boxed{1}"
    assert first["pred_weighted@4"] == first["pred_maj@4"] == r"\boxed{0}"
    assert second["completions"][:2] == ["step 0\n\nend"] * 2
    assert second["pred_maj@2"] == r"\boxed{1}"


def test_right_completions_become_chats_each_once_and_the_best_first(finished):
    rows = list(export(finished, "sft", everything))
    assert [row["messages"][2]["content"] for row in rows] == ["step 2\n\nend", "step 1\n\nend"]
    assert [row["reward"] for row in rows] == [0.6, 0.5]
    assert [message["role"] for message in rows[0]["messages"]] == ["system", "user", "assistant"]
    assert rows[0]["messages"][0]["content"] == "Be brief."


def test_steps_come_with_scores_and_the_outcome(finished):
    rows = list(export(finished, "prm", everything))
    assert [row["steps"] for row in rows] == [(f"step {i}", "end") for i in range(4)]
    assert [row["outcome"] for row in rows] == [False, True, True, False]
    assert rows[0]["scores"] == (0.9,)


def test_only_what_is_wanted_and_was_kept_can_be_exported(finished, tmp_path):
    assert len(list(export(finished, "sal", lambda record: record.seed == 1))) == 1
    with pytest.raises(ConfigError, match="no traces of such searches"):
        list(export(finished, "sal", lambda record: record.n == 8))
    (tmp_path / "traces.jsonl").unlink()
    with pytest.raises(ConfigError, match="no traces"):
        list(export(finished, "prm", everything))
