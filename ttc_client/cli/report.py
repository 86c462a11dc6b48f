"""`ttc report`: from run directories to figures, tables and a page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ttc_client.bench.runs import read_run
from ttc_client.report.tables import ModelSizes
from ttc_client.report.write import write_report


def report_runs(
    paths: Sequence[Path], out: Path, baselines: Mapping[str, float], sizes: ModelSizes
) -> None:
    """Write a report, and print the path of its page to stdout."""
    print(write_report([read_run(path) for path in paths], out, baselines, sizes))
