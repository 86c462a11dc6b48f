"""What a scored step costs on the line, counted: a home uplink is the narrowest part of it."""

from scripts.bench.traffic import measure

MOST_UP, MOST_DOWN = 1700, 1000
"""Bytes for a scored step of DVTS, after a prompt of 300 tokens, in solutions of 10 steps of 50."""


async def test_a_scored_step_of_dvts_stays_within_its_budget_of_bytes():
    traffic = await measure(64, zipped=True)
    assert traffic.scored == 64 * 10
    up, down = traffic.per_step
    assert up <= MOST_UP
    assert down <= MOST_DOWN


async def test_gzip_saves_most_of_what_vllm_repeats():
    plain, zipped = [await measure(16, zipped=each) for each in (False, True)]
    assert plain.up == zipped.up
    assert zipped.down < plain.down / 4
