"""Estimate on full searches what an early stop of their vote would have saved, and cost.

Independent samples are as likely in any other order: the rules of `search.adaptive` are put to
random orders of them. Pure, given the runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import fmean
from typing import NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from ttc_client.analysis.curves import Curve, kind_of, labelled, samples_of
from ttc_client.analysis.statistics import Comparison, Values, compare
from ttc_client.bench.runs import Run
from ttc_client.runtime.records import Record, key_of
from ttc_client.search.adaptive import default_window
from ttc_client.search.strategies import find_strategy, unscored_twin
from ttc_client.search.tally import posterior
from ttc_client.types import Vote

_NUM_ORDERS = 64
_HALVINGS, _TOLERANCE = 50, 1e-9


class Stop(NamedTuple):
    """A rule to stop by: the leaders' posterior reaches the level, or the vote is certain (None).

    Of a weighted vote, the posterior has sums of rewards in the place of counts.
    """

    vote: Vote
    level: float | None


STOPS = (
    *(Stop("majority", level) for level in (0.88, 0.9, 0.95, 0.99)),
    *(Stop("weighted", None), Stop("weighted", 0.95)),
)


class Replay(NamedTuple):
    """What came of a search's samples, as means over orders: all of them, and up to the stop.

    `full` and `stopped` say how right the answer is, `taken` counts samples, the others tokens: of
    all, of those taken, and in `most` also of those in flight at the stop in a window of the
    default size, each as if it were written to its end.
    """

    full: float
    stopped: float
    taken: float
    all_tokens: float
    tokens: float
    most: float


@dataclass(frozen=True, slots=True)
class StopEstimate:
    """What a rule comes to over the problems of a curve, `change` against the full N.

    `share` and `most` are shares of all tokens, of all problems together: those that are hard take
    more samples, and longer ones.
    """

    curve: Curve
    n: int
    stop: Stop
    accuracy: float
    change: Comparison
    taken: float
    share: float
    most: float


def estimate_stops(runs: Sequence[Run]) -> list[StopEstimate]:
    """Return what each rule would have come to in the searches of independent samples."""
    found: dict[tuple[Curve, int, Stop], dict[str, dict[int, Replay]]] = {}
    for label, run in labelled(runs):
        for record in run.records.values():
            if record.samples and kind_of(run.settings, record) == "independent":
                for stop, replayed in replays(record):
                    strategy = find_strategy(record.strategy)
                    by = unscored_twin(strategy) if stop.vote == "majority" else strategy
                    where = (Curve(by.name, stop.vote, label), record.n, stop)
                    found.setdefault(where, {}).setdefault(record.id, {})[record.seed] = replayed
    ordered = sorted(found, key=lambda key: (key[0].order, key[1], STOPS.index(key[2])))
    return [_estimate(*key, found[key]) for key in ordered]


def _estimate(
    curve: Curve, n: int, stop: Stop, found: dict[str, dict[int, Replay]]
) -> StopEstimate:
    def values(index: int) -> Values:
        return {
            name: {seed: replay[index] for seed, replay in seeds.items()}
            for name, seeds in found.items()
        }

    def mean(index: int) -> float:
        return fmean(fmean(seeds.values()) for seeds in values(index).values())

    change = compare(values(1), values(0))
    share, most = mean(4) / mean(3), mean(5) / mean(3)
    return StopEstimate(curve, n, stop, mean(1), change, mean(2), share, most)


def replays(record: Record) -> Iterator[tuple[Stop, Replay]]:
    """Put each rule for the votes of a search to random orders of its samples."""
    samples = samples_of(record)
    tokens = np.array([s.num_tokens for s in record.samples for _ in range(int(s.votes))], float)
    if not tokens.any():  # the run does not say
        tokens[:] = 1
    n = len(tokens)
    rng = np.random.default_rng(crc32(repr(key_of(record)).encode()))
    orders = rng.random((_NUM_ORDERS, n)).argsort(axis=1)
    weights = {"majority": np.ones(n), "weighted": samples.rewards}
    races = {
        vote: _race(samples.answers[orders], weights[vote][orders], len(samples.right))
        for vote in record.grades.keys() & weights.keys()
    }
    for stop in STOPS:
        if race := races.get(stop.vote):
            at = _stops_at(race, stop.level)
            yield stop, _replay(race, at, np.append(samples.right, 0.0), tokens[orders])


class _Race(NamedTuple):
    """The leader and the support of the first two answers, after each sample of each order."""

    leader: NDArray[np.int64]
    first: NDArray[np.float64]
    second: NDArray[np.float64]


def _replay(
    race: _Race,
    at: NDArray[np.int64],
    right: NDArray[np.float64],
    tokens: NDArray[np.float64],
) -> Replay:
    num_orders, n = tokens.shape
    lines = np.arange(num_orders, dtype=np.int64)
    spent = tokens.cumsum(axis=1)
    in_flight = np.minimum(at + default_window(n) - 1, n - 1)
    of_each = (
        *(right[race.leader[:, -1]], right[race.leader[lines, at]], at + 1),
        *(spent[:, -1], spent[lines, at], spent[lines, in_flight]),
    )
    return Replay(*(float(values.mean()) for values in of_each))


def _race(answers: NDArray[np.int64], weights: NDArray[np.float64], num_answers: int) -> _Race:
    """Count samples step by step; before the first that votes, the answer after the last leads."""
    (num_orders, n), none = answers.shape, num_answers
    support = np.zeros((num_orders, num_answers + 1))
    lines = np.arange(num_orders, dtype=np.int64)
    leader = np.full(num_orders, none)
    first, second = np.zeros(num_orders), np.zeros(num_orders)
    states: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []
    for step in range(n):
        given = np.where(answers[:, step] < 0, none, answers[:, step])
        support[lines, given] += np.where(given == none, 0.0, weights[:, step])
        now = support[lines, given]
        leads, overtakes = given == leader, now > first
        rival = np.where(overtakes & ~leads, first, now)
        second = np.where(leads, second, np.maximum(second, rival))
        leader, first = np.where(overtakes, given, leader), np.maximum(first, now)
        states.append((leader, first, second))
    by_step = (np.stack(column, axis=1) for column in zip(*states, strict=True))
    return _Race(*by_step)


def _stops_at(race: _Race, level: float | None) -> NDArray[np.int64]:
    """Return the index of the sample that decides each order, the last one if none does."""
    n = race.first.shape[1]
    if level is None:
        decided = race.first > race.second + np.arange(n - 1, -1, -1, dtype=np.int64)
    else:
        least = _needed(level, n)
        decided = race.first >= np.interp(race.second, range(len(least)), least) - _TOLERANCE
    decided[:, -1] = True
    return decided.argmax(axis=1)


@lru_cache
def _needed(level: float, n: int) -> tuple[float, ...]:
    """Return for 0, 1, ... n/2 votes of the runner-up how many of the leader reach the level."""
    found: list[float] = []
    for second in range(n // 2 + 1):
        low, high = float(second), second + 2.0 * n
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (low, middle) if posterior(middle, second) >= level else (middle, high)
        found.append(high)
    return tuple(found)
