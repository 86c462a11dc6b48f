"""`ttc serve`: the OpenAI-compatible server whose answers are searched for."""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ttc_client.cli.options import ConfigFile, out_path

if TYPE_CHECKING:
    from ttc_client.gateway.app import Gateway


def serve(
    settings: dict[str, Any],
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=STRATEGY:N",
            help="A way to search that callers choose as MODEL:NAME; settings follow, as in "
            "hard=dvts:64,task=math. Repeat it. Default: fast=best-of-n:8 and hard=dvts:64.",
        ),
    ] = None,
    profiles: Annotated[
        Path | None,
        typer.Option(help="A TOML file of profiles, read again on SIGHUP."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8100,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="File of API keys, a line each: NAME KEY, then the limits searches=N, tokens=N "
            "(a minute); or put the lines into TTC_SERVE_KEYS. Read again on SIGHUP."
        ),
    ] = None,
    cors_origin: Annotated[
        list[str] | None,
        typer.Option(help="A site whose pages may ask, such as https://app.example; repeat it."),
    ] = None,
    max_searches: Annotated[
        int, typer.Option(min=1, help="Searches at once; the others wait.")
    ] = 64,
    max_queue: Annotated[
        int, typer.Option(min=0, help="Searches that wait; more are answered 429.")
    ] = 256,
    deadline: Annotated[
        float | None,
        typer.Option(min=0.01, help="Seconds after which a search ends with its best so far."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=out_path,
            metavar="PATH",
            help="Keep the page's searches in this directory, each with a permanent link; without "
            "it, the last ones are kept in memory.",
        ),
    ] = None,
    keep_alive: Annotated[
        Literal["comment", "chunk", "off"],
        typer.Option(help="What is sent every ten seconds while a stream waits for its search."),
    ] = "comment",
    access_log: Annotated[
        bool, typer.Option("--access-log/--no-access-log", help="Log requests to stderr, as JSON.")
    ] = True,
    config: ConfigFile = None,
) -> None:
    """Serve an OpenAI-compatible API whose answers are searched for.

    Every profile is a model to callers: MODEL:fast searches as the profile says, MODEL alone
    passes requests on to the policy. A page at / shows searches while they run. Without --policy,
    the demo servers answer.

    [bold]Example[/bold]

      ttc serve --policy URL --prm URL --profile hard=dvts:64,task=math
    """
    from ttc_client.gateway.around import log_to_stderr
    from ttc_client.gateway.server import Serving, serve
    from ttc_client.settings.config import KEYS_VARIABLE, load_settings

    serving = Serving(
        host=host,
        port=port,
        profiles=tuple(profile or ()),
        profiles_file=profiles,
        keys=keys,
        keys_variable=os.environ.get(KEYS_VARIABLE, ""),
        origins=tuple(cors_origin or ()),
        max_searches=max_searches,
        max_queue=max_queue,
        deadline_s=deadline,
        out=out,
        keep_alive=keep_alive,
    )
    log_to_stderr(access=access_log)
    asyncio.run(serve(serving, load_settings(settings, os.environ, config), _say))


def _say(url: str, gateway: "Gateway") -> None:
    """Print where it is, and under which names it searches."""
    model = gateway.searches.model
    served = {model: "passed on to the policy"}
    for profile in gateway.searches.profiles.values():
        params = profile.params
        task = f", {profile.task.name}" if profile.task else ""
        served[f"{model}:{profile.name}"] = f"{params.strategy} at N={params.n}{task}"
    width = max(map(len, served))
    print(f"{url}/v1", flush=True)
    for name, about in served.items():
        print(f"  {name:<{width}}   {about}")
    print(f"\nThe page is {url}/", flush=True)
