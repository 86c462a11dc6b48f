"""`ttc doctor`: what is right and wrong with the servers."""

import asyncio

from rich.console import Console

from ttc_client.doctor.examine import examine
from ttc_client.report.doctor import print_examination
from ttc_client.report.terminal import print_json
from ttc_client.settings.config import SearchConfig


def examine_servers(config: SearchConfig, *, json: bool) -> bool:
    """Print what was found to stdout; return whether a search can run."""
    found = asyncio.run(examine(config))
    if json:
        print_json(found)
    else:
        print_examination(found, Console())
    return found.ok
