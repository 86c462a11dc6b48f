"""What an examination finds: checks, grouped by the server that they are about."""

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "warn", "fail", "skip"]
"""Fine; costs speed or repeatability; would ruin a run; does not apply to this server."""

Role = Literal["policy", "prm", "pair"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at, what was seen, and the fix where there is one to make."""

    name: str
    status: Status
    seen: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Examined:
    """The checks of one server, or of the pair of policy and PRM, which has no `url`."""

    role: Role
    url: str
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found; `ok` unless something would ruin a run."""

    ok: bool
    servers: tuple[Examined, ...]
