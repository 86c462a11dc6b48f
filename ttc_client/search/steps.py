"""What a step is: what the policy writes up to a blank line."""

STEP_DELIMITER = "\n\n"


def split_steps(text: str) -> tuple[str, ...]:
    """Return the steps of a text without their delimiters; blank ones are left out."""
    return tuple(step for part in text.split(STEP_DELIMITER) if (step := part.strip()))
