"""Say how far a bench run is: a bar, the rate, and each row of the grid as it is done."""

from collections.abc import Sequence
from datetime import timedelta

from rich.console import RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from ttc_client.bench.bench import Cell, Standing
from ttc_client.report.terminal import clean, retries

_BAR_WIDTH = 40


class BenchView:
    """A standing in words, and as a bar."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing
        self._told: set[Cell] = set()

    def news(self) -> Sequence[RenderableType]:
        """Return the rows of the grid that were finished since the last call."""
        standing = self._standing
        done = [
            cell
            for cell, planned in standing.planned.items()
            if standing.finished[cell] == planned and cell not in self._told
        ]
        self._told.update(done)
        after = f"after {standing.elapsed_s:,.0f} s"
        return [Text(f"{_accuracy(standing, cell)}, {after}") for cell in done]

    async def lines(self) -> Sequence[RenderableType]:
        """Return the present state."""
        standing = self._standing
        finished, usage = standing.finished.total(), standing.usage
        bar = ProgressBar(standing.num_searches, finished, width=_BAR_WIDTH)
        parts = [
            f"{finished} of {standing.num_searches} searches",
            f"{usage.completion_tokens / max(standing.elapsed_s, 1e-9):,.0f} tokens/s",
        ]
        if (eta_s := standing.eta_s) is not None:
            parts.append(f"{timedelta(seconds=round(eta_s))} left")
        if standing.num_failed:
            parts.append(f"{standing.num_failed} failed ({clean(standing.latest_error)[:80]})")
        if usage.retries:
            parts.append(retries(usage))
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis"), bar


def _accuracy(standing: Standing, cell: Cell) -> str:
    strategy, n = cell
    share = standing.grades.get(cell, 0.0) / standing.finished[cell]
    return f"{strategy} at N={n}: {share:.1%} of {standing.finished[cell]} searches right"
