"""Policies that think in a scripted way, with tokens of words and marks."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from ttc_client.search.ports import SampleRequest, Samples
from ttc_client.search.thinking import said
from ttc_client.testing.searches import ROOT
from ttc_client.types import Finish, Step, Trajectory

RESPONSE = "Add them.\n\nSo \\boxed{4}."
_TOKEN = re.compile(r"<(?!\|start_header)[^<>]*>|\[/?THINK\]|\n+|[ ]?\w+|.")
_KNOWN: list[str] = []


def tokens(text: str) -> tuple[int, ...]:
    """Return the ids of a text's tokens."""
    found = _TOKEN.findall(text)
    _KNOWN.extend(token for token in dict.fromkeys(found) if token not in _KNOWN)
    return tuple(map(_KNOWN.index, found))


def text_of(ids: Sequence[int]) -> str:
    """Return the text of tokens."""
    return "".join(_KNOWN[number] for number in ids)


async def write(text: str) -> Step:
    """Return a text as a step, tokenized."""
    ids = tokens(text)
    return Step(text, "stop", len(ids), ids)


@dataclass(frozen=True)
class Shape:
    """How a family marks its thoughts; `opening` is "" where `prompt_end` opens them."""

    opening: str
    ending: str
    closes_thought: str = ""
    prompt_end: str = ""

    @property
    def root(self) -> Trajectory:
        return replace(ROOT, prompt=replace(ROOT.prompt, closes_thought=self.closes_thought))


SHAPES: Mapping[str, Shape] = {
    "marked by the model": Shape("<think>\n", "\n</think>\n\n"),
    "opened by the prompt": Shape("", "\n</think>\n\n", "</think>", "<think>\n"),
    "in channels": Shape(
        "<|channel|>analysis<|message|>",
        "<|end|><|start|>assistant<|channel|>final<|message|>",
    ),
    "in another family's marks": Shape("[THINK]", "[/THINK]"),
}


@dataclass
class Thinker:
    """Think one of `thoughts` after the other, each time it is told to go on; then respond."""

    shape: Shape
    thoughts: Sequence[str]
    response: str = RESPONSE
    requests: list[SampleRequest] = field(default_factory=list[SampleRequest])

    async def __call__(self, request: SampleRequest) -> Samples:
        self.requests.append(request)
        return Samples((self.step(request),) * request.n, (1, 2, 3))

    def step(self, request: SampleRequest) -> Step:
        rest = self._rest(request.trajectory)
        ends = [at + len(stop) for stop in request.stop if (at := rest.find(stop)) >= 0]
        text, finish = rest, cast(Finish, "eos")
        if ends:
            text, finish = rest[: min(ends)], "stop"
        ids = tokens(text)
        if len(ids) > request.max_tokens:
            ids, finish = ids[: request.max_tokens], "length"
        text = text_of(ids)
        logprobs = () if request.top_logprobs is None else (-0.5,) * len(ids)
        confidences = (5.0,) * len(ids) if request.top_logprobs else ()
        return Step(text, finish, len(ids), ids, logprobs=logprobs, confidences=confidences)

    def _rest(self, trajectory: Trajectory) -> str:
        text, shape = trajectory.text, self.shape
        if text and not said(trajectory).is_open:
            mark, after = shape.ending.rstrip("\n"), shape.ending[len(shape.ending.rstrip("\n")) :]
            begun, whole = text.rpartition(mark.strip())[2], after + self.response
            return whole.removeprefix(begun) if whole.startswith(begun) else self._again(begun)
        told = text.count("Wait")
        begun = text.rpartition("Wait")[2] if told else text.removeprefix(shape.opening)
        thought = self.thoughts[min(told, len(self.thoughts) - 1)]
        opening = "" if text else shape.opening
        return opening + (thought + shape.ending + self.response)[len(begun) :]

    def _again(self, begun: str) -> str:
        """Return what is left of the response after blank lines of somebody else's."""
        return self.response.removeprefix(begun.lstrip("\n"))
