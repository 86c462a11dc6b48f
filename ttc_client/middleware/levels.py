"""How many sequences to keep in flight at a server: slow start, then AIMD by throughput.

The level doubles while that raises throughput. From then on it grows by a constant step per round,
and falls by a constant factor when the higher level brought nothing: TCP's congestion avoidance
(Jacobson 1988), with throughput as the signal beside refusals. Knows nothing of requests, queues
or clocks. `.github/decisions/concurrency.md` has the measurements.
"""

import logging
from dataclasses import dataclass
from math import log

START, MOST = 256, 4096
"""It starts with as many sequences as vLLM runs at once by default: from less, slow start outlasts
a short run. A smaller server queues the rest until the level falls."""

_WORTH = 0.15
"""Least elasticity of throughput, d log(tokens/s) / d log(level), for which more is better. Where
throughput is b / (b + h) with b in flight, it is reached at b = 5.7 h, 85 % of the maximum, and
the increase goes on to half as much again."""
_DECREASE = 0.8
_INCREASE = 0.5
"""Additive step as a share of the level after the last decrease: comparing levels that differ by
less would mostly compare noise."""
_RESTORED = 0.25
"""Share of a withheld slot that each answered sequence gives back: no more than the retry budget
earns per answer, so that a server that goes on refusing cannot use up the budget."""
_OVERLOAD = 1 / 8
"""The level does not grow after a round at whose end refusals withhold more than this share."""
_SAMPLE = 64
"""A round counts at least this many sequences, as fewer make a poor estimate of throughput."""

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class Level:
    """The bound on the sequences in flight at one server, changed after each round of answers.

    After an increase, the answers to the sequences sent before it are left out; after a decrease,
    those to the sequences in flight above the level. The round then counts the answers to as many
    sequences as the level, and `_SAMPLE` more.

    A refusal withholds as many slots as the request has sequences, and answers give them back, so
    that refusals that do not depend on the load do not lower the level. The level itself falls by
    what is withheld once that is more than half of it, and at the end of each round.
    """

    server: str = ""
    level: int = START
    _starting: bool = True
    _step: int = 0
    _last: tuple[int, float] | None = None
    """Tokens per second of the last round at another level, after that level."""
    _withheld: float = 0.0
    _unsettled: float = _SAMPLE / 2
    """Sequences still to be answered before the round begins."""
    _sequences: float = 0.0
    _tokens: float = 0.0
    _began_s: float = 0.0

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight now."""
        return max(1, self.level - int(self._withheld))

    def answered(self, sequences: int, tokens: int, share: float, seconds: float) -> None:
        """Count an answer.

        `seconds` is the total time so far in which requests waited for slots, and `share` the
        fraction of this request's time in which they did: the rest says nothing about the level.
        """
        self._withheld = max(0.0, self._withheld - _RESTORED * sequences)
        if self._unsettled > 0:
            self._unsettled -= sequences * share
            if self._unsettled <= 0:
                self._began_s, self._sequences, self._tokens = seconds, 0.0, 0.0
            return
        self._sequences += sequences * share
        self._tokens += tokens * share
        if self._sequences >= self.level + _SAMPLE:
            self._judge(max(self._tokens, 1.0) / max(seconds - self._began_s, 1e-9))

    def refused(self, sequences: int) -> None:
        """Count a request that the server refused because it is overloaded."""
        self._withheld += sequences
        if self._withheld > self.level / 2:
            self._last = None
            self._move(self.capacity, "refusals")

    def _judge(self, tokens_per_s: float) -> None:
        """End a round: compare it with the last one at another level, and go up or down."""
        old, last, why = self.level, self._last, f"{tokens_per_s:.0f} tokens/s"
        if self._withheld > _OVERLOAD * old:
            self._move(self.capacity, "refusals")
        elif last is None or log(tokens_per_s / last[1]) / log(old / last[0]) > _WORTH:
            self._move(self.capacity + (old if self._starting else self._step), why)
        else:
            self._move(int(_DECREASE * self.capacity), why)
        if self.level != old:
            self._last = old, tokens_per_s

    def _move(self, level: int, why: str) -> None:
        """Set the level, and begin a round once what it left behind is answered."""
        old, self.level = self.level, max(1, min(MOST, level))
        if self.level < old:
            self._starting = self.level == 1  # as if new: a server that refused everything
            self._step = max(1, round(_INCREASE * self.level))
        self._withheld = self._sequences = self._tokens = 0.0
        self._unsettled = old - self.level if self.level < old else old
        if self.level != old:
            _LOG.debug("%s: %d -> %d sequences in flight (%s)", self.server, old, self.level, why)
