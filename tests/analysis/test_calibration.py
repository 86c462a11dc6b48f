"""How far rewards can be trusted, on samples whose truth is known."""

import math

import pytest

from tests.analysis.records import record, run
from ttc_client.analysis.calibration import calibration


def test_rewards_that_say_how_often_a_sample_is_right_are_calibrated():
    samples = [(0, 0.75)] * 3 + [(1, 0.75)] + [(0, 0.25)] + [(1, 0.25)] * 3 + [(-1, 1.0)]
    found = calibration([run(record("best-of-n", 9, samples))])
    assert found is not None
    assert (found.rewards, found.right, found.counts) == ((0.25, 0.75), (0.25, 0.75), (4, 4))
    assert found.error == pytest.approx(0)
    pairs = [(r, w) for r in [0.75] * 3 + [0.25] for w in [0.75] + [0.25] * 3]
    assert found.auc == pytest.approx(sum((r > w) + (r == w) / 2 for r, w in pairs) / len(pairs))


def test_overconfidence_shows():
    found = calibration([run(record("best-of-n", 4, [(0, 1.0)] + [(1, 1.0)] * 3))])
    assert found is not None
    assert (found.right, found.error, found.auc) == ((0.25,), 0.75, 0.5)


def test_only_independent_scored_samples_count():
    beam = record("beam", 4, [(0, 0.9)])
    assert calibration([run(beam)]) is None
    assert calibration([run(record("best-of-n", 1, [(-1, 0.9)]))]) is None
    found = calibration([run(record("best-of-n", 1, [(0, 0.9)]), beam)])
    assert found is not None
    assert found.counts == (1,)
    assert math.isnan(found.auc)
