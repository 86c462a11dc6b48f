"""Print an examination: per server a table of what is right and wrong, each with its fix."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc_client.doctor.findings import Check, Examination, Status
from ttc_client.report.terminal import clean

_STYLES: dict[Status, str] = {"ok": "green", "warn": "yellow", "fail": "bold red", "skip": "dim"}
_TITLES = {"policy": "Policy", "prm": "PRM", "pair": "Policy and PRM"}


def print_examination(found: Examination, console: Console) -> None:
    """Print a table per server, and the verdict."""
    for server in found.servers:
        console.print(Text(f"{_TITLES[server.role]} {clean(server.url)}".strip(), style="bold"))
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for check in server.checks:
            status = Text(check.status, style=_STYLES[check.status])
            table.add_row(status, check.name, _seen(check))
        console.print(table, "")
    console.print(_verdict(found))


def _seen(check: Check) -> Text:
    seen = Text(clean(check.seen), style="dim" if check.status == "skip" else "")
    return seen + Text(f"\nfix: {clean(check.fix)}", style="cyan") if check.fix else seen


def _verdict(found: Examination) -> Text:
    statuses = [check.status for server in found.servers for check in server.checks]
    fails, warnings = statuses.count("fail"), statuses.count("warn")
    if fails:
        return Text(f"Not ready: {fails} of these would ruin a run.", style="bold red")
    if warnings:
        return Text(
            f"Ready, with {warnings} warnings." if warnings > 1 else "Ready, with 1 warning."
        )
    return Text("Ready.", style="bold green")
