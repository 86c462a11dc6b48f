"""First to finish: what ends first is taken, what has not ended is closed."""

import asyncio

import pytest

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.first_to_finish import FirstSettings
from ttc_client.search.params import SearchParams
from ttc_client.search.ports import SampleRequest
from ttc_client.search.strategies import STRATEGIES
from ttc_client.testing import ScriptedPolicy, ScriptedVerifier, perfect, run_search
from ttc_client.types import Finish


def params(first: int, n: int = 8) -> SearchParams:
    return SearchParams(strategy="first-to-finish", n=n, settings=FirstSettings(first=first))


class Held(ScriptedPolicy):
    """Answer the requests whose places are given, in that order; hold the others."""

    def __init__(self, order: list[int], cut: tuple[int, ...] = (), fail: tuple[int, ...] = ()):
        super().__init__(self._write, self._gate)
        self.order, self.cut, self.fail = order, cut, fail
        self.gates = [asyncio.Event() for _ in range(8)]
        self.gates[order[0]].set()

    def _gate(self, request: SampleRequest) -> asyncio.Event:
        return self.gates[self.requests.index(request)]

    def _write(self, request: SampleRequest, i: int) -> tuple[str, Finish]:
        place = self.requests.index(request)
        if (after := self.order.index(place) + 1) < len(self.order):
            self.gates[self.order[after]].set()
        if place in self.fail:
            raise ServerError("gone", url="http://nowhere", status=500)
        return rf"{place} \boxed{{{place}}}", "length" if place in self.cut else "eos"


async def test_the_first_to_end_are_taken_and_the_others_closed():
    policy, verifier = Held([6, 2, 4]), ScriptedVerifier(perfect)
    found = await run_search(params(3), policy, verifier)
    assert [pick.trajectory.path for pick in found.picks] == [(2,), (4,), (6,)]
    assert [t.path for t in found.sampled] == [(2,), (4,), (6,)]
    assert [r.n for r in policy.requests] == [1] * 8
    assert len(policy.cancelled) == 5
    assert policy.in_flight == 0
    assert not verifier.requests
    assert found.note == "the first 3 of 8 to finish: another run may take others"


async def test_it_is_said_that_timing_decides():
    strategy = STRATEGIES["first-to-finish"]
    assert strategy.is_timed
    assert "depends on timing" in strategy.about
    one = await run_search(params(1), Held([5]))
    other = await run_search(params(1), Held([1]))
    assert one.picks != other.picks


async def test_what_is_cut_or_fails_does_not_count_as_ended():
    found = await run_search(params(2), Held([0, 1, 2, 3], cut=(0,), fail=(2,)))
    ends = [(pick.trajectory.path, pick.trajectory.finish) for pick in found.picks]
    assert ends == [((0,), "length"), ((1,), "eos"), ((3,), "eos")]


async def test_all_are_taken_where_too_few_end():
    found = await run_search(params(4), Held([*range(8)], cut=tuple(range(6))))
    assert len(found.picks) == 8
    assert found.note.startswith("the first 2 of 8")


def test_more_than_n_never_finish():
    strategy = STRATEGIES["first-to-finish"]
    with pytest.raises(ConfigError, match="n is 8 and first is 9: so many never finish"):
        strategy.checked(params(9))
    assert strategy.budgets(params(8), FirstSettings(first=8), (4, 8, 16)) == [8, 16]
    with pytest.raises(ConfigError, match="first is 0: it must be 1 or more"):
        FirstSettings(first=0)
