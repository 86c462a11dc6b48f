"""Imports point down: the modules form levels, and none imports from one above its own."""

import ast
from pathlib import Path

import pytest

import ttc_client

PACKAGE = Path(ttc_client.__file__).parent

LEVELS = {
    0: {"types", "errors", "together"},
    1: {
        "ports",
        "params",
        "optimal",
        "rewards",
        "answers",
        "voting",
        "metrics",
        "grading",
        "prompts",
        "wire",
    },
    2: {"strategies", "clients", "meter", "middleware", "results", "sal", "modes"},
    3: {"config", "store", "table_file"},
    4: {"servers"},
    5: {"doctor"},
    6: {"compose"},
    7: {"runner", "bench", "analysis"},
    8: {"report", "progress"},
    9: {"cli"},
}
LEVEL_OF = {name: level for level, names in LEVELS.items() for name in names}

MODULES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def top_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Names of the top-level modules of this package that a module imports, also lazily."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            if parts[0] == "ttc_client":
                names |= {parts[1]} if parts[1:] else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("ttc_client.")}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_its_own_level_or_below(path):
    level = LEVEL_OF[top_name(path)]
    above = {name for name in imported(path) if LEVEL_OF.get(name, 0) > level}
    assert not above


@pytest.mark.parametrize(
    "name", ["strategies", "sal", "voting", "rewards", "results", "params", "ports"]
)
def test_the_search_itself_knows_nothing_of_http_files_or_the_screen(name):
    foreign = {"aiohttp", "openai", "rich", "typer", "pathlib", "msgspec", "socket"}
    for path in [p for p in MODULES if top_name(p) == name]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] not in foreign


def test_the_servers_import_only_the_protocol_the_prompts_and_the_types():
    servers = PACKAGE.parent / "servers" / "ttc_servers"
    allowed = {"wire", "prompts", "types"}
    for path in (servers if servers.is_dir() else PACKAGE.parent / "ttc_servers").rglob("*.py"):
        assert imported(path) <= allowed, path
