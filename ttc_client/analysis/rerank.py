"""Say what a verifier would gain on a run that is there: votes on its samples by other scores.

Pure, given the scores.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

import numpy as np

from ttc_client.analysis.curves import independent_samples
from ttc_client.analysis.statistics import Comparison, Estimate, compare, estimate
from ttc_client.analysis.subsets import Samples, pass_rates, vote_rates
from ttc_client.bench.judging import Work
from ttc_client.bench.runs import Run
from ttc_client.bench.sampled import Search, read_searches, steps_of
from ttc_client.errors import ConfigError
from ttc_client.runtime.records import Record, key_of
from ttc_client.search.rewards import reduce_scores
from ttc_client.types import Vote

_VOTES: tuple[Vote, ...] = ("weighted", "prm")


@dataclass(frozen=True, slots=True)
class Gain:
    """How often a vote with a verifier's rewards is right, and how much more than majority is."""

    vote: Vote
    n: int
    right: Estimate
    gain: Comparison
    majority: float
    best: float
    """The oracle's share: pass@N."""


@dataclass(frozen=True, slots=True)
class Resampled:
    """The independent samples of a run, with what is to be scored of them, each text once."""

    run: Run
    searches: Mapping[str, Sequence[Search]]

    @classmethod
    def of(cls, run: Run) -> "Resampled":
        """Return those of a run; raises ConfigError where it has none."""
        independent = {key_of(record) for record in independent_samples([run])}
        if not independent:
            raise ConfigError(f"run is {run.path}: it holds no best-of-n samples to choose among")
        return cls(run, read_searches(run, lambda record: key_of(record) in independent))

    def work(self) -> list[Work]:
        """Return the solutions to score."""
        found: dict[str, Work] = {}
        for name, searches in self.searches.items():
            for _, candidates in searches:
                for text in {candidate.text: None for candidate in candidates}:
                    key = _key(name, text)
                    if key not in found and (steps := steps_of(self.run, text)):
                        found[key] = Work(key, self.run.problems[name], steps)
        return list(found.values())

    def gains(self, scores: Mapping[str, Sequence[float]]) -> list[Gain]:
        """Return what each vote gains at each N, on searches whose samples are all scored."""
        right: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
        for record, samples in self._rescored(scores):
            seed, n = crc32(repr(key_of(record)).encode()), record.n
            rates = {vote: vote_rates(samples, vote, [n], seed)[0] for vote in _VOTES}
            rates |= {"majority": vote_rates(samples, "majority", [n], seed)[0]}
            rates |= {"pass": pass_rates(samples, [n])[0]}
            for name, rate in rates.items():
                right.setdefault((name, n), {}).setdefault(record.id, {})[record.seed] = rate
        return [
            Gain(
                vote=vote,
                n=n,
                right=estimate(right[vote, n]),
                gain=compare(right[vote, n], right["majority", n]),
                majority=estimate(right["majority", n]).mean,
                best=estimate(right["pass", n]).mean,
            )
            for n in sorted({n for _, n in right})
            for vote in _VOTES
        ]

    def _rescored(self, scores: Mapping[str, Sequence[float]]) -> Iterator[tuple[Record, Samples]]:
        reduction = self.run.settings.get("reduction", "last")
        for name, searches in self.searches.items():
            for record, candidates in searches:
                rewards: list[float] = []
                for candidate in candidates:
                    given = scores.get(_key(name, candidate.text))
                    if given is None and steps_of(self.run, candidate.text):
                        break
                    rewards.append(reduce_scores(given, reduction) if given else 0.0)
                else:
                    votes = [int(sample.votes) for sample in record.samples]
                    answers = [-1 if c.group is None else c.group for c in candidates]
                    yield (
                        record,
                        Samples(
                            answers=np.repeat(np.array(answers, dtype=np.int64), votes),
                            rewards=np.repeat(np.array(rewards), votes),
                            right=np.array([graded.grade for graded in record.answers], float),
                        ),
                    )


def _key(problem: str, text: str) -> str:
    return f"sample/{problem}/{blake2b(text.encode(), digest_size=8).hexdigest()}"
