"""Programs are run and put to tests, and a fault of the sandbox or the tests is never a verdict."""

import sys
from pathlib import Path

import pytest

from ttc_client.errors import ConfigError
from ttc_client.sandbox import jail as jails
from ttc_client.sandbox.jail import Jail, find_jail
from ttc_client.sandbox.process import Limits, SandboxError
from ttc_client.sandbox.sandbox import Sandbox

SQUARE = "def f(x): return x * x"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return Sandbox(find_jail(), Limits(wall_s=20))


async def test_a_program_reads_its_input_and_says_its_output(sandbox):
    ran = await sandbox.run(
        "import sys\nprint(input(), len(sys.stdin.read()))", "é\n" + "x" * 200_000
    )
    assert (ran.output, ran.is_whole) == ("é 200000\n", True)


@pytest.mark.parametrize(
    ("source", "code"), [("1 / 0", 1), ("raise SystemExit(3)", 3), ("def", 1), ("", 0)]
)
async def test_a_program_ends_with_its_exit_code(sandbox, source, code):
    ran = await sandbox.run(source)
    assert (ran.exit_code, ran.is_whole) == (code, code == 0)


async def test_a_program_may_write_without_reading_its_input(sandbox):
    assert (await sandbox.run("print(1)", "x" * 1_000_000)).output == "1\n"


VALUES = """
from collections import Counter, OrderedDict, namedtuple
from decimal import Decimal
from fractions import Fraction
P = namedtuple("P", "x y")
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def __add__(self, other): return 0
def same(x): return x
def kinds(): return [None, True, 2**200, 1.5, float("inf"), "é", b"\\0", 2j, (1, (2,)), {1, 2},
                     frozenset("a"), {"k": [1], (1, 2): 3}, Decimal("0.1"), Fraction(1, 3)]
def tuples(): return P(1, 2), Counter("aa"), OrderedDict(a=1), range
def squares(n): return (i * i for i in range(n))
def widest(pairs): return max(p.b - p.a for p in pairs)
def reverse(items): items.reverse()
def wrong(kind): raise {"v": ValueError, "k": KeyError}[kind]("no")
def twice(f, x): return f(f(x))
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert same({'a': [1, (2, 3)]}) == {'a': [1, (2, 3)]}",
        "assert kinds()[:8] == [None, True, 2**200, 1.5, float('inf'), 'é', b'\\0', 2j]",
        "assert kinds()[8:12] == [(1, (2,)), {1, 2}, frozenset('a'), {'k': [1], (1, 2): 3}]",
        "assert str(kinds()[12]) == '0.1' and kinds()[13] * 3 == 1",
        "assert tuples()[:3] == ((1, 2), {'a': 2}, {'a': 1})",
        "assert list(squares(4)) == [0, 1, 4, 9] and not squares(4) == [0, 1, 4, 9]",
        "assert widest([Pair(1, 2), Pair(2, 5)]) == 3 and Pair(1, 2).a == 1",
        "x = [1, 2, 3]\nassert reverse(x) is None and x == [3, 2, 1]",
        "try:\n    wrong('v')\nexcept ValueError as e:\n    ok = str(e) == 'no'\nassert ok",
        "try:\n    wrong('k')\n    assert False\nexcept KeyError:\n    pass",
        "assert same(x=1) == 1",
    ],
)
async def test_data_and_objects_pass_between_tests_and_program(sandbox, test):
    names = ["same", "kinds", "tuples", "squares", "widest", "reverse", "wrong", "Pair"]
    assert await sandbox.test(VALUES, [test], names) == (True,)


async def test_each_test_has_its_own_verdict_and_the_setup_is_run_before(sandbox):
    tests = ["assert f(two) == 4", "assert f(two) == 5", "assert f('x') == 1", "assert f(3) == 9"]
    passed = await sandbox.test(SQUARE, tests, ["f"], setup="two = 2")
    assert passed == (True, False, False, True)


async def test_what_stands_around_a_definition_does_not_undo_it(sandbox):
    source = f"from __future__ import annotations\n1 / 0\nprint(g(2))\n{SQUARE}\nf(None)\nexit()"
    assert await sandbox.test(source, ["assert f(2) == 4"], ["f"]) == (True,)


@pytest.mark.parametrize(
    ("tests", "setup", "says"),
    [
        ([], "", "there are no tests"),
        (["assert True"], "", "the tests do not call the program"),
        (["assert f(2) == 4"], "1 / 0", "the tests cannot be run: ZeroDivisionError"),
        (["assert f(lambda: 1)"], "", "hands over a function, which is not data"),
        (["f(1)\nimport os\nos._exit(0)"], "", "the tests ended without a verdict"),
    ],
)
async def test_tests_that_cannot_be_run_are_a_fault_of_theirs(sandbox, tests, setup, says):
    with pytest.raises(SandboxError, match=says):
        await sandbox.test(SQUARE, tests, ["f"], setup)


@pytest.mark.parametrize("command", ["/bin/false", "/bin/true", "/nowhere/bwrap"])
async def test_a_dead_sandbox_is_neither_pass_nor_fail(command):
    dead = Sandbox(Jail("bubblewrap", command))
    with pytest.raises(SandboxError, match="the sandbox"):
        await dead.test(SQUARE, ["assert f(2) == 4"], ["f"])
    with pytest.raises(SandboxError, match="the sandbox"):
        await dead.run("print(1)")


async def test_a_sandbox_that_fails_once_is_tried_again(tmp_path, sandbox):
    script = tmp_path / "bwrap"
    script.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 1; }}\n"
        f'exec {sandbox.jail.program} "$@"\n'
    )
    script.chmod(0o755)
    shaky = Sandbox(Jail("bubblewrap", str(script)))
    assert (await shaky.run("print(1)")).output == "1\n"


def test_without_a_sandbox_programs_are_refused_and_only_a_flag_gets_round(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    find_jail.cache_clear()
    try:
        with pytest.raises(ConfigError, match=r"neither bubblewrap nor Docker .* --unsafe-code"):
            find_jail()
        assert find_jail(unsafe=True).kind == "none"
        broken = tmp_path / "bwrap"
        broken.write_text("#!/bin/sh\necho 'no namespaces here' >&2\nexit 1\n")
        broken.chmod(0o755)
        find_jail.cache_clear()
        with pytest.raises(ConfigError, match=r"bwrap does not work \(no namespaces here\)"):
            find_jail()
    finally:
        find_jail.cache_clear()


async def test_a_sandbox_is_used_where_there_is_one_even_if_one_may_do_without():
    assert find_jail(unsafe=True).kind == "bubblewrap"


async def test_unsafe_programs_run_under_limits_all_the_same():
    unsafe = Sandbox(Jail("none"), Limits(wall_s=20, output_bytes=1000))
    assert await unsafe.test(SQUARE, ["assert f(2) == 4"], ["f"]) == (True,)
    assert (await unsafe.run("while True: print('x' * 100)")).ending == "output"


def fake_container(directory: Path) -> Path:
    """Write a program that logs its arguments and runs what follows the image."""
    program = directory / "docker"
    program.write_text(
        f"""#!{sys.executable}
import os, sys
with open({str(directory / "log")!r}, "a") as log:
    print(*(a for a in sys.argv[1:] if len(a) < 100), file=log)
if sys.argv[1] == "run":
    after = sys.argv[sys.argv.index({jails.IMAGE!r}) + 1 :]
    os.execv(sys.executable, [sys.executable, *after[1:]])
"""
    )
    program.chmod(0o755)
    return program


async def test_a_container_is_shut_off_limited_and_removed(monkeypatch, tmp_path):
    fake_container(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    find_jail.cache_clear()
    try:
        jail = find_jail()
    finally:
        find_jail.cache_clear()
    assert jail.kind == "container"
    contained = Sandbox(jail, Limits(processes=9, memory_mb=300))
    assert await contained.test(SQUARE, ["assert f(2) == 4"], ["f"]) == (True,)
    log = (tmp_path / "log").read_text()
    runs = [line for line in log.splitlines() if line.startswith("run ")]
    for option in ("--network none", "--read-only", "--cap-drop ALL", "--pids-limit 9",
                   "--memory 300m", "no-new-privileges", "--user 65534:65534"):  # fmt: skip
        assert all(option in line for line in runs)
    names = {line.split("--name ")[1].split()[0] for line in runs}
    assert len(names) == 2
    assert all(f"rm --force {name}" in log for name in names)
