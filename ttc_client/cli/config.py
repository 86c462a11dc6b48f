"""`ttc config`: the effective settings and their origins."""

import os
from typing import Any

from ttc_client.cli.options import ConfigFile, Json


def config(settings: dict[str, Any], config: ConfigFile = None, json: Json = False) -> None:
    """Show the effective settings, and where each comes from.

    Flags come first, then environment variables such as TTC_STRATEGY, then the TOML file, then
    the defaults. API keys are read from TTC_POLICY_API_KEY and TTC_PRM_API_KEY.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ttc_client.report.terminal import print_json
    from ttc_client.settings.config import load_settings
    from ttc_client.settings.servers import SECRETS

    found = load_settings(settings, os.environ, config)
    found.params  # noqa: B018 - raises for what no search can run with
    values = {**found.values, **{name: "(set)" for name in SECRETS if found.values[name]}}
    if json:
        rows = {name: {"value": v, "origin": found.origins[name]} for name, v in values.items()}
        print_json(rows)
        return
    table = Table("setting", "value", "from", box=None, header_style="bold")
    for name, value in values.items():
        shown = ", ".join(map(str, value)) if name in ("policy", "prm") else str(value)
        first, *more = shown.splitlines() or [""]
        origin = found.origins[name]
        style = "dim" if origin == "default" else ""
        table.add_row(name, Text(first + (" …" if more else "")), origin, style=style)
    Console().print(table)
