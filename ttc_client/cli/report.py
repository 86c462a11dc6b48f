"""`ttc report`: from run directories to figures, tables and a page."""

import sys
from math import nan
from pathlib import Path
from typing import Annotated

import typer

from ttc_client.cli.options import out_path
from ttc_client.errors import ConfigError


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Directories of ttc bench, also of shards, or of a ttc solve --out."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", parser=out_path, metavar="PATH", help="The directory of the report."),
    ],
    baseline: Annotated[
        list[str] | None,
        typer.Option(help="A line to compare with, such as 'Llama 70B=65.0', in per cent."),
    ] = None,
    policy_params: Annotated[
        float | None, typer.Option(help="Parameters of the policy, such as 1.2e9, for costs.")
    ] = None,
    prm_params: Annotated[
        float | None, typer.Option(help="Parameters of the PRM, for costs.")
    ] = None,
) -> None:
    """Draw what runs found: figures, tables, and a page to browse the problems in.

    Needs no server. Figures need an extra: pip install '.\\[report]' in the checkout.

    [bold]Example[/bold]

      ttc report runs/demo --out report --baseline "Llama 3.1 8B=49.8"
    """
    from ttc_client.bench.merge import read_runs, said_of_shards
    from ttc_client.report.solved import is_search, write_search
    from ttc_client.report.tables import ModelSizes
    from ttc_client.report.terminal import clean
    from ttc_client.report.write import write_report

    searches = [path for path in runs if is_search(path)]
    if searches and len(runs) > 1:
        raise ConfigError(
            f"{searches[0]} holds a single search of ttc solve: report it alone, or name runs of "
            "ttc bench alone"
        )
    if searches:
        print(write_search(searches[0], out))
        return
    sizes = ModelSizes(policy_params, prm_params)
    found = read_runs(runs)
    for said in said_of_shards(found):
        print(f"ttc: {clean(said)}", file=sys.stderr)
    print(write_report(found, out, _baselines(baseline), sizes))


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
