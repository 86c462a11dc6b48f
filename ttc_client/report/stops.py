"""Say and tabulate what early stops would have saved, and what they would have cost."""

from collections.abc import Sequence

from ttc_client.analysis.stops import Stop, StopEstimate
from ttc_client.report.findings import FEWEST_PROBLEMS, interval, name_of
from ttc_client.report.tables import Table

_LEVEL = 0.95
_SAID = (Stop("majority", _LEVEL), Stop("weighted", None))


def stops_table(found: Sequence[StopEstimate]) -> Table:
    """Return what each rule comes to; shares of tokens are of those of the full N."""
    header = (
        *("strategy", "N", "stops at", "accuracy", "difference", "low", "high", "p"),
        *("samples", "tokens %", "tokens %, in flight too", "problems"),
    )
    rows = [
        (
            *(each.curve.name, each.n, _rule(each.stop), each.accuracy),
            *(each.change.difference, each.change.low, each.change.high, each.change.p),
            *(each.taken, 100 * each.share, 100 * each.most, each.change.num_problems),
        )
        for each in found
    ]
    return Table("early-stops", header, tuple(rows))


def stops_said(found: Sequence[StopEstimate]) -> list[str]:
    """Return a sentence on each rule as `--stop-at 0.95` has it, at its largest N."""
    largest = {each.curve: each.n for each in sorted(found, key=lambda each: each.n)}
    return [
        f"{name_of(each.curve)} at {each.n} with --stop-at {_LEVEL}, estimated on random orders of "
        f"its samples: {100 * each.most:.0f} % of the tokens, "
        f"{100 * each.change.difference:+.1f} points {interval(each.change)}."
        for each in found
        if each.stop in _SAID
        and each.n == largest[each.curve]
        and each.change.num_problems >= FEWEST_PROBLEMS
    ]


def _rule(stop: Stop) -> str:
    if stop.level is None:
        return "certain"
    return f"{stop.level}{' of rewards' if stop.vote == 'weighted' else ''}"
