"""Sum up what a search reaches on the demo models, over the seeds of a `ttc bench` run.

`ttc bench demomath -s greedy,best-of-n,beam,dvts -n 16,64 --seed 0,1,2 --out DIR` measures, and
`python scripts/bench/demo_models.py DIR` prints each figure's mean and spread over the seeds, in
per cent. The directories of several runs, such as the shards of one, count as one run.
"""

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

Figures = dict[tuple[str, int], list[float]]
"""For each figure and seed, whether each problem was right."""


def main() -> None:
    """Print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="DIR")
    figures: Figures = defaultdict(list)
    for run in parser.parse_args().runs:
        with (run / "results.jsonl").open() as lines:
            for line in lines:
                add(figures, json.loads(line))
    by_name: dict[str, list[list[float]]] = defaultdict(list)
    for (name, _), problems in sorted(figures.items()):
        by_name[name].append(problems)
    for name, seeds in by_name.items():
        shares = [100 * statistics.mean(problems) for problems in seeds]
        spread = statistics.stdev(shares) if len(shares) > 1 else float("nan")
        shown = ", ".join(f"{share:.1f}" for share in shares)
        print(f"{name:<24}{statistics.mean(shares):6.1f} ± {spread:.1f}  ({shown})", end="")
        print(f"  {len(seeds[0])} problems")


def add(figures: Figures, record: dict[str, Any]) -> None:
    """Add a search's outcomes; one that failed was wrong."""
    name = f"{record['strategy']}@{record['n']}"
    seed = record["seed"]
    correct = record.get("correct", {})
    for vote in ("majority", "weighted", "prm"):
        figures[f"{name} {vote}", seed].append(float(correct.get(vote, False)))
    answers = record.get("answers", [])
    figures[f"{name} pass", seed].append(float(any(answer["correct"] for answer in answers)))


if __name__ == "__main__":
    main()
