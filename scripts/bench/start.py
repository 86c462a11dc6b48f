"""Measure how long the command line and the library take to start.

`python scripts/bench/start.py` runs each command several times in fresh processes, in turn with
a bare interpreter, and prints the seconds on the clock and of CPU, at the median. A first run of
each, which may have to compile modules, does not count.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.fakes.scripted_process import print_table, write_json

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import ttc_client": [sys.executable, "-c", "import ttc_client"],
    "ttc --help": [str(Path(sys.executable).parent / "ttc"), "--help"],
}


def start(command: list[str]) -> tuple[float, float]:
    """Run a command; return the seconds on the clock and of CPU."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, spent = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.perf_counter() - began_s
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return wall_s, spent.ru_utime + spent.ru_stime


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    starts: dict[str, list[tuple[float, float]]] = {name: [] for name in COMMANDS}
    for _ in range(1 + args.repeats):
        for name, command in COMMANDS.items():
            starts[name].append(start(command))
    figures = {
        name: {
            "wall_s": statistics.median(wall_s for wall_s, _ in times[1:]),
            "cpu_s": statistics.median(cpu_s for _, cpu_s in times[1:]),
        }
        for name, times in starts.items()
    }
    print_table(
        ("command", "s", "CPU s"),
        [(name, f"{row['wall_s']:.3f}", f"{row['cpu_s']:.3f}") for name, row in figures.items()],
    )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
