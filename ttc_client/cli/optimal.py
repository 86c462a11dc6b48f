"""`ttc optimal fit`: from run directories to the table of compute-optimal scaling."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from ttc_client.analysis.curves import read_curves
from ttc_client.analysis.optimal import JUDGES, fit, read_evidence, validate
from ttc_client.bench.runs import read_run
from ttc_client.report.optimal import choices_table, validation_table
from ttc_client.report.summary import print_table
from ttc_client.report.terminal import print_json
from ttc_client.settings.table_file import write_table


def fit_table(paths: Sequence[Path], out: Path, *, json: bool) -> None:
    """Write the table with the model's bins, and print the choices and what they gain."""
    runs = [read_run(path) for path in paths]
    evidence = read_evidence(runs, read_curves(runs))
    tables = {judge: fit(evidence, judge, evidence.problems) for judge in JUDGES}
    found = validate(evidence)
    write_table(tables["model"], out)
    if json:
        choices = {judge: table.budgets for judge, table in tables.items()}
        content = {"choices": choices, "validation": found}
        print_json(content)
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    for judge, table in tables.items():
        console.print(f"Choices by {judge} bin, 1 the easiest, with the accuracy they had (%)")
        print_table(choices_table(table), console)
        console.print()
    console.print("Accuracy (%) on problems that the table was not fitted on")
    print_table(validation_table(found), console)
