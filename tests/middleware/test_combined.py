"""Several verifiers as one."""

import pytest

from ttc_client.middleware.combined import combined
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.testing import ScriptedVerifier, a_problem, check_verifier
from ttc_client.types import Usage

REQUEST = ScoreRequest(a_problem(), (), (("a", "b"), (), ("c",)))


def scores(*items: tuple[float | None, ...]):
    async def verifier(request: ScoreRequest) -> Scores:
        return Scores(items, Usage(prm_requests=1))

    return verifier


@pytest.mark.parametrize(
    ("way", "weights", "expected"),
    [
        ("mean", (1, 1), ((0.5, 0.6), (), (0.3,))),
        ("mean", (3, 1), ((0.65, 0.7), (), (0.35,))),
        ("min", (1, 1), ((0.2, 0.4), (), (0.2,))),
        ("product", (1, 1), ((0.16, 0.32), (), (0.08,))),
        ("product", (2, 1), ((0.128, 0.256), (), (0.032,))),
    ],
)
async def test_each_step_gets_one_score_of_all(way, weights, expected):
    ports = [scores((0.8, 0.8), (), (0.4,)), scores((0.2, 0.4), (), (0.2,))]
    reply = await combined(ports, weights, way)(REQUEST)
    assert [pytest.approx(item) for item in reply.scores] == list(expected)
    assert reply.usage.prm_requests == 2


@pytest.mark.parametrize("way", ["mean", "min", "product"])
async def test_a_missing_score_does_not_count_and_is_never_a_no(way):
    ports = [scores((0.8, None), (), (None,)), scores((0.8, 0.4), (), (None,))]
    reply = await combined(ports, (1, 1), way)(REQUEST)
    assert reply.scores[0][1] == pytest.approx(0.4)
    assert reply.scores[2] == (None,)


async def test_it_keeps_the_contract_of_verifiers():
    ports = [ScriptedVerifier(lambda text: 0.5), ScriptedVerifier(lambda text: 1.0)]
    await check_verifier(combined(ports, (1, 1), "mean"), a_problem())
