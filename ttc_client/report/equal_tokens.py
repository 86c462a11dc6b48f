"""Say and tabulate which search is best at which cost, and which pays against best-of-n."""

from collections.abc import Sequence

from ttc_client.analysis.payoff import BASELINE, Payoff
from ttc_client.report.findings import FEWEST_PROBLEMS, interval, name_of, ratio
from ttc_client.report.tables import Cell, Table


def payoff_table(found: Sequence[Payoff]) -> Table:
    """Return a row for each search, the cheapest first, with its gain at equal tokens."""
    header = (
        *("strategy", "N", "all tokens", "accuracy", "low", "high", "best so far"),
        *("as best-of-n at", "gain", "gain low", "gain high", "p", "problems", "verdict"),
    )
    return Table("equal-tokens", header, tuple(map(_row, found)))


def payoffs_said(found: Sequence[Payoff]) -> list[str]:
    """Say which searches pay, and which reaches the accuracy of the largest best-of-n first."""
    compared = [p for p in found if p.gain and p.gain.num_problems >= FEWEST_PROBLEMS]
    if not compared:
        return []
    paying = [f"{_name(p)} {interval(p.gain)}" for p in compared if p.pays and p.gain]
    said = f"Better than best-of-n at equal tokens: {', '.join(paying) or 'nothing'}."
    largest = [p for p in found if p.curve.strategy == BASELINE]
    return [said, *(_reached(max(largest, key=lambda p: p.n), found) if largest else ())]


def _reached(goal: Payoff, found: Sequence[Payoff]) -> list[str]:
    """Name the search that is as accurate as a goal with the fewest tokens, or comes nearest."""
    accuracy = f"{_name(goal)} ({100 * goal.accuracy.mean:.1f} %)"
    cheaper = [p for p in found if p.tokens < goal.tokens and p.curve.strategy != BASELINE]
    if not cheaper:
        return []
    reaching = [p for p in cheaper if p.accuracy.mean >= goal.accuracy.mean]
    first = reaching[0] if reaching else max(cheaper, key=lambda p: p.accuracy.mean)
    share = ratio(first.tokens, goal.tokens)
    got = f"{_name(first)} ({100 * first.accuracy.mean:.1f} %), with {share}"
    if reaching:
        return [f"The accuracy of {accuracy} is reached first by {got}."]
    return [f"Nothing reaches the accuracy of {accuracy} with fewer tokens; nearest is {got}."]


def _name(payoff: Payoff) -> str:
    name = name_of(payoff.curve)
    return name if payoff.curve.is_baseline else f"{name} at {payoff.n}"


def _row(p: Payoff) -> tuple[Cell, ...]:
    gained: tuple[Cell, ...] = (None,) * 4
    if p.gain:
        gained = (p.gain.difference, p.gain.low, p.gain.high, p.gain.p)
    like = None if p.like_n is None else f"{'more than ' if p.is_beyond else ''}{p.like_n:.3g}"
    return (
        *(name_of(p.curve), p.n, p.tokens, p.accuracy.mean, p.accuracy.low, p.accuracy.high),
        *("yes" if p.leads else "", like, *gained, p.accuracy.num_problems, _verdict(p)),
    )


def _verdict(p: Payoff) -> str:
    if p.gain is None or p.curve.is_baseline:
        return ""
    if not p.pays:
        return "does not pay here" if p.gain.high < 0 else "level: does not pay here"
    return "pays, at more tokens" if p.is_beyond else "pays"
