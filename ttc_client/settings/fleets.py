"""Read the URLs of many replicas from a file, one on each line."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ttc_client.errors import ConfigError
from ttc_client.files import read_small

_MARK = "@"


def listed(name: str, places: Sequence[Any]) -> Iterator[Any]:
    """Return places, with the lines of a file in the place of each `@FILE`.

    Empty lines, and what follows a #, do not count. Raises ConfigError for a file that cannot be
    read or that holds nothing.
    """
    for place in places:
        if not (isinstance(place, str) and place.startswith(_MARK)):
            yield place
            continue
        file = Path(place.removeprefix(_MARK))
        try:
            text = read_small(file).decode("utf-8-sig")
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise ConfigError(f"{name} is {place}, which cannot be read: {why}") from error
        lines = [line.partition("#")[0].strip() for line in text.splitlines()]
        if not any(lines):
            raise ConfigError(f"{name} is {place}, which names no server: write a URL on each line")
        yield from filter(None, lines)
