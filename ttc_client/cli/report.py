"""`ttc report`: from run directories, or that of one search, to figures, tables and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ttc_client.bench.runs import read_run
from ttc_client.errors import ConfigError
from ttc_client.report.solved import is_search, write_search
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report


def report_runs(
    paths: Sequence[Path], out: Path, baselines: Mapping[str, float], sizes: ModelSizes
) -> None:
    """Write a report, and print the path of its page to stdout."""
    searches = [path for path in paths if is_search(path)]
    if not searches:
        print(write_report([read_run(path) for path in paths], out, baselines, sizes))
    elif len(paths) == 1:
        print(write_search(paths[0], out))
    else:
        raise ConfigError(
            f"{searches[0]} holds a single search of ttc solve: report it alone, or name runs of "
            "ttc bench alone"
        )
