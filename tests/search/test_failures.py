"""One candidate's failure costs that candidate: of the policy at any depth, and of the verifier."""

import pytest

from ttc_client.errors import ContextLengthError, GarbledError, ProtocolError, ServerError
from ttc_client.middleware.meter import Meter
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest, ScoreRequest, Scores
from ttc_client.testing import ScriptedPolicy
from ttc_client.testing.searches import run_search
from ttc_client.types import Finish


def failing_at(depth: int):
    """Write two steps and an end, where the first sibling ends early; fail at one depth."""

    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        written = len(request.trajectory.steps)
        if written == depth:
            raise ServerError("gone", url="http://nowhere", status=500)
        if written == 1 and i == 0:
            return "early \\boxed{4}", "eos"
        return (f"{written}.{request.seed}.{i}\n\n", "stop") if written < 2 else ("late", "eos")

    return write


class Judge:
    """Score steps, the early end lowest, and refuse every request with a long step in it."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self.refusal = refusal
        self.requests: list[ScoreRequest] = []

    async def __call__(self, request: ScoreRequest) -> Scores:
        self.requests.append(request)
        steps = [step for item in request.items for step in item]
        if self.refusal and any("long" in step for step in steps):
            raise self.refusal
        return Scores(
            tuple(tuple(0.1 if "early" in step else 0.9 for step in item) for item in request.items)
        )


@pytest.mark.parametrize("strategy", ["dvts", "beam"])
async def test_what_came_to_its_end_stays_where_the_next_step_fails(strategy):
    params = SearchParams(strategy=strategy, n=4, m=2)
    found = await run_search(params, ScriptedPolicy(failing_at(2)), Judge())
    assert {pick.trajectory.finish for pick in found.picks} == {"eos"}
    with pytest.raises(ServerError, match="gone"):
        await run_search(params, ScriptedPolicy(failing_at(1)), Judge())


def some_long(request: SampleRequest, i: int) -> tuple[str, Finish]:
    return ("a long way" if i == 1 else f"a way {request.seed} {i}") + " \\boxed{4}", "eos"


TOO_LONG = ContextLengthError("too long", url="http://prm")


@pytest.mark.parametrize("refusal", [TOO_LONG, ProtocolError("no verdict", url="", status=200)])
async def test_a_solution_that_the_verifier_refuses_has_no_score_and_the_others_do(refusal):
    meter, judge = Meter(), Judge(refusal)
    params = SearchParams(strategy="best-of-n", n=4, m=4)
    found = await run_search(params, ScriptedPolicy(some_long), meter.verifier(judge))
    scores = {pick.trajectory.text[:6]: pick.trajectory.scores for pick in found.picks}
    assert scores == {"a long": (None,), "a way ": (0.9,)}
    assert sum(meter.usage.failures.values()) == 1
    assert len(judge.requests) == 1 + 4


async def test_where_it_refuses_all_of_them_that_is_the_failure():
    def write(request: SampleRequest, i: int) -> tuple[str, Finish]:
        return f"a long way {i}", "eos"

    params = SearchParams(strategy="best-of-n", n=4, m=4)
    with pytest.raises(ContextLengthError, match="too long"):
        await run_search(params, ScriptedPolicy(write), Judge(TOO_LONG))


@pytest.mark.parametrize(
    "error",
    [ServerError("down", url="", status=500), GarbledError("x", url=""), ServerError("x", url="")],
)
async def test_a_failure_of_the_server_is_not_asked_about_item_by_item(error):
    judge = Judge(error)
    params = SearchParams(strategy="best-of-n", n=4, m=4)
    with pytest.raises(ServerError):
        await run_search(params, ScriptedPolicy(some_long), judge)
    assert len(judge.requests) == 1
