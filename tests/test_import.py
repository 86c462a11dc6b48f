"""What `import ttc_client` and the command line do not import, because it takes long."""

import subprocess
import sys

import pytest

SLOW = {"sympy", "openai", "matplotlib", "numpy", "aiohttp", "rich", "tokenizers", "torch"}


@pytest.mark.parametrize(
    ("module", "slow"),
    [("ttc_client", SLOW | {"typer"}), ("ttc_client.cli.app", SLOW - {"rich"})],
)
def test_it_imports_nothing_slow(module, slow):
    command = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not slow & {name.split(".")[0] for name in done.stdout.split()}
