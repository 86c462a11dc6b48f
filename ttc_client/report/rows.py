"""Accuracies for programs: a record per strategy, vote and N, whose names tell the units."""

from dataclasses import dataclass
from math import isnan

from ttc_client.analysis.curves import Points
from ttc_client.analysis.statistics import estimate


@dataclass(frozen=True, slots=True)
class AccuracyRow:
    """How often a strategy's answers are right by one vote at one N, and what a search costs.

    `share_right` is a share of 1, from `share_right_low` to `share_right_high` its 95 % interval,
    `share_right_seed_sd` its standard deviation from seed to seed. `vote` is "pass" for the
    oracle's choice. `run` names the run where several were searched with other settings. Costs are
    means of a search; what is not known is None.
    """

    strategy: str
    vote: str
    run: str
    n: int
    share_right: float
    share_right_low: float
    share_right_high: float
    share_right_seed_sd: float | None
    problems: int
    seeds: int
    completion_tokens: float | None
    prm_tokens: float | None
    requests: float | None
    wall_s: float | None


def accuracy_rows(points: Points) -> list[AccuracyRow]:
    """Return a row for each curve and N."""
    rows: list[AccuracyRow] = []
    for curve, by_n in points.items():
        for n, point in by_n.items():
            found, spent = estimate(point.right), point.spent
            rows.append(
                AccuracyRow(
                    strategy=curve.strategy,
                    vote=curve.measure,
                    run=curve.label,
                    n=n,
                    share_right=found.mean,
                    share_right_low=found.low,
                    share_right_high=found.high,
                    share_right_seed_sd=None if isnan(found.seed_sd) else found.seed_sd,
                    problems=found.num_problems,
                    seeds=found.num_seeds,
                    completion_tokens=spent and spent.completion_tokens,
                    prm_tokens=spent and spent.prm_tokens,
                    requests=spent and spent.requests,
                    wall_s=spent and spent.wall_s,
                )
            )
    return rows
