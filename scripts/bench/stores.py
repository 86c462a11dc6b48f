"""Compare JSON lines, SQLite and Parquet as the place for the records of a run.

`python scripts/bench/stores.py` appends the same 2,000 records to each, one at a time, as searches
end, and prints the CPU per record and the size. Then it kills a writer after half of them, to see
what can be read, and writes the records in another order, to see whether the same bytes come out
once they are sorted.
"""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as parquet

from tests.fakes.scripted_process import print_table

COUNT = 2_000
Row = dict[str, Any]


def records(order: int) -> list[Row]:
    """Return the records of a made-up run, shuffled."""
    rng = random.Random(0)
    rows: list[Row] = [
        {
            "id": f"problem-{i}",
            "strategy": "dvts",
            "candidates": [{"answer": str(i), "reward": rng.random()} for _ in range(16)],
        }
        for i in range(COUNT)
    ]
    random.Random(order).shuffle(rows)
    return rows


def write_lines(path: Path, rows: Iterable[Row]) -> None:
    """Append a line per record, and have the disk hold them a second later, as a bench does."""
    with path.open("ab", buffering=0) as file:
        synced_s = time.monotonic()
        for row in rows:
            file.write(json.dumps(row).encode() + b"\n")
            if time.monotonic() > synced_s + 1:
                os.fsync(file.fileno())
                synced_s = time.monotonic()


def write_sqlite(path: Path, rows: Iterable[Row]) -> None:
    """Commit each record by itself, with a write-ahead log."""
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        base.execute("pragma journal_mode=wal")
        base.execute("pragma synchronous=normal")
        base.execute("create table records (id text primary key, record text)")
        for row in rows:
            base.execute("insert into records values (?, ?)", (row["id"], json.dumps(row)))


def write_parquet(path: Path, rows: Iterable[Row]) -> None:
    """Write a row group per record."""
    schema = pyarrow.Table.from_pylist(records(0)[:1]).schema
    with parquet.ParquetWriter(path, schema) as writer:
        for row in rows:
            writer.write_table(pyarrow.Table.from_pylist([row], schema=schema))


WRITERS: dict[str, Callable[[Path, Iterable[Row]], None]] = {
    "jsonl": write_lines,
    "sqlite": write_sqlite,
    "parquet": write_parquet,
}


def readable(kind: str, path: Path) -> str:
    """Return how many records can be read."""
    try:
        if kind == "jsonl":
            return str(sum(line.endswith(b"\n") for line in path.open("rb")))
        if kind == "parquet":
            return str(parquet.read_table(path).num_rows)
        with closing(sqlite3.connect(path)) as base:
            return str(base.execute("select count(*) from records").fetchone()[0])
    except (pyarrow.ArrowInvalid, sqlite3.Error) as error:
        return f"none: {type(error).__name__}"


def sorted_bytes(kind: str, path: Path) -> bytes:
    """Return the file's bytes with its records in order, as far as its kind allows."""
    if kind == "jsonl":
        return b"".join(sorted(path.read_bytes().splitlines(keepends=True)))
    if kind == "parquet":
        table = parquet.read_table(path).sort_by("id")
        parquet.write_table(table, path)
    else:
        with closing(sqlite3.connect(path)) as base:
            base.execute("vacuum")
    return path.read_bytes()


def write_until_killed(kind: str, path: Path) -> None:
    """Write half of the records, then die as by `kill -9`."""

    def half() -> Iterable[Row]:
        yield from records(0)[: COUNT // 2]
        os.kill(os.getpid(), signal.SIGKILL)

    WRITERS[kind](path, half())


def measure(kind: str, directory: Path) -> tuple[str, ...]:
    """Return a row of the table."""
    one, other, killed = (directory / f"{name}.{kind}" for name in ("one", "other", "killed"))
    rows = records(1)
    began_s = time.process_time()
    WRITERS[kind](one, rows)
    cpu_s = time.process_time() - began_s
    size = one.stat().st_size
    WRITERS[kind](other, records(2))
    subprocess.run([sys.executable, __file__, kind, str(killed)], check=False)
    same = sorted_bytes(kind, one) == sorted_bytes(kind, other)
    return (
        kind,
        f"{1e6 * cpu_s / COUNT:.0f}",
        f"{size / 1e6:.1f}",
        readable(kind, killed),
        "yes" if same else "no",
    )


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as directory:
        print_table(
            ("", "CPU us", "MB", f"read of {COUNT // 2} after kill -9", "same bytes when sorted"),
            [measure(kind, Path(directory)) for kind in WRITERS],
        )


if __name__ == "__main__":
    if sys.argv[2:]:
        write_until_killed(sys.argv[1], Path(sys.argv[2]))
    main()
