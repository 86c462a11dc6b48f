"""Imports only point down: the rooms of the package are ordered, and none imports from above."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import ttc_client

PACKAGE = Path(ttc_client.__file__).parent

ROOMS = (
    ("types", "usage", "notebook", "errors", "together", "deadlines", "files", "thoughts"),
    ("answers", "sandbox"),
    ("search",),
    ("tasks",),
    ("sal",),
    ("clients",),
    ("middleware",),
    ("settings",),
    ("doctor",),
    ("runtime", "testing"),
    ("bench",),
    ("analysis",),
    ("report",),
    ("gateway",),
    ("cli",),
)
"""From the ground up; rooms on one floor may import from each other."""
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}

MODULES = [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def room(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """Return the modules of this package that a module imports, also lazily, without its name."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            first, _, rest = node.module.partition(".")
            if first == "ttc_client":
                names |= {rest} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".", 1)[1] for a in node.names if "ttc_client." in a.name}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_from_its_own_floor_or_below(path):
    above = {name for name in imported(path) if FLOOR[name.split(".")[0]] > FLOOR[room(path)]}
    assert not above


def test_no_imports_go_in_a_circle():
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in MODULES}
    TopologicalSorter({name: imported(path) for name, path in names.items()}).prepare()


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_is_longer_than_can_be_read_at_once(path):
    assert len(path.read_text().splitlines()) <= 300


@pytest.mark.parametrize("name", ["search", "sal"])
def test_the_search_itself_knows_nothing_of_http_files_or_the_screen(name):
    foreign = {"aiohttp", "openai", "rich", "typer", "pathlib", "msgspec", "socket"}
    for path in [p for p in MODULES if room(p) == name]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", None) or node.names[0].name
                assert module.split(".")[0] not in foreign, path


def test_there_is_one_http_stack_and_the_sdk_in_one_place():
    foreign = {"aiohttp", "httpx", "requests", "urllib3", "httpx2", "openai"}
    users = {
        (str(path.relative_to(PACKAGE)), name)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [(getattr(node, "module", None) or node.names[0].name).split(".")[0]]
        if name in foreign
    }
    gateway = ("app", "around", "connections", "pages", "server", "streams")
    assert users == {
        ("clients/openai.py", "openai"),
        ("clients/openai_sdk.py", "openai"),
        ("clients/openai_sdk.py", "httpx2"),
        *((f"gateway/{name}.py", "aiohttp") for name in gateway),
    }


def test_the_servers_import_only_the_wire_schema_the_prompts_and_the_types():
    servers = PACKAGE.parent / "servers" / "ttc_servers"
    allowed = {"clients", "clients.wire", "clients.prompts", "search.steps", "tasks.prompts"}
    allowed |= {"types"}
    for path in (servers if servers.is_dir() else PACKAGE.parent / "ttc_servers").rglob("*.py"):
        assert imported(path) <= allowed, path
