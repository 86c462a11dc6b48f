"""A function of one's own as a verifier, by its name."""

import asyncio

import pytest

from ttc_client.clients.python import PythonVerifier
from ttc_client.errors import ConfigError, ProtocolError
from ttc_client.search.ports import ScoreRequest
from ttc_client.testing import check_verifier
from ttc_client.types import Problem

PROBLEM = Problem(question="p", gold="5")
REQUEST = ScoreRequest(PROBLEM, ("one",), (("two", "three"), (), ("four",)))


def length(problem: Problem, steps: tuple[str, ...]) -> float:
    return len(steps) / 10


async def each(problem: Problem, steps: tuple[str, ...]) -> list[float]:
    await asyncio.sleep(0)
    return [float(step != "two") for step in steps]


def raises_at_four(problem: Problem, steps: tuple[str, ...]) -> float:
    if "four" in steps:
        raise ValueError("four")
    return 0.5


def whole(problem: Problem, steps: tuple[str, ...]) -> float:
    return 1.0


whole.reads = "solutions"

NO_FUNCTION = 7


def named(name: str) -> PythonVerifier:
    return PythonVerifier.named(f"python:{__name__}:{name}")


@pytest.mark.parametrize(
    ("name", "scores"),
    [("length", ((0.3, 0.3), (), (0.2,))), ("each", ((0.0, 1.0), (), (1.0,)))],
)
async def test_a_number_is_the_solutions_score_and_a_list_its_steps(name, scores):
    verifier = named(name)
    assert (await verifier.score(REQUEST)).scores == scores
    assert verifier.name == f"python:{__name__}:{name}"
    assert verifier.facts.reads == "prefixes"
    await check_verifier(verifier.score, PROBLEM)


def test_a_function_may_read_whole_solutions_alone():
    assert named("whole").facts.reads == "solutions"


async def test_an_item_that_it_fails_on_has_no_score_and_is_counted():
    scores = await named("raises_at_four").score(REQUEST)
    assert scores.scores == ((0.5, 0.5), (), (None,))
    assert scores.usage.failures == {"the verifier raised": 1}


def never(problem: Problem, steps: tuple[str, ...]) -> float:
    raise ValueError("never")


async def test_one_that_always_fails_is_an_error_in_its_own_words():
    with pytest.raises(ProtocolError, match=r"raised ValueError\('never'\)"):
        await named("never").score(ScoreRequest(PROBLEM, (), (("one",),)))


@pytest.mark.parametrize("said", [1.5, -0.1, float("nan"), "good", [0.5], {}])
async def test_what_is_no_score_is_refused(said):
    verifier = PythonVerifier(lambda problem, steps: said, "python:mine:f")
    with pytest.raises(ProtocolError, match="python:mine:f returned"):
        await verifier.score(REQUEST)


async def test_it_may_say_that_it_cannot_tell():
    verifier = PythonVerifier(lambda problem, steps: None, "f")
    assert (await verifier.score(REQUEST)).scores == ((None, None), (), (None,))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("python:no.such.module:f", "cannot be imported"),
        (f"python:{__name__}:nothing", "cannot be imported"),
        (f"python:{__name__}:NO_FUNCTION", "is not a function but 7"),
    ],
)
def test_a_name_of_no_function_is_refused(name, says):
    with pytest.raises(ConfigError, match=says):
        PythonVerifier.named(name)
