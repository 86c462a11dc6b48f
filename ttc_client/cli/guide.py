"""`ttc guide`: the pages of the guide, in the terminal."""

from importlib.resources import files
from typing import Annotated

import typer

from ttc_client.errors import ConfigError, did_you_mean


def guide(
    topic: Annotated[
        str | None, typer.Argument(help="A page; without one, they are listed.")
    ] = None,
) -> None:
    """Read a page of the guide, such as servers or strategies; without one, list them."""
    from rich.console import Console
    from rich.markdown import Markdown

    pages = {
        page.name.removesuffix(".md"): page.read_text(encoding="utf-8")
        for page in sorted(files("ttc_client.guide").iterdir(), key=lambda page: page.name)
        if page.name.endswith(".md")
    }
    console = Console()
    if topic is None:
        for name, text in pages.items():
            console.print(f"[bold]{name:<14}[/bold] {text.splitlines()[0].lstrip('# ')}")
        console.print("\nttc guide TOPIC shows one.")
        return
    if topic not in pages:
        hint = did_you_mean(topic, pages)
        raise ConfigError(f"topic is {topic!r}: it must be one of {', '.join(pages)}{hint}")
    if console.is_terminal:
        console.print(Markdown(pages[topic]))
    else:  # as it stands: brackets are no markup, and code is not wrapped
        console.print(pages[topic], markup=False, highlight=False, soft_wrap=True)
