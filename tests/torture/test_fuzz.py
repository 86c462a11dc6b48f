"""A few of the cases of `scripts/bench/fuzz.py`, others each time the code changes their number."""

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scripts.torture.fuzz import fuzz_answers, fuzz_policy, fuzz_prm, fuzzed_answer
from scripts.torture.mutations import spoiled_value
from tests.fakes.policy_servers import POLICY_SERVERS
from tests.fakes.prm_servers import PRM_SERVERS
from ttc_client.answers.canonical import inline_key
from ttc_client.clients.replies import error_message, shown
from ttc_client.report.terminal import clean

NUM_BODIES = 40
REPEATED = [
    *(" ", "~", "\u2028", "$ ", " $", "9", "9 ", "9,", ",", ", ", "{", "}", "{ ", "(", "[", "^{ "),
    *(r"\text{", r"\text{ ", r"\text{a}", r"\text {a} ", r"\ ", r"\,", r"\!", r"\quad", r"\left"),
    *(r"\circ", r"\frac1", r"\overline", r"\pm", r"\$", r"\%", "\\", " or ", "cm ", "x_", "="),
]


@pytest.mark.parametrize("name", POLICY_SERVERS)
async def test_a_policy_servers_spoiled_answer_is_refused_or_is_what_was_asked_for(name):
    tally = await fuzz_policy(name, range(NUM_BODIES))
    assert not tally.wrong
    assert tally.ends.total() == NUM_BODIES
    assert tally.ends["ProtocolError"] + tally.ends["GarbledError"] + tally.ends["accepted in part"]


@pytest.mark.parametrize("name", PRM_SERVERS)
async def test_a_prm_servers_spoiled_answer_is_refused_or_is_what_was_asked_for(name):
    tally = await fuzz_prm(name, range(NUM_BODIES))
    assert not tally.wrong
    assert tally.ends.total() == NUM_BODIES
    assert tally.ends["ProtocolError"]


async def test_hostile_answers_are_keyed_alike_each_time_and_never_right():
    tally = await fuzz_answers(range(100))
    assert not tally.wrong
    assert tally.ends["a value"] > 10
    assert tally.ends["a string"] > 10


@pytest.mark.parametrize("repeated", REPEATED)
def test_a_long_run_of_anything_is_keyed_in_no_time(repeated):
    for before, after in itertools.product(("", "9", "{", r"\text{"), ("", "9", "!", r"\text{cm}")):
        started_s = time.thread_time()
        inline_key(before + repeated * (980 // len(repeated)) + after)
        assert time.thread_time() - started_s < 1


@settings(deadline=None)
@given(st.integers(0, 10**9))
def test_no_answer_is_too_hostile_for_the_main_process(seed):
    answer = fuzzed_answer(seed)
    key = inline_key(answer)
    assert key is None or isinstance(key, str)
    assert not set(clean(answer)) & {chr(code) for code in (*range(9), 11, 12, 13, 27, 127, 0x9B)}
    clean(answer).encode()


@given(st.binary())
def test_what_any_server_says_can_be_shown_on_one_line(body):
    for said in (error_message(body), shown(body)):
        assert len(said.splitlines()) <= 1
        assert said.isprintable() or not set(said) & set(map(chr, range(32)))


def test_a_spoiled_value_differs():
    value = {"choices": [{"index": 0, "text": "a"}], "usage": {"prompt_tokens": 7}}
    different = [spoiled_value(value, random.Random(seed)) != value for seed in range(100)]
    assert sum(different) > 80
