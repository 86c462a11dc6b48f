"""The results of an examination: checks, grouped by server."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]
"""Works; costs speed or repeatability; would ruin a run; does not apply to this server."""

Role = Literal["policy", "prm", "pair"]


@dataclass(frozen=True, slots=True)
class Check:
    """One property of a server: what was seen, and how to fix it if it is wrong."""

    name: str
    status: Status
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """The checks of one server; those of the pair of policy and PRM have an empty `url`."""

    role: Role
    url: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """All checks; `ok` says that none has failed."""

    ok: bool
    servers: tuple[Examined, ...]
