"""What a step is: what the policy writes up to a delimiter, by default a blank line."""

import re
from collections.abc import Sequence

STEP_DELIMITER = "\n\n"


def split_steps(text: str, delimiters: Sequence[str] = (STEP_DELIMITER,)) -> tuple[str, ...]:
    """Return the steps of a text without their delimiters; blank ones are not counted."""
    if len(delimiters) == 1:
        parts = text.split(delimiters[0])
    else:
        parts = re.split("|".join(map(re.escape, sorted(delimiters, key=len, reverse=True))), text)
    return tuple([step for part in parts if (step := part.strip())])
