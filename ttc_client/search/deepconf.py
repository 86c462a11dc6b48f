"""DeepConf: traces that the policy grows unsure of are given up; the others vote by confidence."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate
from math import ceil, inf
from statistics import fmean
from typing import NamedTuple

from ttc_client.errors import ConfigError, ServerError
from ttc_client.search.adaptive import default_window
from ttc_client.search.found import Found, Pick
from ttc_client.search.params import SearchParams, StrategySettings, check_count
from ttc_client.search.search import Search
from ttc_client.search.strategy import Strategy
from ttc_client.search.tally import Tally
from ttc_client.together import in_order, surviving
from ttc_client.types import Trajectory

_TOP_LOGPROBS = 20
_PIECES, _LEAST_PIECE = 8, 32
"""Into how many pieces a group is parted, and the fewest tokens of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfidenceSettings(StrategySettings):
    """How the bar is set, and what is held against it. The defaults are the paper's."""

    warmup: int = field(
        default=16, metadata={"help": "Traces of deepconf that are written to the end first."}
    )
    keep: float = field(
        default=0.9,
        metadata={"help": "Share of these above the bar for all: 0.1 saves most, 0.9 is careful."},
    )
    group: int = field(
        default=2048, metadata={"help": "Tokens whose mean confidence must not fall below the bar."}
    )
    consensus: float = field(
        default=0.95, metadata={"help": "Share of the votes by which one answer ends deepconf."}
    )

    def __post_init__(self) -> None:
        check_count("warmup", self.warmup)
        check_count("group", self.group)
        for name in ("keep", "consensus"):
            if not 0 < getattr(self, name) <= 1:
                raise ConfigError(
                    f"{name} is {getattr(self, name)}: it must be above 0 and at most 1"
                )


class Trace(NamedTuple):
    """A trace as it was written on, and the lowest confidence of a group of its tokens."""

    nodes: Sequence[Trajectory]
    confidence: float


async def deepconf(search: Search[ConfidenceSettings]) -> Found:
    """Give up traces by their confidence (DeepConf online, Fu et al. 2025, arXiv 2508.15260).

    1. Write the warm-up to its end; the lowest confidence among its best share is the bar.
    2. Write the others, in their order but for a window, until a group of tokens falls below the
    bar, or the vote has come to a consensus. 3. Those that stay above the bar vote, weighted by
    their confidence.
    """
    await _check_policy(search)
    n, settings, tally = search.params.n, search.settings, Tally(search)
    num_first, picks = min(settings.warmup, n), list[Pick]()
    traces = list(await surviving(_trace(search, 0.0) for _ in range(num_first)))
    ranked = sorted((trace.confidence for trace in traces), reverse=True)
    bar = ranked[ceil(settings.keep * len(ranked)) - 1]
    for trace in traces:
        picks += await _voting(trace, bar, tally)
    rest = (_trace(search, bar) for _ in range(n - num_first))
    with suppress(ServerError):  # of which others are left
        async with in_order(rest, default_window(n)) as results:
            while tally.consensus < settings.consensus and (trace := await anext(results, None)):
                traces.append(trace)
                picks += await _voting(trace, bar, tally)
    note = f"{len(picks)} of {len(traces)} traces above the bar, a confidence of {bar:.3g}"
    if num_first == n:
        note += f"; the warm-up of {settings.warmup} takes all {n}, so that nothing is saved"
    elif tally.consensus >= settings.consensus and len(traces) < n:
        note += f"; consensus after {len(traces)} of {n}"
    return Found([node for trace in traces for node in trace.nodes], picks, note)


async def _check_policy(search: Search[ConfidenceSettings]) -> None:
    """Raise ConfigError if a probe of one token comes without log-probabilities."""
    for probe in await search.sample(search.root, 1, 1, first=-1, until=1):
        if not probe.steps[-1].confidences:
            raise ConfigError(
                "deepconf reads the log-probabilities of the likeliest tokens, and the policy's "
                "server gives none: use majority, or serve the policy by vLLM"
            )


async def _trace(search: Search[ConfidenceSettings], bar: float) -> Trace:
    """Write a trace, piece by piece, to its end or until it falls below the bar."""
    group, piece = search.settings.group, max(_LEAST_PIECE, search.settings.group // _PIECES)
    node, nodes, written, low = search.root, list[Trajectory](), list[float](), inf
    while not node.finished and low >= bar:
        (node,) = await search.expand(node, 1, until=piece)
        nodes.append(node)
        new = node.steps[-1].confidences
        written += new
        if new and len(written) >= group:
            sums = list(accumulate(written[-(group + len(new) - 1) :], initial=0.0))
            low = min(low, *((b - a) / group for a, b in zip(sums, sums[group:], strict=False)))
    return Trace(nodes, low if low < inf else fmean(written or [0.0]))


async def _voting(trace: Trace, bar: float, tally: Tally) -> Sequence[Pick]:
    """Return a trace's vote, counted; none if it was given up or ended below the bar."""
    ended = trace.nodes[-1].finished and trace.confidence >= bar
    picks = [Pick(trace.nodes[-1], weight=trace.confidence)] if ended else []
    await tally.add(picks)
    return picks


def _with_probe(params: SearchParams, settings: ConfidenceSettings) -> float:
    """Spend N, and a token to see whether log-probabilities come."""
    return params.n + 1


DEEPCONF = Strategy(
    name="deepconf",
    about="gives up completions that the policy grows unsure of; weighs votes by confidence",
    search=deepconf,
    needs="nothing",
    settings=ConfidenceSettings,
    spends=_with_probe,
    takes_m=False,
    top_logprobs=_TOP_LOGPROBS,
)
