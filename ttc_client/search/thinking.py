"""Models that think: which part of their text is read."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ttc_client.search.params import SearchParams, Thoughts
from ttc_client.search.steps import STEP_DELIMITER, split_steps
from ttc_client.thoughts import Thought, split_thought, unmarked
from ttc_client.types import Message, Trajectory


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
