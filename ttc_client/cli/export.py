"""`ttc export`: from a run directory, or one of labels, to JSON lines."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ttc_client.errors import ConfigError

if TYPE_CHECKING:
    from ttc_client.bench.export import Choice
    from ttc_client.runtime.records import Record


def export(
    run: Annotated[Path, typer.Argument(help="A directory of ttc bench, or of ttc label.")],
    format: Annotated[str, typer.Option(help="sal, sft, dpo or prm.")],  # noqa: A002
    strategy: Annotated[
        str | None, typer.Option("--strategy", "-s", help="Only this strategy's searches.")
    ] = None,
    n: Annotated[int | None, typer.Option("-n", help="Only searches of this N.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only searches with this seed.")] = None,
    pick: Annotated[
        str,
        typer.Option(help="Right solutions of a problem: all, best, shortest or diverse:K."),
    ] = "all",
    min_reward: Annotated[
        float | None, typer.Option(help="Only right solutions with this reward or more.")
    ] = None,
    decontaminate: Annotated[
        str | None,
        typer.Option(
            metavar="DATASET", help="Leave out problems that share 13 words in a row with this set."
        ),
    ] = None,
    at_step: Annotated[
        bool, typer.Option("--at-step", help="dpo: pairs of the two steps where solutions part.")
    ] = False,
    threshold: Annotated[
        float, typer.Option(help="prm, of labels: a step is good if its value is above this.")
    ] = 0.0,
) -> None:
    """Print what a run sampled, or the labels of its steps, as JSON lines.

    sal: as the published toolkit, search-and-learn, writes its results. sft: right solutions as
    chat messages, the best first. dpo: pairs of a right and a wrong solution. prm: of labels, TRL's
    stepwise layout; of a run, steps with scores, and whether the answer is right.

    [bold]Examples[/bold]

      ttc export runs/demo --format sft --decontaminate demomath > train.jsonl

      ttc export labels --format prm > steps.jsonl

      ttc export runs/demo --format sal | ttc import --out runs/again
    """
    import msgspec

    from ttc_client.bench.contamination import TestSet
    from ttc_client.bench.export import Choice, Format, export
    from ttc_client.bench.picking import Pick
    from ttc_client.bench.runs import read_run
    from ttc_client.bench.stepwise import is_labels
    from ttc_client.report.terminal import print_json
    from ttc_client.search.params import check_choice
    from ttc_client.search.strategies import find_strategy

    check_choice("format", format, Format)
    if strategy is not None:
        find_strategy(strategy)
    test_set = TestSet.read(decontaminate) if decontaminate else None
    choice = Choice(Pick.read(pick), min_reward, test_set, at_step)

    def wanted(record: "Record") -> bool:
        asked = ((strategy, record.strategy), (n, record.n), (seed, record.seed))
        return all(value in (None, own) for value, own in asked)

    if is_labels(run):
        rows = _labels(run, format, threshold, choice)
    else:
        rows = export(read_run(run), msgspec.convert(format, Format), wanted, choice)
    for row in rows:
        print_json(row)
    for reason, count in choice.left_out.items():
        if count:
            print(f"ttc: left out: {count} {reason}", file=sys.stderr)


def _labels(
    path: Path, kind: str, threshold: float, choice: "Choice"
) -> "Iterator[dict[str, Any]]":
    from ttc_client.bench.stepwise import ADVICE, export_labels

    if kind != "prm":
        raise ConfigError(f"format is {kind!r}, but {path} holds labels: use prm")
    print(f"ttc: {ADVICE}", file=sys.stderr)
    takes: Callable[[Any], bool] = choice.takes
    return export_labels(path, threshold, takes, choice.left_out)
