"""Counters and histograms of the gateway, in the text format of Prometheus."""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
_TOKENS = (64, 256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576)

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Histogram:
    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list[int])
    total: float = 0.0

    def observe(self, value: float) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


@dataclass(slots=True)
class Metrics:
    """What has happened since the start; `gauges` are read when they are asked for."""

    gauges: Mapping[str, Callable[[], float]]
    _counters: dict[str, dict[Labels, float]] = field(
        default_factory=dict[str, dict[Labels, float]]
    )
    _histograms: dict[str, dict[Labels, _Histogram]] = field(
        default_factory=dict[str, dict[Labels, _Histogram]]
    )

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter, one of `HELP`."""
        values = self._counters.setdefault(name, {})
        key = tuple(sorted(labels.items()))
        values[key] = values.get(key, 0) + amount

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a value to a histogram, one of `HELP`."""
        bounds = _SECONDS if name.endswith("_seconds") else _TOKENS
        series = self._histograms.setdefault(name, {})
        series.setdefault(tuple(sorted(labels.items())), _Histogram(bounds)).observe(value)

    def text(self) -> str:
        """Return all of it."""
        lines: list[str] = []
        for name, about in HELP.items():
            if name in self.gauges:
                lines += _head(name, about, "gauge")
                lines.append(f"{name} {self.gauges[name]():g}")
            elif name in self._counters:
                lines += _head(name, about, "counter")
                lines += [f"{name}{_in(k)} {v:g}" for k, v in sorted(self._counters[name].items())]
            elif name in self._histograms:
                lines += _head(name, about, "histogram")
                for labels, histogram in sorted(self._histograms[name].items()):
                    lines += _buckets(name, labels, histogram)
        return "\n".join(lines) + "\n"


HELP = {
    "ttc_searches_total": "Searches by profile and outcome.",
    "ttc_searches_in_flight": "Searches that run.",
    "ttc_searches_waiting": "Searches that wait for a place.",
    "ttc_requests_total": "Requests by path and status.",
    "ttc_answer_seconds": "Time from a search's request to its answer, by profile.",
    "ttc_answer_tokens": "Tokens generated for an answer, by profile.",
    "ttc_early_stops_total": "Searches that ended before their budget, by profile and reason.",
    "ttc_upstream_errors_total": "Failures of model servers that searches met, by cause.",
    "ttc_passed_on_total": "Requests passed on to the policy, by outcome.",
}
"""The names, and what each measures."""


def _head(name: str, about: str, kind: str) -> list[str]:
    return [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]


def _in(labels: Labels) -> str:
    """Return labels in braces; all values are of our own making, so none needs quoting."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


def _buckets(name: str, labels: Labels, histogram: _Histogram) -> list[str]:
    lines: list[str] = []
    running = 0
    for bound, count in zip((*histogram.bounds, None), histogram.counts, strict=True):
        running += count
        edge = "+Inf" if bound is None else f"{bound:g}"
        lines.append(f"{name}_bucket{_in((*labels, ('le', edge)))} {running}")
    lines.append(f"{name}_sum{_in(labels)} {histogram.total:g}")
    lines.append(f"{name}_count{_in(labels)} {running}")
    return lines
