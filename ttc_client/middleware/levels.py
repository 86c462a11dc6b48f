"""How many sequences to keep in flight at a server: more for as long as throughput grows with it.

A stochastic search for the knee of throughput (Kiefer and Wolfowitz 1952), with steps that shrink
when they turn and grow when they do not (Kesten 1958). Knows nothing of requests, queues, servers
or clocks: it is told what was answered, and how long that took.
"""

from dataclasses import dataclass
from math import exp, log, sqrt

START, MOST = 256, 4096
"""It starts with what a vLLM runs at once unless told otherwise: from less, a run of minutes is
over before the level is found. A smaller server queues the rest, until it is given up."""

_ROUND = 64
"""A round has more answers than half of it, and its ends are short against twice of it."""

_WORTH = 0.07
"""One percent more in flight must bring so many percent more throughput. Where throughput grows
as b / (b + h) with b in flight, that is so up to b = 13 h, or 93 % of the most."""
_SPREAD = 1.6
"""The ratio of the two levels that are compared."""
_WIDEST, _NARROWEST = log(2), 0.1
"""Steps of the centre, as logarithms."""
_SEARCHING = 0.3
"""Steps wider than this search for the level; rough comparisons, soon made, do for them."""
_WORTH_SEARCHING = 0.2
"""What more in flight must bring meanwhile, so that chance does not carry it far above."""
_PLAUSIBLE = 1.3
"""An elasticity beyond it is the server's doing: it has become faster, or slower."""
_CHANCE = 32
"""So many sequences refused, on top of a third of those answered, are no accident."""


@dataclass(slots=True)
class Level:
    """The bound on the sequences in flight at one server, moved after each round of answers.

    Rounds take turns above and below a centre, and each is compared with the one before. The
    centre rises while the elasticity of throughput, d log(tokens/s) / d log(in flight), is worth
    it, and falls where it is not: a queue at the server earns nothing, so it is given up.

    Refusals alone do not lower it, as they may come whatever the load. What a refused request
    held is withheld until twice as much is answered; where many are refused even so, the level
    falls to what the server takes.
    """

    level: int = START
    _centre: float = START * sqrt(_SPREAD)
    _step: float = _WIDEST
    _rising: bool = True
    _last: tuple[int, float] | None = None
    _withheld: float = 0.0
    _taken: int = START
    _refused: int = 0
    _unsettled: float = _ROUND / 2
    _answers: int = 0
    _sequences: float = 0.0
    _tokens: float = 0.0
    _began_s: float = 0.0

    @property
    def capacity(self) -> int:
        """How many sequences may be in flight now."""
        return max(1, self.level - int(self._withheld))

    def answered(self, sequences: int, tokens: int, share: float, seconds: float) -> None:
        """Count an answer.

        `seconds` is how long requests have had to wait for slots so far, in all, and `share` the
        part of this request's time in which they had to: the rest says nothing of the level.
        """
        self._withheld = max(0.0, self._withheld - sequences / 2)
        self._taken += sequences
        if self._refused > _CHANCE + self._taken / 3:
            self._fall_back()
        elif self._unsettled > 0:
            self._unsettled -= sequences * share
            if self._unsettled <= 0:
                self._begin(seconds)
        else:
            self._answers += 1
            self._sequences += sequences * share
            self._tokens += tokens * share
            if self._enough():
                self._judge(max(self._tokens, 1.0) / max(seconds - self._began_s, 1e-9))
                self._begin(seconds)

    def refused(self, sequences: int) -> None:
        """Count a request that an overloaded server did not take."""
        self._withheld = min(self.level - 1, self._withheld + sequences)
        self._refused += sequences

    def _enough(self) -> bool:
        """Whether the round is long against what is only partly in it, at its ends."""
        enough = self.level if self._step > _SEARCHING else 2 * (self.level + _ROUND)
        return self._answers >= _ROUND / 2 and self._sequences >= enough

    def _begin(self, seconds: float) -> None:
        self._began_s = seconds
        self._answers = self._taken = self._refused = 0
        self._sequences = self._tokens = 0.0

    def _judge(self, rate: float) -> None:
        if self._last is not None:
            level, last = self._last
            elasticity = log(rate / last) / log(self.level / level)
            if abs(elasticity) < _PLAUSIBLE:
                self._steer(elasticity)
            else:
                self._step = _WIDEST
        self._last = self.level, rate
        self._move()

    def _steer(self, elasticity: float) -> None:
        """Move the centre, by less the closer the elasticity is to what it should be."""
        worth = _WORTH_SEARCHING if self._step > _SEARCHING else _WORTH
        rises = elasticity > worth
        if rises != self._rising:
            self._step = max(_NARROWEST, self._step / 2)
        elif not 0 < elasticity < _WORTH_SEARCHING:
            self._step = min(_WIDEST, self._step * 1.5)
        self._rising = rises
        self._centre *= exp(self._step * max(-1.0, min(1.0, elasticity / worth - 1)))

    def _move(self) -> None:
        """Go to the level above or below the centre, whichever is farther from the present one."""
        old, spread = self.level, sqrt(_SPREAD)
        self._centre = max(1.0, min(MOST / spread, self._centre))
        below = max(1, round(self._centre / spread))
        above = max(below + 1, round(self._centre * spread))
        self.level = max(below, above, key=lambda level: abs(log(level / old)))
        if self._step <= _SEARCHING:
            self._settle(max(old, self.level))
        else:
            self._settle(old - self.level if self.level < old else old)
        self._taken = max(0, self.level - old)  # sent at once, so answered late

    def _fall_back(self) -> None:
        self.level = self.capacity
        self._centre, self._step = float(self.level), _NARROWEST
        self._last = None
        self._settle(self.level)

    def _settle(self, sequences: int) -> None:
        """Leave out so many sequences, which were in flight with others than the level says."""
        self._unsettled = sequences
        self._withheld = 0.0
        self._taken = self._refused = 0
