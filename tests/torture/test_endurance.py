"""The scripts that run for minutes or an hour, for seconds; and that they can fail."""

from collections import Counter

import pytest

from scripts.torture import faults, soak, storm
from tests.fakes.shaky import Shape
from ttc_client.middleware import replicas, retries


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch, tmp_path):
    monkeypatch.setattr(retries, "_FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(replicas, "_FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


async def test_a_run_through_faults_ends_with_the_same_lines_and_even_accounts(tmp_path):
    shape = Shape(replicas=2, delay_s=0.1)
    found = await faults.compare(12, 8, shape, tmp_path)
    assert faults.sound(found), found
    assert found["injected"].keys() == {"503", "connection", "garbled"}
    assert not faults.sound(found | {"same_results": False})
    assert not faults.sound(found | {"repeated": {"503": 1}})
    assert not faults.sound(found | {"repeated": found["repeated"] + Counter({"time-out": 1})})


async def test_cancelled_searches_leave_nothing_here_or_at_the_servers():
    found = await storm.measure(100, latency_s=0.01)
    assert storm.sound(found), found
    assert not storm.sound(found | {"left": {"server connections": 1}})


async def test_a_short_soak_leaves_nothing():
    found = await soak.soak(minutes=0.05, latency_s=0.02)
    assert not any(found["left"].values())
    assert found["counts"]["finished"]
    assert "failed" not in found["counts"]


def test_growth_is_that_of_the_line_after_the_warm_up():
    def at(second: int, rss_mb: float) -> soak.Sample:
        return soak.Sample(second, rss_mb, 10 + second % 3, 5, 2)

    warm = [at(second, 10.0 * second) for second in range(25)]
    flat = [*warm, *(at(second, 250.0) for second in range(25, 100))]
    assert soak.growth(flat, "rss_mb") == pytest.approx(0)
    assert abs(soak.growth(flat, "descriptors")) < soak.MAY_GROW["descriptors"]
    leaking = [*warm, *(at(second, 250 + second / 10) for second in range(25, 100))]
    assert soak.growth(leaking, "rss_mb") == pytest.approx(7.4)
    assert soak.MAY_GROW["rss_mb"] < 7.4
