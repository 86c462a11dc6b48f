"""The score below which a step counts as wrong: given, or fitted where it is not judged. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from ttc_client.bench.solutions import Solution
from ttc_client.errors import ConfigError

FIT = "fit"

Scored = tuple[Solution, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Threshold:
    """A `value`, or, where that is None, one that is fitted for the highest F1.

    On the solutions of `subset` for all, as ProcessBench does with GSM8K; or else on each half of
    the problems for the other half, so that no solution is judged by a threshold that it helped to
    fit.
    """

    value: float | None = 0.5
    subset: str = ""

    @classmethod
    def read(cls, text: str) -> "Threshold":
        """Read a number, `fit` or `fit:SUBSET`; raises ConfigError."""
        kind, _, subset = text.partition(":")
        if kind == FIT:
            return cls(None, subset)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 < value <= 1:
            raise ConfigError(
                f"threshold is {text!r}: write a number above 0 and at most 1, fit, or fit:SUBSET"
            )
        return cls(value)

    def of(self, scored: Sequence[Scored]) -> tuple[list[float], str]:
        """Return the threshold of each solution, and what to say of it; raises ConfigError."""
        if self.value is not None:
            return [self.value] * len(scored), f"{self.value:g}"
        if self.subset:
            if self.subset not in (known := sorted({solution.subset for solution, _ in scored})):
                raise ConfigError(
                    f"threshold is {FIT}:{self.subset}, and there is no such subset: write fit, or "
                    f"fit: and one of {', '.join(known)}"
                )
            value = fit_threshold([each for each in scored if each[0].subset == self.subset])
            return [value] * len(scored), f"{value:.3f}, fitted on {self.subset}"
        halves = [crc32(solution.problem.key.encode()) % 2 for solution, _ in scored]
        values = [
            fit_threshold([each for each, half in zip(scored, halves, strict=True) if half != own])
            for own in (0, 1)
        ]
        said = f"{values[0]:.3f} and {values[1]:.3f}, each fitted on the other half"
        return [values[half] for half in halves], said


def fit_threshold(scored: Sequence[Scored]) -> float:
    """Return the threshold with the highest F1, in the middle of the range that has it.

    A right solution is a hit up to its lowest score. A wrong one is a hit above the score of its
    first wrong step, up to the lowest score before that. Raises ConfigError unless there are right
    and wrong solutions.
    """
    right = [min(scores) for solution, scores in scored if solution.error is None]
    wrong = [
        (scores[error], min(scores[:error], default=1.0))
        for solution, scores in scored
        if (error := solution.error) is not None
    ]
    if not right or not wrong:
        raise ConfigError(
            "the threshold cannot be fitted: that needs right and wrong solutions on the fitted "
            "part; give it as a number"
        )
    begins, ends = (
        np.sort([low for low, high in wrong if low < high]),
        np.sort([high for low, high in wrong if low < high]),
    )
    lows = np.sort(right)
    edges = np.unique([0.0, *right, *begins, *ends, 1.0])
    middles = (edges[:-1] + edges[1:]) / 2
    on_right = 1 - np.searchsorted(lows, middles) / len(right)
    hits = np.searchsorted(begins, middles) - np.searchsorted(ends, middles)
    on_wrong = hits / len(wrong)
    total = on_right + on_wrong
    f1 = 2 * on_right * on_wrong / np.where(total == 0, 1, total)
    return float(middles[f1.argmax()])
