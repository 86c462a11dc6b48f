"""The locks name every file by its hash, nothing goes around them, and secrets are apart."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-report.lock", "requirements-dev.lock"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(lock: str) -> dict[str, str]:
    """Return the entries of a lock by name, those of other platforms joined."""
    text = "\n".join(
        line for line in (ROOT / lock).read_text().splitlines() if not line.startswith("#")
    )
    found: dict[str, str] = {}
    for entry in re.split(r"\n(?=\S)", text.replace("\\\n", " ").strip()):
        name = re.match(r"[\w.-]+", entry)
        assert name, entry
        found[name[0]] = found.get(name[0], "") + entry
    return found


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", requirement) for requirement in requirements)
    return {match[0].lower() for match in found if match}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_is_pinned_and_has_hashes_and_no_place_but_pypi(lock):
    for entry in pins(lock).values():
        assert re.match(r"[\w.-]+==[\w.!+]+", entry), entry
        assert "--hash=sha256:" in entry, entry
        assert "://" not in entry, entry
    assert not re.search(r"^-", (ROOT / lock).read_text(), re.MULTILINE)


def test_the_locks_hold_all_that_is_asked_for_and_what_builds_it():
    extras = PROJECT["project"]["optional-dependencies"]
    core = names([*PROJECT["project"]["dependencies"], *PROJECT["build-system"]["requires"]])
    report = core | names(extras["report"])
    every = report.union(*(names(extras[name]) for name in ("dev", "datasets", "math-verify")))
    assert core <= set(pins("requirements.lock"))
    assert report <= set(pins("requirements-report.lock"))
    assert every <= set(pins("requirements-dev.lock"))


def test_the_locks_agree():
    smaller, report, dev = map(pins, LOCKS)
    for name, entry in [*smaller.items(), *report.items()]:
        version = re.match(r"[\w.-]+==\S+", entry)
        assert version
        assert dev[name].startswith(version[0]), name


def test_nothing_is_installed_but_by_a_lock():
    for path in ("scripts/install", "servers/deploy/compose.yaml"):
        text = (ROOT / path).read_text().replace("\\\n", " ")
        for command in re.findall(r"pip install .*", text):
            assert "--require-hashes" in command or "--no-deps --no-build-isolation" in command


def test_each_role_has_a_secret_of_its_own():
    found: dict[str, str] = {}
    for path in (ROOT / "servers/deploy/kubernetes").glob("*.yaml"):
        for name in re.findall(r"secretRef: \{name: ([\w-]+)\}", path.read_text()):
            assert name not in found, "two roles share a secret"
            found[name] = path.stem
        list(yaml.safe_load_all(path.read_text()))
    assert found == {"ttc-policy": "policy", "ttc-prm": "prm", "ttc-client": "client"}
