"""A result in a real Jupyter kernel: a short text, and votes and tree as HTML."""

from jupyter_client.manager import start_new_kernel

CODE = """
from ttc_client import SearchParams, Servers, solve

servers = Servers(policy="{policy}", prm="{prm}")
await solve("Compute $17 + 25$.", SearchParams(n=8), servers)
"""


def test_a_kernel_shows_votes_and_tree(demo_servers):
    manager, client = start_new_kernel()
    try:
        shown: dict[str, str] = {}

        def hook(message):
            if message["msg_type"] in ("execute_result", "error"):
                shown.update(message["content"].get("data", message["content"]))

        code = CODE.format(policy=demo_servers.policy, prm=demo_servers.prm)
        client.execute_interactive(code, timeout=100, output_hook=hook)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert shown["text/plain"].startswith("<SearchResult '42' by dvts at N=8 (weighted vote")
    html = shown["text/html"]
    assert "<td>42</td>" in html
    assert "<summary>search tree</summary><ul><li" in html
    assert "17 + 25 = 42" in html
