"""Say how far a bench run is, on one line."""

from dataclasses import dataclass
from datetime import timedelta

from rich.text import Text

from ttc_client.bench.bench import Standing
from ttc_client.report.terminal import clean, retries


@dataclass(frozen=True, slots=True)
class BenchView:
    """A standing in words."""

    standing: Standing

    async def line(self) -> Text:
        """Return the present state on one line."""
        standing = self.standing
        finished = sum(standing.finished.values())
        parts = [f"{finished} of {standing.num_searches} searches"]
        if (latest := standing.latest) and (count := standing.finished[latest]):
            strategy, n = latest
            parts.append(f"{strategy} at N={n}: {standing.correct[latest] / count:.1%} right")
        usage = standing.usage
        parts.append(f"{usage.completion_tokens / max(standing.elapsed_s, 1e-9):,.0f} tokens/s")
        if (eta_s := standing.eta_s) is not None:
            parts.append(f"{timedelta(seconds=round(eta_s))} left")
        if usage.retries:
            parts.append(retries(usage))
        if standing.num_failed:
            parts.append(f"{standing.num_failed} failed ({clean(standing.latest_error)[:80]})")
        return Text(" · ".join(parts), no_wrap=True, overflow="ellipsis")
