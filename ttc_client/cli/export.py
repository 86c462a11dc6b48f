"""`ttc export`: from a run directory to JSON lines."""

import sys
from pathlib import Path

import msgspec

from ttc_client.bench.export import Format, export
from ttc_client.bench.records import Record
from ttc_client.bench.runs import read_run
from ttc_client.params import check_choice


def export_run(
    path: Path, kind: str, *, strategy: str | None, n: int | None, seed: int | None
) -> None:
    """Print a run's searches to stdout, those of a strategy, N or seed where these are given."""
    check_choice("format", kind, Format)

    def wanted(record: Record) -> bool:
        asked = ((strategy, record.strategy), (n, record.n), (seed, record.seed))
        return all(value in (None, own) for value, own in asked)

    for row in export(read_run(path), msgspec.convert(kind, Format), wanted):
        sys.stdout.write(msgspec.json.encode(row).decode() + "\n")
