"""Read files that are small by nature, whatever the path names."""

from pathlib import Path
from typing import BinaryIO

MOST_BYTES = 16 << 20


def read_small(source: Path | BinaryIO) -> bytes:
    """Read a file or a stream; raises OSError, and ValueError for one that does not end soon.

    The error's text is the reason alone, for whoever names the file. Devices such as /dev/zero
    never end; a pipe, as of a shell's `<(...)`, is not a device.
    """
    if isinstance(source, Path):
        try:
            with source.open("rb") as file:
                return read_small(file)
        except OSError as error:
            raise type(error)(error.strerror) from error
    data = source.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES >> 20} MB")
    return data
