"""`ttc up`: the demo servers in the foreground."""

import asyncio

from ttc_client.settings.endpoints import demo_servers


def run_servers(policy_port: int, prm_port: int) -> None:
    """Run the demo servers until interrupted, and print their URLs to stdout."""
    asyncio.run(_run(policy_port, prm_port))


async def _run(policy_port: int, prm_port: int) -> None:
    async with demo_servers(policy_port=policy_port, prm_port=prm_port) as (policy, prm):
        print(f"policy {policy}\nprm    {prm}", flush=True)
        print_hint = f"ttc solve --policy {policy} --prm {prm} 'What is $17 + 25$?'"
        print(f"\n{print_hint}\n\nCtrl-C stops them.", flush=True)
        await asyncio.Event().wait()
