"""Scripted policies and verifiers: plain functions behind the two ports, which record requests."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Finish, Step, Usage

Write = Callable[[SampleRequest, int], tuple[str, Finish]]
"""Writes continuation i of a request: its text, and why it ended."""


def _at_once(request: SampleRequest) -> asyncio.Event | None:
    return None


@dataclass
class ScriptedPolicy:
    """Write continuation i of a request by `write(request, i)`.

    `gate` may name an event that a request waits for. What was asked, and what was closed before
    it was answered, is in `requests` and `cancelled`; `tokens` says how long a text counts as, and
    `logprob` how likely each of its tokens was, where a request asks. `num_tokens` counts those of
    all answers.
    """

    write: Write
    gate: Callable[[SampleRequest], asyncio.Event | None] = _at_once
    tokens: Callable[[str], int] = lambda text: 1
    logprob: Callable[[str], float] = lambda text: -1.0
    requests: list[SampleRequest] = field(default_factory=list[SampleRequest])
    cancelled: list[SampleRequest] = field(default_factory=list[SampleRequest])
    in_flight: int = 0
    most_in_flight: int = 0
    num_tokens: int = 0

    async def __call__(self, request: SampleRequest) -> Samples:
        """Answer a request, in another turn of the event loop."""
        self.requests.append(request)
        self.in_flight += request.n
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(0)
            if event := self.gate(request):
                await event.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request)
            raise
        finally:
            self.in_flight -= request.n
        steps = tuple(self._step(request, *self.write(request, i)) for i in range(request.n))
        self.num_tokens += sum(step.num_tokens for step in steps)
        return Samples(steps, request.trajectory.token_ids, Usage(policy_requests=1))

    def _step(self, request: SampleRequest, text: str, finish: Finish) -> Step:
        num_tokens, logprob = self.tokens(text), self.logprob(text)
        return Step(
            text,
            finish,
            num_tokens,
            token_ids=(hash(text) % 1000,),
            logprobs=() if request.top_logprobs is None else (logprob,) * num_tokens,
            confidences=(-logprob,) * num_tokens if request.top_logprobs else (),
        )


@dataclass
class ScriptedVerifier:
    """Score each step by `judge`, which is given the text up to it."""

    judge: Callable[[str], float]
    requests: list[ScoreRequest] = field(default_factory=list[ScoreRequest])

    async def __call__(self, request: ScoreRequest) -> Scores:
        """Answer a request, in another turn of the event loop."""
        self.requests.append(request)
        await asyncio.sleep(0)
        scores = tuple(
            tuple(
                self.judge("\n\n".join((*request.prefix, *item[: i + 1]))) for i in range(len(item))
            )
            for item in request.items
        )
        return Scores(scores, Usage(prm_requests=1))


def walk(
    request: SampleRequest, i: int, *, length: int = 4, p_good: float = 0.5
) -> tuple[str, Finish]:
    r"""Write steps that are good or bad by chance; the answer is `\boxed{right}` if all are good.

    The same seed writes the same.
    """
    rng = random.Random(repr((request.seed, i, request.messages[-1].content)))
    written = request.trajectory.text.count("\n\n")

    def step(number: int) -> str:
        luck = "good" if rng.random() < p_good else f"bad{rng.randrange(3)}"
        return f"{luck} {number}.{rng.randrange(10**6)}"

    if request.stop and written + 1 < length:
        return step(written) + "\n\n", "stop"
    steps = [step(number) for number in range(written, length)]
    *before, last = steps
    body = request.trajectory.text + "\n\n".join(before)
    right = "bad" not in body + last
    answer = "right" if right else f"wrong{rng.randrange(4)}"
    return "\n\n".join([*before, f"{last} \\boxed{{{answer}}}"]), "eos"


def perfect(text: str) -> float:
    """Judge what `walk` writes as a verifier that is never wrong."""
    return 0.0 if "bad" in text else 1.0
