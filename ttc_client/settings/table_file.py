"""Keep the table of compute-optimal scaling in a JSON file."""

from pathlib import Path

import msgspec

from ttc_client.errors import ConfigError
from ttc_client.files import read_small
from ttc_client.search.compute_optimal import TableSettings
from ttc_client.search.params import SearchParams
from ttc_client.search.strategies import find_strategy
from ttc_client.search.table import Table


def read_table(path: Path) -> Table:
    """Read a table; raises ConfigError, naming the file, for one that is missing or wrong."""
    try:
        table = msgspec.json.decode(read_small(path), type=Table)
        _check_choices(table)
        return table
    except FileNotFoundError:
        raise ConfigError(f"table is {path}: there is no such file") from None
    except OSError as error:
        raise ConfigError(f"table is {path}: {error}") from error
    except (msgspec.DecodeError, ValueError, RecursionError, ConfigError) as error:
        raise ConfigError(
            f"table is {path}, which is not a table of ttc optimal fit: {error}"
        ) from error


def _check_choices(table: Table) -> None:
    """Raise ConfigError for a choice that no part of a budget can be spent by."""
    for name in dict.fromkeys(choice.strategy for b in table.budgets for choice in b.choices):
        strategy = find_strategy(name)
        kind = strategy.samples(SearchParams(strategy=name), strategy.settings())
        if kind == "fixed" or issubclass(strategy.settings, TableSettings):
            raise ConfigError(f"{name} cannot take a part of a budget")


def write_table(table: Table, path: Path) -> None:
    """Write a table; raises ConfigError for a place that cannot be written."""
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(table)) + b"\n")
    except OSError as error:
        raise ConfigError(f"out is {path}: {error.strerror}") from error
