"""The commands that read run directories, and need no server: their flags and their help."""

from math import nan
from pathlib import Path
from typing import Annotated

import typer

from ttc_client.errors import ConfigError


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of ttc bench.")],
    out: Annotated[Path, typer.Option("--out", help="The directory of the report.")],
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="A line to compare with, such as 'Llama 70B=65.0', in per cent."),
    ] = None,
    policy_params: Annotated[
        float | None, typer.Option(help="Parameters of the policy, such as 1.2e9, for FLOPs.")
    ] = None,
    prm_params: Annotated[
        float | None, typer.Option(help="Parameters of the PRM, for FLOPs.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Draw what runs found: figures, tables, and a page to browse the problems in.

    Needs no server. Figures need an extra: pip install 'ttc-client\\[report]'.

    [bold]Example[/bold]

      ttc report runs/demo --out report --baseline "Llama 3.1 8B=49.8"
    """
    from ttc_client.cli.report import report_runs
    from ttc_client.report.tables import ModelSizes

    report_runs(runs, out, _baselines(baseline), ModelSizes(policy_params, prm_params))


def export(
    run: Annotated[Path, typer.Argument(help="A run directory of ttc bench.")],
    format: Annotated[str, typer.Option(help="sal, sft or prm.")],  # noqa: A002
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Only this strategy's searches.")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Only searches of this N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only searches with this seed.")] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Print what a run sampled as JSON lines.

    sal: as the published toolkit, search-and-learn, writes its results. sft: right solutions as
    chat messages, the best first. prm: solutions as steps with scores, and whether they are right.

    [bold]Example[/bold]

      ttc export runs/demo --format sft > train.jsonl
    """
    from ttc_client.cli.export import export_run

    export_run(run, format, strategy=strategy, n=n, seed=seed)


def fit(
    runs: Annotated[list[Path], typer.Argument(help="Run directories of ttc bench.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write the table to.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Choose the best strategy and M for each budget N and bin of difficulty.

    The runs hold best-of-n samples and other strategies, of the same models and problems; they may
    differ in M. Prints what is chosen, by bins of the oracle and of the model, and what it gains
    on problems that a table was not fitted on. The table written has the model's bins, which need
    no answer: ttc solve and ttc bench use it with -s compute-optimal --table FILE.

    [bold]Example[/bold]

      ttc optimal fit runs/llama-1b --out table.json
    """
    from ttc_client.cli.optimal import fit_table

    fit_table(runs, out, json=json)


def import_(
    files: Annotated[
        list[Path], typer.Argument(help="Files in JSON lines (.jsonl, .jsonl.gz) or .parquet.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The directory of the run.")],
    strategy: Annotated[
        str | None,
        typer.Option(
            "--strategy", "-s", help="What sampled them. (default: as the file's path says)"
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Their seed. (default: as the file's path says, seed-0, else 0)"),
    ] = None,
    n: Annotated[
        str | None,
        typer.Option(
            "-n",
            help="Budgets N, with commas: the first N completions of each row. "
            "(default: all of them)",
        ),
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option(help="sal extracts answers and votes as the toolkit does, too."),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the accuracies as a JSON list.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show stack traces.")] = False,
) -> None:
    """Grade what the published toolkit, search-and-learn, sampled, and make a run of it.

    Reads its results and its datasets on the Hugging Face Hub, and what ttc export --format sal
    prints. Needs no server. Damaged rows are named and left out; then it exits with 1.

    [bold]Examples[/bold]

      ttc import best_of_n_completions.jsonl --out runs/theirs

      ttc import train.parquet -s dvts --seed 0 -n 4,16,64,256 --compat sal --out runs/theirs
    """
    from ttc_client.cli.imports import import_files

    import_files(
        files,
        out=out,
        strategy=strategy,
        seed=seed,
        budgets=_budgets(n),
        compat=compat,
        json=json,
        quiet=quiet,
    )


def _budgets(text: str | None) -> list[int]:
    """Read numbers with commas between them."""
    try:
        budgets = sorted({int(part) for part in text.split(",")}) if text is not None else []
    except ValueError:
        budgets = [0]
    if budgets and budgets[0] < 1:
        raise ConfigError(f"n is {text!r}: write it as numbers from 1 on, such as 4,16")
    return budgets


def _baselines(texts: list[str] | None) -> dict[str, float]:
    """Read accuracies in per cent by name, as shares of 1."""
    found: dict[str, float] = {}
    for text in texts or ():
        name, _, value = text.rpartition("=")
        try:
            found[name] = float(value) / 100
        except ValueError:
            found[name] = nan
        if not name or not 0 <= found[name] <= 1:
            raise ConfigError(f"baseline is {text!r}: write it as NAME=PERCENT")
    return found
