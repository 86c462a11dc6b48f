"""A table of compute-optimal scaling for tests: easy problems one way, hard ones another."""

from ttc_client.search.table import Budget, Choice, Origin, Table

BEST_OF_N, DVTS = Choice("best-of-n", None), Choice("dvts", 4)


def table(
    easy: Choice = BEST_OF_N,
    hard: Choice = DVTS,
    *,
    probe: int = 4,
    edge: float = 0.5,
    **origin: str,
) -> Table:
    """Make a table of two bins for N = 4 and N = 16, with a probe of 1 at N = 4."""
    named = {"policy": "policy", "prm": "prm", "dataset": "set", "reduction": "last", **origin}
    return Table(
        edges=(edge,),
        budgets=(Budget(4, 1, (easy, hard)), Budget(16, probe, (easy, hard))),
        origin=Origin(**named, num_problems=20),
    )
