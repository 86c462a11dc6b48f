"""`ttc up`: the demo servers in the foreground."""

import asyncio
from typing import Annotated

import typer

EXAMPLE = "Compute $17 + 25$."


def up(
    policy_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the policy; 0 takes a free one.")
    ] = 8000,
    prm_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the PRM; 0 takes a free one.")
    ] = 8001,
) -> None:
    """Run the demo servers in the foreground, until Ctrl-C.

    They speak vLLM's protocol, so that anything that works against them works against vLLM.
    """
    asyncio.run(_run(policy_port, prm_port))


async def _run(policy_port: int, prm_port: int) -> None:
    from ttc_client.settings.endpoints import demo_servers

    async with demo_servers(policy_port=policy_port, prm_port=prm_port) as (policy, prm):
        print(f"policy {policy}\nprm    {prm}", flush=True)
        print(f"\nttc solve --policy {policy} --prm {prm} '{EXAMPLE}'", flush=True)
        print("\nTiny demo models, often wrong. Ctrl-C stops them.", flush=True)
        await asyncio.Event().wait()
