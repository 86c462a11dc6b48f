"""How a process is shut in: by bubblewrap, in a container, or, where asked for, not at all.

In each of the first two there is no network, no home, nothing to write but a small `/tmp`, and no
process of others in sight.
"""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

from ttc_client.errors import ConfigError

Kind = Literal["bubblewrap", "container", "none"]

IMAGE = "python:3-slim"
_TMP_BYTES = 64 << 20
_PROBE_TIMEOUT_S = 20
_SYSTEM = ("/usr", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache", "/nix/store")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_FIRST_USER, _NUM_USERS = 2_000_000_000, 100_000
_users: Final[Iterator[int]] = itertools.cycle(range(_FIRST_USER, _FIRST_USER + _NUM_USERS))


@dataclass(frozen=True, slots=True)
class Jail:
    """One way to shut a process in."""

    kind: Kind
    program: str = ""

    def command(self, name: str, guest: Sequence[str], memory_mb: int, pids: int) -> list[str]:
        """Return the command that runs the guest's arguments of a Python interpreter inside."""
        if self.kind == "bubblewrap":
            return [self.program, *_bubblewrap(), "--", _interpreter(), *guest]
        if self.kind == "container":
            return [self.program, *_container(name, memory_mb, pids), IMAGE, "python3", *guest]
        return [_interpreter(), *guest]

    def ending(self, name: str) -> list[str]:
        """Return the command that ends what killing the first process leaves, [] if nothing."""
        return [self.program, "rm", "--force", name] if self.kind == "container" else []

    def user(self) -> int | None:
        """Return the user to become inside, None to stay the same.

        The kernel limits root's processes in number only where they are not root's, and counts
        them by user: each jail gets one of its own.
        """
        is_root = self.kind == "bubblewrap" and os.geteuid() == 0
        return next(_users) if is_root else None


@lru_cache(maxsize=4)
def find_jail(*, unsafe: bool = False) -> Jail:
    """Return the best jail that works here; raises ConfigError where none does.

    With `unsafe`, programs then run with this user's rights.
    """
    tried: list[str] = []
    for kind, names in (("bubblewrap", ("bwrap",)), ("container", ("docker", "podman"))):
        for program in filter(None, map(shutil.which, names)):
            jail = Jail(kind, program)  # pyright: ignore[reportArgumentType]
            if not (failure := _failure(jail)):
                return jail
            tried.append(f"{program} does not work ({failure})")
    if unsafe:
        return Jail("none")
    found = "; ".join(tried) or "there is neither bubblewrap nor Docker or Podman"
    raise ConfigError(
        f"the task code runs what a model wrote, which needs a sandbox, and {found}: install "
        "bubblewrap (apt install bubblewrap), or say --unsafe-code to run it with your own rights"
    )


def _failure(jail: Jail) -> str:
    """Run nothing inside; return why that fails, "" if it does not."""
    command = jail.command("ttc-probe", ["-I", "-S", "-c", "pass"], memory_mb=512, pids=16)
    if jail.kind == "container":  # an image is never fetched behind the user's back
        command = [jail.program, "image", "inspect", IMAGE]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    *_, last = ["", *done.stderr.strip().splitlines()]
    return last[:200] or f"it exits with {done.returncode}"


def _interpreter() -> str:
    """Return this interpreter, outside of its virtual environment."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


def _bubblewrap() -> list[str]:
    seen = [path for path in _SYSTEM if Path(path).exists()]
    homes = {os.path.realpath(sys.base_prefix), os.path.realpath(sys.base_exec_prefix)}
    seen += [prefix for prefix in sorted(homes) if not prefix.startswith("/usr")]
    options = ["--unshare-all", "--die-with-parent", "--clearenv", "--hostname", "sandbox"]
    if os.geteuid() == 0:  # becomes a user of its own inside, which needs these until then
        options = [option for option in options if option != "--unshare-all"]
        options += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]
        options += ["--unshare-cgroup-try", "--cap-drop", "ALL"]
        options += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    parents = {str(parent): None for path in (*seen, *_DEVICES) for parent in Path(path).parents}
    for parent in sorted(parents.keys() - {"/", *seen}):
        options += ["--perms", "0755", "--dir", parent]  # or root alone may enter it
    for path in seen:
        is_link = Path(path).is_symlink()
        options += (
            ["--symlink", str(Path(path).readlink()), path]
            if is_link
            else ["--ro-bind", path, path]
        )
    for device in _DEVICES:
        options += ["--dev-bind", device, device]
    options += ["--proc", "/proc", "--perms", "1777", "--size", str(_TMP_BYTES), "--tmpfs", "/tmp"]
    options += ["--remount-ro", "/", "--chdir", "/tmp"]
    for name, value in _ENVIRONMENT.items():
        options += ["--setenv", name, value]
    return options


_ENVIRONMENT: Final = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def _container(name: str, memory_mb: int, pids: int) -> list[str]:
    return [
        *("run", "--rm", "--interactive", "--init", "--name", name, "--pull", "never"),
        *("--network", "none", "--read-only", "--user", "65534:65534", "--workdir", "/tmp"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--tmpfs", f"/tmp:size={_TMP_BYTES}", "--pids-limit", str(pids)),
        *("--memory", f"{memory_mb}m", "--memory-swap", f"{memory_mb}m", "--cpus", "1"),
        *(option for pair in _ENVIRONMENT.items() for option in ("--env", "=".join(pair))),
    ]
