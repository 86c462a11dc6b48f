"""A fixed set of solutions whose first errors are known, in the layout of ProcessBench."""

import random

from ttc_servers.demomath.problems import (
    Problem,
    careless_steps,
    check_steps,
    fixed_test_set,
)

_SCALE, _NOISE = 1.0, 0.03
_MOST_TRIES = 50


def fixed_process_set() -> list[dict[str, object]]:
    """Return a solution of each test problem by a careless author, every other one wrong.

    A row holds `id`, `subset` (the level), `problem`, `steps`, and `label`, the index of the first
    wrong step or -1; `labels` says of every step whether all values up to it are right. The steps
    come without their delimiters.
    """
    return [_row(index, problem) for index, problem in enumerate(fixed_test_set())]


def _row(index: int, problem: Problem) -> dict[str, object]:
    rng = random.Random(f"process/{problem.unique_id}")
    wanted = index % 2 == 0
    for _ in range(_MOST_TRIES):
        steps = careless_steps(problem, rng, _SCALE, _NOISE)
        labels = check_steps(problem, steps)
        if all(labels) == wanted:
            break
    return {
        "id": problem.unique_id,
        "subset": f"level {problem.level}",
        "problem": problem.problem,
        "steps": [step.strip() for step in steps],
        "label": -1 if all(labels) else labels.index(False),
        "labels": labels,
    }
