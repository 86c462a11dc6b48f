"""Lines that are kept: torn ones dropped, other settings and second writers refused."""

import errno
import os
from contextlib import ExitStack

import pytest

from ttc_client.bench.judging import SCORES, ScoredWork
from ttc_client.bench.ledger import Ledger, lock
from ttc_client.bench.runs import DamagedRunWarning
from ttc_client.errors import ConfigError

KINDS = {SCORES: ScoredWork}


def line(key: str) -> ScoredWork:
    return ScoredWork(verifier="v", key=key, scores=(0.5,))


@pytest.fixture
async def written(tmp_path):
    with Ledger(tmp_path, {"dataset": "d"}, KINDS, resume=False) as ledger:
        await ledger.write(SCORES, line("a"))
        await ledger.write(SCORES, line("b"))
    return tmp_path


async def test_it_goes_on_where_it_ended_without_a_line_that_a_kill_tore(written):
    with (written / SCORES).open("ab") as file:
        file.write(b'{"verifier":"v","key":"c","sco')
    with Ledger(written, {"dataset": "d"}, KINDS, resume=True) as ledger:
        assert ledger.kept[SCORES] == [line("a"), line("b")]
        await ledger.write(SCORES, line("d"))
    with Ledger(written, {"dataset": "d"}, KINDS, resume=True) as ledger:
        assert [kept.key for kept in ledger.kept[SCORES]] == ["a", "b", "d"]


async def test_a_damaged_line_is_named_and_left_out(written):
    text = (written / SCORES).read_bytes().replace(b'"a"', b'"a', 1)
    (written / SCORES).write_bytes(text)
    with pytest.warns(DamagedRunWarning, match=r"line 1 is damaged .*--resume"):  # noqa: SIM117
        with Ledger(written, {"dataset": "d"}, KINDS, resume=True) as ledger:
            assert [kept.key for kept in ledger.kept[SCORES]] == ["b"]


@pytest.mark.parametrize(
    ("settings", "resume", "said"),
    [({"dataset": "d"}, False, "add --resume"), ({"dataset": "e"}, True, "dataset was 'd' and is")],
    ids=["taken", "changed"],
)
async def test_what_belongs_to_something_else_is_refused(written, settings, resume, said):
    with pytest.raises(ConfigError, match=said), Ledger(written, settings, KINDS, resume=resume):
        pass


async def test_lines_without_their_settings_and_a_second_writer_are_refused(written):
    with Ledger(written, {"dataset": "d"}, KINDS, resume=True):  # noqa: SIM117
        with (
            pytest.raises(ConfigError, match="another ttc is writing"),
            Ledger(written, {"dataset": "d"}, KINDS, resume=True),
        ):
            pass
    (written / "config.json").unlink()
    with (
        pytest.raises(ConfigError, match="results without their settings"),
        Ledger(written, {"dataset": "d"}, KINDS, resume=True),
    ):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK], ids=["lustre", "nfs"])
def test_a_file_system_without_locks_is_said_and_written_to(tmp_path, monkeypatch, number):
    monkeypatch.setattr("fcntl.flock", lambda *_: refuse(number))
    with pytest.warns(UserWarning, match="without locks"), ExitStack() as stack:
        lock(tmp_path / "run", stack)


@pytest.mark.parametrize("number", [errno.EWOULDBLOCK, errno.EACCES], ids=["local", "nfs"])
def test_a_lock_that_another_holds_is_refused(tmp_path, monkeypatch, number):
    monkeypatch.setattr("fcntl.flock", lambda *_: refuse(number))
    with pytest.raises(ConfigError, match="another ttc is writing"), ExitStack() as stack:
        lock(tmp_path / "run", stack)


def refuse(number):
    raise OSError(number, os.strerror(number))
