"""`ttc export`: from a run directory to JSON lines."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ttc_client.runtime.records import Record


def export(
    run: Annotated[Path, typer.Argument(help="A run directory of ttc bench.")],
    format: Annotated[str, typer.Option(help="sal, sft or prm.")],  # noqa: A002
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Only this strategy's searches.")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Only searches of this N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only searches with this seed.")] = None,
) -> None:
    """Print what a run sampled as JSON lines.

    sal: as the published toolkit, search-and-learn, writes its results. sft: right solutions as
    chat messages, the best first. prm: solutions as steps with scores, and whether they are right.

    [bold]Examples[/bold]

      ttc export runs/demo --format sft > train.jsonl

      ttc export runs/demo --format sal | ttc import --out runs/again
    """
    import msgspec

    from ttc_client.bench.export import Format, export
    from ttc_client.bench.runs import read_run
    from ttc_client.report.terminal import print_json
    from ttc_client.search.params import check_choice
    from ttc_client.search.strategies import find_strategy

    check_choice("format", format, Format)
    if strategy is not None:
        find_strategy(strategy)

    def wanted(record: "Record") -> bool:
        asked = ((strategy, record.strategy), (n, record.n), (seed, record.seed))
        return all(value in (None, own) for value, own in asked)

    for row in export(read_run(run), msgspec.convert(format, Format), wanted):
        print_json(row)
