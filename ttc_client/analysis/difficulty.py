"""Sort problems into bins of difficulty, as Snell et al. 2024 (arXiv 2408.03314, §3.2) do.

Bins come from the independent samples of best-of-n: by the oracle, from how often they are right;
by the model, from the rewards that the PRM gives them, which needs no gold answer.
"""

from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Literal

from ttc_client.analysis.curves import independent_samples, samples_of
from ttc_client.bench.runs import Run

NUM_BINS = 5

Judge = Literal["oracle", "model"]


def ease(runs: Iterable[Run], judge: Judge) -> dict[str, float]:
    """Return how easy each problem is, from 0 to 1: its pass@1, or its samples' mean reward.

    The mean is over all independent samples of all seeds; a problem without any is left out.
    """
    found: dict[str, list[float]] = {}
    for record in independent_samples(runs):
        samples = samples_of(record)
        values = samples.grades if judge == "oracle" else samples.rewards
        found.setdefault(record.id, []).extend(map(float, values))
    return {name: fmean(values) for name, values in found.items() if values}


def edges(easiness: Mapping[str, float]) -> tuple[float, ...]:
    """Return the four values, falling, that part the bins of new problems; see `optimal.bin_of`.

    Each lies half-way between the problems on its two sides. Raises ValueError for fewer problems
    than bins.
    """
    if len(easiness) < NUM_BINS:
        raise ValueError(f"{len(easiness)} problems do not fill {NUM_BINS} bins")
    ranked = sorted(easiness.values(), reverse=True)
    borders = [round(i * len(ranked) / NUM_BINS) for i in range(1, NUM_BINS)]
    return tuple((ranked[border - 1] + ranked[border]) / 2 for border in borders)


def bins(easiness: Mapping[str, float]) -> dict[str, list[str]]:
    """Return the problems of each bin, "1" (easiest) to "5", all of one size up to one.

    Equally easy problems are parted by their ids.
    """
    ranked = sorted(easiness, key=lambda name: (-easiness[name], name))
    edges = [round(i * len(ranked) / NUM_BINS) for i in range(NUM_BINS + 1)]
    return {str(i + 1): ranked[edges[i] : edges[i + 1]] for i in range(NUM_BINS)}
