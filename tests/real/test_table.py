"""The guide's table of servers names the versions that are installed, and tests that exist."""

from itertools import chain
from pathlib import Path

from tests.real.conftest import ROOT
from ttc_client import guide


def test_the_table_says_what_is_installed_and_tested() -> None:
    text = (Path(guide.__file__).parent / "servers.md").read_text()
    table = text.split("## Servers and set-ups that were run")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 6
    tests = {row.rsplit("`", 2)[1] for row in rows}
    assert all((ROOT / test).exists() for test in tests)
    names = ("install_servers", "install_vllm_cpu")
    lines = [(ROOT / "scripts" / name).read_text().splitlines() for name in names]
    found = [line.split("=", 1) for line in chain(*lines) if line[:1].isupper() and "=" in line]
    pinned = {name: said.split(" ")[0] for name, said in found}
    for name in ("XLLAMACPP", "LITELLM", "SGLANG_ROUTER", "VLLM"):
        assert pinned[name] in table
