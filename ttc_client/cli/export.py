"""`ttc export`: from a run directory to JSON lines."""

from pathlib import Path

import msgspec

from ttc_client.bench.export import Format, export
from ttc_client.bench.runs import read_run
from ttc_client.report.terminal import print_json
from ttc_client.runtime.records import Record
from ttc_client.search.params import check_choice
from ttc_client.types import Strategy


def export_run(
    path: Path, kind: str, *, strategy: str | None, n: int | None, seed: int | None
) -> None:
    """Print a run's searches to stdout, those of a strategy, N or seed where these are given."""
    check_choice("format", kind, Format)
    if strategy is not None:
        check_choice("strategy", strategy, Strategy)

    def wanted(record: Record) -> bool:
        asked = ((strategy, record.strategy), (n, record.n), (seed, record.seed))
        return all(value in (None, own) for value, own in asked)

    for row in export(read_run(path), msgspec.convert(kind, Format), wanted):
        print_json(row)
