"""Models that think: which part of their text is read, and a thought that is a part of a step."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from ttc_client.errors import ServerError
from ttc_client.search.params import SearchParams, Thoughts
from ttc_client.search.steps import STEP_DELIMITER, split_steps
from ttc_client.thoughts import Thought, closing_mark, split_thought, unmarked
from ttc_client.types import Message, Step, Trajectory

_MOST_TURNS = 8
"""A thought, blank lines behind it, and the first step of the response take three."""
_FIRST_TURN = -2
"""The number of the first turn behind a step; -1 is a look-ahead's."""


class Sample(Protocol):
    """What `Search.sample` offers."""

    def __call__(
        self, parent: Trajectory, n: int, max_tokens: int, *, first: int, stop: tuple[str, ...]
    ) -> Awaitable[list[Trajectory]]: ...


def said(trajectory: Trajectory) -> Thought:
    """Return a trajectory's thought and its response."""
    return split_thought(trajectory.text, opened=bool(trajectory.prompt.closes_thought))


def response(trajectory: Trajectory) -> str:
    """Return what a trajectory says after its thought, "" while that is open."""
    return said(trajectory).answer


def without_thoughts(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Return a conversation in which the assistant's earlier turns hold their responses alone.

    A model that finds old thoughts in its prompt tends to end its next one early.
    """
    return tuple(
        replace(turn, content=split_thought(turn.content).answer or turn.content)
        if turn.role == "assistant"
        else turn
        for turn in messages
    )


def readings_after(
    parent: Trajectory, texts: Iterable[str], params: SearchParams
) -> list[tuple[str, ...]]:
    """Return the steps that a verifier reads of a trajectory once each text is written after it.

    These are the steps of the thought too where `params.thoughts` is "score".
    """
    known, begun = whole_steps(parent, params)
    delimiters = params.step_delimiter
    if params.thoughts == "score":
        return [known + split_steps(unmarked(begun + text), delimiters) for text in texts]
    if known:
        return [known + split_steps(begun + text, delimiters) for text in texts]
    before, opened = parent.text, bool(parent.prompt.closes_thought)
    answers = [split_thought(before + text, opened=opened).answer for text in texts]
    return [split_steps(answer, delimiters) for answer in answers]


def whole_steps(trajectory: Trajectory, params: SearchParams) -> tuple[tuple[str, ...], str]:
    """Return the readings of the steps that are complete, and the text of one that is not.

    A checkpoint cuts a step anywhere; what goes on from there is read as one step with it.
    """
    delimiters = params.step_delimiter
    if not trajectory.steps or trajectory.steps[-1].text.endswith(delimiters):
        return trajectory.readings, ""
    text = trajectory.text
    begun = text[max(at + len(d) if (at := text.rfind(d)) >= 0 else 0 for d in delimiters) :]
    count = len(split_steps(unmarked(begun), delimiters))  # 2 where it ends a thought
    return trajectory.readings[: max(0, len(trajectory.readings) - count)], begun


def steps_read(
    text: str, thoughts: Thoughts = "drop", delimiters: Sequence[str] = (STEP_DELIMITER,)
) -> tuple[str, ...]:
    """Return the steps that a verifier reads of a whole completion."""
    read = unmarked(text) if thoughts == "score" else split_thought(text).answer
    return split_steps(read, delimiters)


def is_thinking(trajectory: Trajectory) -> bool:
    """Return whether a trajectory has thought, and has not come to its response."""
    if trajectory.readings or trajectory.finished:
        return False
    so_far = said(trajectory)
    return so_far.is_open or bool(so_far.thought)


async def past_thought(child: Trajectory, params: SearchParams, sample: Sample) -> Trajectory:
    """Go on from a step within a thought up to the first step of the response, as one step.

    Stop strings are for the response: the thought has all of the completion's tokens.
    """
    for turn in range(_MOST_TURNS):
        left = params.max_completion_tokens - child.num_tokens
        if not is_thinking(child):
            break
        if left < 1:
            return _ended(child)
        stop = params.step_delimiter
        if said(child).is_open:
            stop = (child.prompt.closes_thought or closing_mark(child.text),)
        grown = await sample(child, 1, left, first=_FIRST_TURN - turn, stop=stop)
        if not grown:
            raise ServerError("a step within a thought could not be continued", url="")
        child = joined(child, grown[0])
    return child


def joined(child: Trajectory, grown: Trajectory) -> Trajectory:
    """Return a child whose last step goes on as in `grown`, which has one step more."""
    *before, one, two = grown.steps
    with_logprobs = len(one.logprobs) == one.num_tokens and len(two.logprobs) == two.num_tokens
    has_confidences = bool(one.confidences) and bool(two.confidences)
    step = Step(
        one.text + two.text,
        two.finish,
        one.num_tokens + two.num_tokens,
        one.token_ids + two.token_ids,
        one.multiplicity,
        logprobs=one.logprobs + two.logprobs if with_logprobs else (),
        confidences=one.confidences + two.confidences if has_confidences else (),
    )
    return replace(child, steps=(*before, step), readings=grown.readings, prompt=grown.prompt)


def _ended(child: Trajectory) -> Trajectory:
    *before, last = child.steps
    return replace(child, steps=(*before, replace(last, finish="length")))
