"""The lock names every file by its hash, nothing is installed around it, and secrets are apart."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(upto: str) -> dict[str, str]:
    """Return the entries of the lock by name, before a part, those of other platforms joined."""
    whole = LOCK.read_text().split(f"# With the extra {upto}:")[0]
    text = "\n".join(line for line in whole.splitlines() if line and not line.startswith("#"))
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip()):
        name = re.match(r"[\w.-]+", entry)
        assert name, entry
        found[name[0]] = found.get(name[0], "") + entry
    return found


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0].lower() for match in found if match}


def test_every_entry_is_pinned_and_has_hashes_and_no_place_but_pypi():
    for entry in pins("none").values():
        assert re.match(r"[\w.-]+==[\w.!+]+", entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry
    assert not re.search(r"^-", LOCK.read_text(), re.MULTILINE)


def test_each_part_of_the_lock_holds_all_that_is_asked_for_and_what_builds_it():
    extras = PROJECT["project"]["optional-dependencies"]
    core = names([*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]])
    report, more = names(extras["report"]), names([*extras["dev"], *extras["datasets"]])
    assert core <= set(pins("report"))
    assert core | report <= set(pins("dev"))
    assert core | report | more <= set(pins("none"))


def test_nothing_is_installed_but_by_a_lock():
    for path in ("scripts/install", "servers/deploy/compose.yaml"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        for command in re.findall(r"pip install .*", text):
            assert "--require-hashes" in command or "--no-deps --no-build-isolation" in command


def test_each_role_has_a_secret_of_its_own():
    found: dict[str, set[str]] = {}
    for path in (ROOT / "servers/deploy/kubernetes").glob("*.yaml"):
        for name in re.findall(r"secretRef: \{name: ([\w-]+)\}", path.read_text()):
            found.setdefault(name, set()).add(path.stem)
        list(yaml.safe_load_all(path.read_text()))
    clients = {"client", "bench"}
    assert found == {"ttc-policy": {"policy"}, "ttc-prm": {"prm"}, "ttc-client": clients}
