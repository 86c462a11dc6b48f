"""The built wheel: all that a search needs is in it, and it runs without the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOLVE = """
import sys, ttc_client
from ttc_client.cli import main
print(ttc_client.__file__, file=sys.stderr)
main()
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and unpack it, as an installer does."""
    built, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    build = "from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", f"import sys; {build}", str(built)], cwd=ROOT, check=True)
    (wheel,) = built.glob("ttc_client-*.whl")
    assert wheel.stat().st_size < 20e6
    zipfile.ZipFile(wheel).extractall(site)
    return site


def test_it_carries_types_guide_models_and_nothing_else(unpacked):
    assert (unpacked / "ttc_client" / "py.typed").exists()
    guide = {page.name for page in (ROOT / "ttc_client" / "guide").glob("*.md")}
    assert guide == {page.name for page in (unpacked / "ttc_client" / "guide").glob("*.md")}
    for model in ("policy", "prm"):
        folder = unpacked / "ttc_servers" / "models" / model
        assert {"model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    packages = {entry.name for entry in unpacked.iterdir()}
    assert {name for name in packages if not name.endswith(".dist-info")} == {
        "ttc_client",
        "ttc_servers",
    }


def test_it_searches_without_the_checkout(unpacked, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SOLVE, "solve", "-n", "8", "--json", "-q", "Compute $2 + 3$."],
        env={**os.environ, "PYTHONPATH": str(unpacked)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["candidates"]
    assert done.stderr.splitlines()[0] == str(unpacked / "ttc_client" / "__init__.py")
