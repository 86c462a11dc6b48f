"""The policy's own confidence as a verifier: no server is asked.

Two measures of the tokens so far, both of which grow with confidence. The length-normalised
likelihood, the geometric mean of their probabilities, needs their own log-probabilities alone.
DeepConf's (arXiv 2508.15260) is the confidence of the least confident group of tokens; it needs
the likeliest alternatives of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, log

from ttc_client.clients.scores import PRMFacts
from ttc_client.errors import ProtocolError
from ttc_client.search.ports import ScoreRequest, Scores
from ttc_client.search.steps import split_steps
from ttc_client.types import Step

GROUP_TOKENS = 2048
"""The window of a group, as in the paper."""

_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Confidence:
    """Score steps by the log-probabilities that they came with, from `top_logprobs` alternatives.

    With 0 of them, by the likelihood; else by the lowest group's confidence c, as 1 − ln k / c:
    0 where all k alternatives are equally likely, towards 1 where one token is certain.
    """

    top_logprobs: int

    @property
    def name(self) -> str:
        """The measure."""
        if not self.top_logprobs:
            return "confidence (likelihood)"
        return f"confidence (lowest group, top {self.top_logprobs})"

    @property
    def facts(self) -> PRMFacts:
        """What it reads."""
        return PRMFacts(top_logprobs=self.top_logprobs, reads_history=True)

    async def score(self, request: ScoreRequest) -> Scores:
        """Score each step by the tokens up to its end.

        The steps of a completion that was sampled whole all get its score. Raises ProtocolError
        where the policy gave no log-probabilities.
        """
        return Scores(
            tuple(
                self._of_item(steps, len(item))
                for item, steps in zip(request.items, request.sampled, strict=True)
            )
        )

    def _of_item(self, sampled: Sequence[Step], new: int) -> tuple[float, ...]:
        """Give what was read of each sampled step the confidence at its end."""
        if not new:
            return ()
        at_ends = self._at_ends(sampled)
        per_reading = [
            score
            for step, score in zip(sampled, at_ends, strict=True)
            for _ in split_steps(step.text)
        ]
        missing = max(0, new - len(per_reading))  # what is read may be split elsewhere
        return (*at_ends[-1:] * missing, *per_reading[-new:])

    def _at_ends(self, sampled: Sequence[Step]) -> list[float]:
        """Return the confidence at the end of each sampled step, from 0 to 1."""
        tokens: list[float] = []
        ends: list[int] = []
        for step in sampled:
            values = step.confidences if self.top_logprobs else step.logprobs
            if step.num_tokens and not values:
                raise self._nothing_to_read()
            tokens += values
            ends.append(len(tokens))
        if not self.top_logprobs:
            sums = [*accumulate(tokens, initial=0.0)]
            return [exp(min(0.0, sums[end] / end)) if end else 0.0 for end in ends]
        lowest = _lowest_groups(tokens)
        return [self._share(lowest[end - 1]) if end else 0.0 for end in ends]

    def _share(self, confidence: float) -> float:
        """Return a group's confidence, ln k at least, as a number from 0 to 1."""
        least = log(self.top_logprobs)
        if confidence < least - _ROUNDING:
            raise ProtocolError(
                f"the policy gives fewer than {self.top_logprobs} alternatives of a token: set "
                "--top-logprobs to what its server gives, 5 for TGI",
                url=self.name,
            )
        return max(0.0, 1 - least / confidence)

    def _nothing_to_read(self) -> ProtocolError:
        if self.top_logprobs:
            return ProtocolError(
                f"the policy's server gives no {self.top_logprobs} likeliest alternatives of its "
                "tokens: --top-logprobs 0 reads the likelihood alone",
                url=self.name,
            )
        return ProtocolError(
            "the policy's server gives no log-probabilities of its tokens, which confidence is "
            "made of: choose another --prm-api",
            url=self.name,
        )


def _lowest_groups(tokens: Sequence[float]) -> list[float]:
    """Return for each number of tokens the lowest mean of a whole window of them, or of all."""
    lowest: list[float] = []
    sums = [*accumulate(tokens, initial=0.0)]
    for end in range(1, len(tokens) + 1):
        mean = (sums[end] - sums[max(0, end - GROUP_TOKENS)]) / min(end, GROUP_TOKENS)
        whole_before = end > GROUP_TOKENS
        lowest.append(min(lowest[-1], mean) if whole_before else mean)
    return lowest
