"""A few of the cases of `scripts/torture/surroundings.py`, the same ones each time."""

import pytest

from scripts.torture.surroundings import KINDS, command, fuzz

NUM_CASES = {"run directories": 6, "shards": 4, "configurations": 12, "command lines": 25}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("default")
def test_what_is_not_quite_right_is_told_in_words(kind):
    ends = fuzz(KINDS[kind], range(NUM_CASES[kind]))
    assert not ends.wrong
    assert ends.codes.total() >= NUM_CASES[kind]


@pytest.mark.filterwarnings("default")
def test_the_fuzzer_sees_a_bug(monkeypatch):
    monkeypatch.setattr("ttc_client.settings.config.load_settings", lambda *_: 1 / 0)
    code, said = command(["config"], {})
    assert code == 1
    assert "ZeroDivisionError: division by zero (a bug" in said
