"""`ttc doctor`: what is right and wrong with the servers."""

import asyncio
import os
from typing import Any

import typer

from ttc_client.cli import EXIT_FAILED
from ttc_client.cli.options import ConfigFile, Json


def doctor(settings: dict[str, Any], config: ConfigFile = None, json: Json = False) -> None:
    """Examine the servers, and say what is wrong and how to fix it.

    Takes some seconds, and the flags of ttc solve. Without --policy and --prm, the demo servers
    are examined. Exits with 1 if something would ruin a run.

    [bold]Example[/bold]

      ttc doctor --policy http://gpu1:8000 --prm http://gpu2:8001
    """
    from rich.console import Console

    from ttc_client.doctor.examine import examine
    from ttc_client.report.doctor import print_examination
    from ttc_client.report.terminal import print_json
    from ttc_client.settings.config import load_settings

    found = load_settings(settings, os.environ, config)
    examination = asyncio.run(examine(found.servers, found.cell()[1]))
    if json:
        print_json(examination)
    else:
        print_examination(examination, Console())
    if not examination.ok:
        raise typer.Exit(EXIT_FAILED)
