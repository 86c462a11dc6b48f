"""`ttc config`: the effective settings and their origins."""

from dataclasses import fields
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ttc_client.report.terminal import print_json
from ttc_client.settings.config import SECRETS, Settings


def show_settings(settings: Settings, *, json: bool) -> None:
    """Print each setting, its value and its origin; API keys are masked."""
    values: dict[str, Any] = {
        f.name: getattr(settings.config, f.name) for f in fields(settings.config)
    }
    for name in SECRETS:
        values[name] = "(set)" if values[name] else None
    if json:
        rows = {
            name: {"value": value, "origin": settings.origins[name]}
            for name, value in values.items()
        }
        print_json(rows)
        return
    table = Table("setting", "value", "from", box=None, header_style="bold")
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if name in ("policy", "prm") else str(value)
        first, *more = shown.splitlines() or [""]
        origin = settings.origins[name]
        style = "dim" if origin == "default" else ""
        table.add_row(name, Text(first + (" …" if more else "")), origin, style=style)
    Console().print(table)
