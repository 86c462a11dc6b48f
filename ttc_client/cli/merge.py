"""`ttc merge`: from the shards of a run to the run."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from ttc_client.cli.options import out_path


def merge(
    shards: Annotated[
        list[Path],
        typer.Argument(help="The directories of all shards, or the one that holds them."),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", parser=out_path, metavar="PATH", help="The directory of the run."),
    ],
) -> None:
    """Join the shards of a run of ttc bench into the run that one process would have written.

    Report, export and --resume take it as any other. Searches that are missing or failed remain
    so: ttc bench --resume, without --shard, runs them.

    [bold]Example[/bold]

      ttc merge runs/shards --out runs/whole
    """
    from ttc_client.bench.merge import cells_of, merge, unfinished

    run = merge(shards, out)
    if left := unfinished(run, cells_of([run])):
        print(
            f"ttc: {left} searches are not finished: the command of the shards, with --out {out} "
            "--resume and without --shard, runs them",
            file=sys.stderr,
        )
    print(out)
