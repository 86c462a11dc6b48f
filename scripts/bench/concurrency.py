"""Compare the concurrency that is found with the best fixed one, on simulated servers.

Run it from a checkout: `python -m scripts.bench.concurrency`. It needs no server, and its clock is
virtual. `.github/decisions/concurrency.md` has the figures of the level and of the one before it.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.simulated import Outcome, Server, saturating, simulate

GRID = [round(4 * 2 ** (i / 2)) for i in range(21)]


@dataclass(frozen=True)
class Model:
    """Servers, the seconds that they run, the last of which are measured, and fixed levels."""

    servers: Callable[[], Sequence[Server]]
    until_s: float
    measured_s: float
    levels: Sequence[int]
    num_prm_slots: int = 0
    """Of a PRM's server that scores each step in a quarter of a second; 0 for none."""

    def prms(self) -> list[Server]:
        """Return the servers of the PRM."""
        return [Server(lambda _: 4.0, self.num_prm_slots)] if self.num_prm_slots else []

    def run(self, concurrency: int | None = None, seed: int = 0) -> Outcome:
        """Simulate at a fixed concurrency, or at the one that is found (None)."""
        times = self.until_s, self.measured_s
        return simulate(self.servers, *times, concurrency, prms=self.prms, seed=seed)


def _around(level: int) -> list[int]:
    return [fixed for fixed in GRID if level / 4 <= fixed <= level * 4]


MODELS = {
    **{
        f"{slots} slots": Model(lambda slots=slots: [Server(slots=slots)], s, s / 2, _around(slots))
        for slots, s in ((8, 400), (64, 160), (256, 80), (1024, 40))
    },
    **{
        f"b / (b + {half})": Model(
            lambda half=half: [Server(saturating(half, 60.0 * half))], s, s / 2, _around(8 * half)
        )
        for half, s in ((4, 600), (16, 600), (64, 600))
    },
    "8 slots, queue of 8": Model(lambda: [Server(slots=8, queue=8)], 300, 150, _around(8)),
    "64 slots, no queue": Model(lambda: [Server(slots=64, queue=0)], 160, 80, _around(64)),
    "64 slots, queue of 64": Model(lambda: [Server(slots=64, queue=64)], 160, 80, _around(64)),
    "64 slots, no queue, Retry-After": Model(
        lambda: [Server(slots=64, queue=0, retry_after_s=5.0)], 160, 80, _around(64)
    ),
    "64 slots, 5 % refused": Model(lambda: [Server(slots=64, chance=0.05)], 160, 80, _around(64)),
    "64 slots, 20 % refused": Model(lambda: [Server(slots=64, chance=0.2)], 160, 80, _around(64)),
    "replicas of 8 and 64 slots": Model(
        lambda: [Server(slots=8), Server(slots=64)], 400, 200, _around(64)
    ),
    **{
        f"{policy} slots, a PRM of {prm}": Model(
            lambda policy=policy: [Server(slots=policy)], 240, 80, (32, 128, 512), prm
        )
        for policy, prm in ((8, 512), (64, 16), (128, 4))
    },
}


def measure(model: Model, seeds: int) -> dict[str, Any]:
    """Return the throughput and what is in flight, as shares of those of fixed levels."""
    fixed = {
        level: outcome.tokens_per_s
        for level in model.levels
        if not (outcome := model.run(level)).num_failed
    }
    best = max(fixed.values())
    least = min(level for level, rate in fixed.items() if rate >= 0.9 * best)
    found = [model.run(seed=seed) for seed in range(seeds)]
    return {
        "best_tokens_per_s": best,
        "least_level": least,
        "throughput": [outcome.tokens_per_s / best for outcome in found],
        "in_flight": [outcome.in_flight for outcome in found],
        "failed": sum(outcome.num_failed for outcome in found),
    }


def main() -> None:
    """Parse the command line, simulate, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="loads per server (default: 3)")
    parser.add_argument("--only", default="", help="only servers whose name contains this")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    figures: dict[str, Any] = {}
    print(f"{'server':32} {'throughput':>24} {'in flight':>20} {'least fixed level':>18}")
    for name, model in MODELS.items():
        if args.only in name:
            row = figures[name] = measure(model, args.seeds)
            shares = " ".join(f"{share:.0%}" for share in row["throughput"])
            levels = " ".join(f"{level:.0f}" for level in row["in_flight"])
            failed = f"  {row['failed']} failed" if row["failed"] else ""
            print(f"{name:32} {shares:>24} {levels:>20} {row['least_level']:>18}{failed}")
    if args.json:
        args.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
