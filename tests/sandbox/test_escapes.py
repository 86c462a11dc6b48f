"""What a hostile program tries: each attempt ends with it, costs us nothing, and passes no test."""

import asyncio
import os
import resource
import socket
import time
from pathlib import Path

import pytest

from ttc_client.sandbox.jail import find_jail
from ttc_client.sandbox.process import Limits
from ttc_client.sandbox.sandbox import Sandbox

QUICK = Limits(wall_s=3, cpu_s=3, memory_mb=256, processes=16)
MANY_S = 60.0
"""Far beyond every limit, on a busy machine."""


@pytest.fixture
def sandbox() -> Sandbox:
    """Return a sandbox; where none works these tests fail, as scripts/install_sandbox says how."""
    return Sandbox(find_jail(), QUICK)


def processes_with(mark: str) -> list[int]:
    """Return the processes whose command line has a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


async def test_a_fork_bomb_ends_with_its_group_and_leaves_the_machine_alone(sandbox):
    bomb = """
import os, sys
forks = 0
try:
    while forks < 10_000:
        if os.fork() == 0:
            while True:
                try:
                    os.fork()
                except OSError:
                    pass
        forks += 1
except OSError as error:
    print(forks, error.errno, flush=True)
while True:
    pass
"""
    started = time.monotonic()
    ran = await sandbox.run(bomb)
    assert time.monotonic() - started < MANY_S
    assert ran.ending in ("time", "memory")
    assert int((ran.output or "0 ").split()[0]) < QUICK.processes


async def test_there_is_no_network(sandbox):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempt = f"""
import socket
for place in (("127.0.0.1", {port}), ("1.1.1.1", 53), ("pypi.org", 443)):
    try:
        socket.create_connection(place, timeout=1)
        print("connected")
    except OSError as error:
        print("refused")
"""
        ran = await sandbox.run(attempt)
    assert ran.output.split() == ["refused"] * 3


async def test_neither_home_nor_the_working_directory_nor_secrets_can_be_read(
    sandbox, tmp_path, monkeypatch
):
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    monkeypatch.setenv("TTC_POLICY_API_KEY", "sk-hidden")
    attempt = f"""
import os
for path in ({str(secret)!r}, {str(Path.home() / ".bashrc")!r}, {str(Path.cwd())!r},
             "/etc/passwd", "/etc/shadow", {os.environ.get("VIRTUAL_ENV", "/var/log")!r}):
    print(os.path.exists(path))
print([name for name in os.environ if "TTC" in name])
for pid in filter(str.isdecimal, os.listdir("/proc")):
    try:
        print("hidden" in open(f"/proc/{{pid}}/environ").read())
    except OSError:
        print(False)
"""
    ran = await sandbox.run(attempt)
    assert "True" not in ran.output
    assert "[]" in ran.output


async def test_nothing_can_be_written_but_a_small_tmp(sandbox):
    attempt = """
import os
for path in ("/x", "/usr/x", "/dev/x", "/proc/x", "/root/x", "/etc/x"):
    try:
        open(path, "w")
        print("written", path)
    except OSError:
        pass
blocks = 0
try:
    for i in range(1000):
        with open(f"/tmp/{i}", "wb") as file:
            file.write(bytes(1 << 20))
        blocks += 1
except OSError:
    print(blocks)
"""
    ran = await sandbox.run(attempt)
    assert "written" not in ran.output
    assert 0 < int(ran.output) <= 64


async def test_ten_gigabytes_of_output_end_at_the_limit_at_flat_memory_of_ours(sandbox):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    flood = "import os\nblock = b'x' * (1 << 20)\nfor _ in range(10_240): os.write(1, block)"
    started = time.monotonic()
    ran = await sandbox.run(flood)
    assert time.monotonic() - started < MANY_S
    assert ran.ending == "output"
    assert len(ran.output) <= QUICK.output_bytes + (1 << 20)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 64 << 10


async def test_a_flood_on_the_line_of_replies_ends_it_too(sandbox):
    flood = """
import os
def f(x):
    block = b"[" * (1 << 20)
    for number in range(3, 20):
        try:
            for _ in range(10_240):
                os.write(number, block)
        except OSError:
            pass
"""
    assert await sandbox.test(flood, ["assert f(1) == 1"], ["f"]) == (False,)


async def test_a_process_left_behind_is_gone(sandbox):
    mark = f"left-behind-{os.getpid()}"
    left = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.close(0), os.close(1), os.close(2)
        os.execv("/bin/sh", ["/bin/sh", "-c", "while :; do :; done # {mark}"])
    os._exit(0)
print("done")
"""
    ran = await sandbox.run(left)
    assert ran.output == "done\n"
    async with asyncio.timeout(10):  # the kernel buries the killed ones in its own time
        while processes_with(mark):
            await asyncio.sleep(0.05)


async def test_memory_is_limited_for_one_process_and_for_all_together(sandbox):
    ran = await sandbox.run("x = bytearray(1 << 30)\nprint(len(x))")
    assert (ran.output, ran.exit_code) == ("", 1)
    together = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        x = bytearray(100 << 20)
        time.sleep(60)
time.sleep(60)
"""
    assert (await sandbox.run(together)).ending == "memory"


async def test_descriptors_and_cpu_time_are_limited(sandbox):
    many = """
import os
while True:
    print(os.open("/dev/null", 0), flush=True)
"""
    ran = await sandbox.run(many)
    assert int(ran.output.split()[-1]) < QUICK.files
    busy = Sandbox(find_jail(), Limits(wall_s=MANY_S, cpu_s=1))
    assert (await busy.run("while True: pass")).exit_code != 0


async def test_it_cannot_gain_rights_or_trace_others(sandbox):
    attempt = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(os.getuid() != 0 or open("/proc/self/status").read().count("CapEff:\\t0000000000000000"))
print(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
print(libc.ptrace(16, 1, 0, 0))
for act in (lambda: os.kill(1, 9), lambda: os.setuid(0), lambda: os.chroot("/tmp")):
    try:
        act()
        print("did it") if os.getuid() == 0 or act.__code__.co_names[-1] == "chroot" else None
    except OSError:
        pass
print("alive")
"""
    ran = await sandbox.run(attempt)
    assert "did it" not in ran.output
    first, *rest, last = ran.output.split()
    assert first in ("True", "1")
    assert rest == ["-1", "-1"]
    assert last == "alive"


HIDDEN = ["assert f(2) == 4", "assert f(3) == 9"]

CHEATS = {
    "leaves before the tests": "import os\nos._exit(0)",
    "leaves when it is called": "import os\ndef f(x): os._exit(0)",
    "raises SystemExit when it is called": "def f(x): raise SystemExit(0)",
    "equals everything": (
        "class All:\n    def __eq__(self, other): return True\n    def __hash__(self): return 0\n"
        "def f(x): return All()"
    ),
    "an int that equals everything": (
        "class All(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def f(x): return All(0)"
    ),
    "prints a verdict": (
        "print('{\"passed\": [true, true]}', flush=True)\ndef f(x):\n"
        "    print('{\"passed\": [true, true]}', flush=True)"
    ),
    "writes a verdict to every descriptor": (
        "import os\ndef f(x):\n    for n in range(64):\n        try:\n"
        "            os.write(n, b'{\"passed\": [true, true]}\\n')\n"
        "        except OSError: pass"
    ),
    "replaces what tests use": (
        "import builtins\nbuiltins.AssertionError = ValueError\nbuiltins.compile = None\n"
        "builtins.exec = lambda *a: None\ndef f(x): return None"
    ),
    "looks for the tests in memory": (
        "import gc, re, sys\ndef f(x):\n    frame, seen = sys._getframe(), ''\n    while frame:\n"
        "        seen += repr(frame.f_locals)\n        frame = frame.f_back\n"
        "    return {2: 4, 3: 9}[x] if 'as' + 'sert f' in seen else None"
    ),
    "sleeps": "import time\ndef f(x): time.sleep(1000)",
    "never ends": "def f(x):\n    while True: pass",
    "never ends while it is loaded": "while True: pass",
    "does not compile": "def f(x) return 4",
    "is not there": "",
}


@pytest.mark.parametrize("cheat", CHEATS)
async def test_a_cheat_passes_no_test(cheat):
    sandbox = Sandbox(find_jail(), Limits(wall_s=2))
    assert await sandbox.test(CHEATS[cheat], HIDDEN, ["f"]) == (False, False)


async def test_tests_that_expect_an_exception_do_not_take_an_end_for_one(sandbox):
    test = "try:\n    f(1)\n    raised = False\nexcept Exception:\n    raised = True\nassert raised"
    assert await sandbox.test("def f(x): raise ValueError", [test], ["f"]) == (True,)
    assert await sandbox.test("import os\ndef f(x): os._exit(1)", [test], ["f"]) == (False,)


async def test_being_cancelled_ends_the_program():
    mark = f"cancelled-{os.getpid()}"
    sandbox = Sandbox(find_jail(), Limits(wall_s=MANY_S, cpu_s=60))
    source = f'import os\nos.execv("/bin/sh", ["/bin/sh", "-c", "while :; do :; done # {mark}"])'
    running = asyncio.create_task(sandbox.run(source))
    while not processes_with(mark):
        await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_with(mark) == []
