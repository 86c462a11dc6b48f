"""What a search reports while it runs, to whoever shows it."""

from collections.abc import Sequence

from ttc_client.search.found import Pick
from ttc_client.types import Trajectory


class Watch:
    """Hear of each expansion, and of the end; override what you want to know.

    Calls come on the event loop, in the order in which things happen, and must not block it.
    """

    def launched(self, parent: Trajectory, n: int) -> None:
        """`n` continuations of a trajectory are asked for."""

    def sampled(self, parent: Trajectory, n: int, children: Sequence[Trajectory]) -> None:
        """They are there, merged where they read alike, and scored if there is a verifier."""

    def dropped(self, parent: Trajectory, n: int) -> None:
        """They failed, or were closed."""

    def picked(self, picks: Sequence[Pick]) -> None:
        """The strategy has ended, with these candidates."""
