"""What a scored step costs on the line, counted: a home uplink is the narrowest part of it."""

import json

import pytest

from scripts.bench.traffic import measure
from tests.fakes.prm_servers import PRM_SERVERS
from tests.fakes.scripted_server import scripted_server
from ttc_client.clients.connect import connect_prm
from ttc_client.clients.http import Server
from ttc_client.clients.session import Session
from ttc_client.search.ports import ScoreRequest
from ttc_client.types import Problem

MOST_UP, MOST_DOWN = 1700, 1000
"""Bytes for a scored step of DVTS, after a prompt of 300 tokens, in solutions of 10 steps of 50."""


@pytest.mark.parametrize("n", [4, 16, 64])
async def test_a_scored_step_of_dvts_stays_within_its_budget_of_bytes(n):
    traffic = await measure(n, zipped=True)
    assert traffic.scored == n * 10
    up, down = traffic.per_step
    assert up <= MOST_UP
    assert down <= MOST_DOWN
    assert sum(traffic.opening) <= 5000


async def test_gzip_saves_most_of_what_vllm_repeats():
    plain, zipped = [await measure(16, zipped=each) for each in (False, True)]
    assert plain.up == zipped.up
    assert zipped.down < plain.down / 4


async def bytes_up(api: str, num_steps: int) -> int:
    """Return the bytes of the bodies that score one whole solution of steps of 100 characters."""
    steps = tuple(f"Step {number}: {'so it goes, ' * 8}" for number in range(num_steps))
    request = ScoreRequest(Problem(question="What? " * 20), (), (steps,))
    replies = PRM_SERVERS[api].replies(lambda _: 0.5)
    async with scripted_server(replies) as server, Session() as session:
        prm = await connect_prm(Server(session, server.url, 5), api)
        opening = len(server.requests)
        (scores,) = (await prm.score(request)).scores
        assert len(scores) == num_steps
        return sum(len(json.dumps(payload)) for _, payload in server.requests[opening:])


@pytest.mark.parametrize("api", ["score", "step-pooling", "token-classify"])
async def test_a_whole_solution_is_sent_once_where_all_its_steps_are_scored_in_one_input(api):
    short, middle, long = [await bytes_up(api, num_steps) for num_steps in (5, 10, 15)]
    assert long - middle == pytest.approx(middle - short, rel=0.05)


async def test_a_causal_prm_that_reads_one_position_of_each_input_is_sent_each_beginning():
    """What it costs where servers can do no better, as the guide says."""
    short, middle, long = [await bytes_up("generative-scoring", steps) for steps in (5, 10, 15)]
    assert long - middle > 1.5 * (middle - short)
