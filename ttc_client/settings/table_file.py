"""Keep the table of compute-optimal scaling in a JSON file."""

from pathlib import Path

import msgspec

from ttc_client.errors import ConfigError
from ttc_client.search.table import Table


def read_table(path: Path) -> Table:
    """Read a table; raises ConfigError, naming the file, for one that is missing or wrong."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Table)
    except FileNotFoundError:
        raise ConfigError(f"table is {path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"table is {path}: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"table is {path}, which is no table of ttc optimal fit: {error}"
        ) from error


def write_table(table: Table, path: Path) -> None:
    """Write a table; raises ConfigError for a place that cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(table)) + b"\n")
    except OSError as error:
        raise ConfigError(f"out is {path}: {error.strerror}") from error
