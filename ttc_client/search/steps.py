"""What a step is: what the policy writes up to a blank line."""

from ttc_client.types import Trajectory

STEP_DELIMITER = "\n\n"


def split_steps(text: str) -> tuple[str, ...]:
    """Return the steps of a text without their delimiters; blank ones are left out."""
    return tuple(step for part in text.split(STEP_DELIMITER) if (step := part.strip()))


def whole_steps(trajectory: Trajectory) -> tuple[tuple[str, ...], str]:
    """Return the readings of the steps that are complete, and the text of one that is not.

    A checkpoint cuts a step anywhere; what goes on from there is read as one step with it.
    """
    if not trajectory.steps or trajectory.steps[-1].text.endswith(STEP_DELIMITER):
        return trajectory.readings, ""
    begun = trajectory.text.rpartition(STEP_DELIMITER)[2]
    return trajectory.readings[: len(trajectory.readings) - bool(begun.strip())], begun
