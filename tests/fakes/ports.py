"""Scripted policies and PRMs: plain functions behind the two ports, which record what is asked."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from ttc_client.search.ports import SampleRequest, Samples, ScoreRequest, Scores
from ttc_client.types import Finish, Step, Trajectory, Usage

ROOT = Trajectory(problem="p", prompt="<prompt>", prompt_ids=(1, 2, 3))

Write = Callable[[SampleRequest, int], tuple[str, Finish]]


@dataclass
class ScriptedPolicy:
    """Write step i of a request with `write(request, i)`; hold back requests that `gate` names."""

    write: Write
    gate: Callable[[SampleRequest], asyncio.Event | None] = lambda request: None
    requests: list[SampleRequest] = field(default_factory=list)
    cancelled: list[SampleRequest] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0

    async def __call__(self, request: SampleRequest) -> Samples:
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
        steps = []
        for i in range(request.n):
            text, finish = self.write(request, i)
            steps.append(Step(text, finish, num_tokens=1, token_ids=(hash(text) % 1000,)))
        return Samples(tuple(steps), request.trajectory.token_ids, Usage(policy_requests=1))


@dataclass
class ScriptedPRM:
    """Score a step by the text up to it."""

    judge: Callable[[str], float]
    requests: list[ScoreRequest] = field(default_factory=list)

    async def __call__(self, request: ScoreRequest) -> Scores:
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
    """Write steps that are good or bad by chance; an answer is right if all steps were good."""
    rng = random.Random(repr((request.seed, i, request.trajectory.problem)))
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
    """Judge as a PRM that is never wrong."""
    return 0.0 if "bad" in text else 1.0
