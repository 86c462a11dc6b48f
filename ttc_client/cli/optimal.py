"""`ttc optimal fit`: from run directories to the table of compute-optimal scaling."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ttc_client.cli.options import Json, out_path


def fit(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of ttc bench.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", parser=out_path, metavar="PATH", help="The file to write the table to."
        ),
    ],
    json: Json = False,
) -> None:
    """Choose the best strategy and M for each budget N and bin of difficulty.

    The runs hold best-of-n samples and other strategies, of the same models and problems; they may
    differ in M. Prints what is chosen, by bins of the oracle and of the model, and what it gains
    on problems that a table was not fitted on. The table written has the model's bins, which need
    no answer: ttc solve and ttc bench use it with -s compute-optimal --table FILE.

    [bold]Example[/bold]

      ttc optimal fit runs/llama-1b --out table.json
    """
    from rich.console import Console

    from ttc_client.analysis.curves import read_curves
    from ttc_client.analysis.optimal import JUDGES, fit, read_evidence, validate
    from ttc_client.bench.runs import read_run
    from ttc_client.report.optimal import choices_table, validation_table
    from ttc_client.report.summary import print_table
    from ttc_client.report.terminal import print_json
    from ttc_client.settings.table_file import write_table

    found = [read_run(path) for path in runs]
    evidence = read_evidence(found, read_curves(found))
    tables = {judge: fit(evidence, judge, evidence.problems) for judge in JUDGES}
    validation = validate(evidence)
    write_table(tables["model"], out)
    per_bin = len(evidence.problems) // len(tables["model"].budgets[0].choices)
    if per_bin < _FEW_PER_BIN:
        print(
            f"ttc: {per_bin} problems a bin are few: the choices may be chance; fit on "
            f"{_FEW_PER_BIN} a bin or more",
            file=sys.stderr,
        )
    if json:
        choices = {judge: table.budgets for judge, table in tables.items()}
        print_json({"choices": choices, "validation": validation})
        return
    console = Console(width=None if sys.stdout.isatty() else 160)
    for judge, table in tables.items():
        console.print(f"Choices by {judge} bin, 1 the easiest, with the accuracy they had (%)")
        print_table(choices_table(table), console)
        console.print()
    console.print("Accuracy (%) on problems that the table was not fitted on")
    print_table(validation_table(validation), console)


_FEW_PER_BIN = 20
