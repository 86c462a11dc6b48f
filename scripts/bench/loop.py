"""Sum up `python -m ttc_servers.train improve DIR`: each round against round 0, with intervals.

`python -m scripts.bench.loop DIR` prints a Markdown table; `--figure FILE.png` draws the greedy
accuracy after each round, a line for each source of truth.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from ttc_client.analysis.statistics import Values, compare, estimate
from ttc_client.report.axes import WIDE, axes_of, legend, write_figure
from ttc_client.report.palette import colour

COLOURS = {"gold": "dvts", "prm": "beam", "majority": "majority"}
"""The strategy whose colour a source of truth has."""

Outcomes = dict[str, Values]
"""Of each measure, whether each problem came out right."""


def main() -> None:
    """Print the table, and draw the figure where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--figure", type=Path, metavar="FILE.png")
    args = parser.parse_args()
    start, rounds = read(args.folder / "round-0"), rounds_of(args.folder)
    print("| kept by | round | greedy % | against round 0 | others |\n|---|---:|---:|---|---|")
    print(row("", 0, start, start))
    for truth, found in rounds.items():
        for number, outcomes in enumerate(found, 1):
            print(row(truth, number, outcomes, start))
    if args.figure:
        write_figure(draw(start, rounds), args.figure.parent, args.figure.stem)


def rounds_of(folder: Path) -> dict[str, list[Outcomes]]:
    """Return what was measured after each round, by source of truth."""
    found = {
        truth: [read(each.parent) for each in sorted((folder / truth).glob("*/figures.json"))]
        for truth in COLOURS
    }
    return {truth: rounds for truth, rounds in found.items() if rounds}


def read(place: Path) -> Outcomes:
    """Return a round's outcomes, by the places of the problems in the test set."""
    outcomes = json.loads((place / "outcomes.json").read_text())
    return {
        name: {str(i): {0: float(right)} for i, right in enumerate(each)}
        for name, each in outcomes.items()
    }


def row(truth: str, number: int, outcomes: Outcomes, start: Outcomes) -> str:
    """Return a row of the table."""
    gain, others = "–", []
    if number:
        found = compare(outcomes["greedy"], start["greedy"])
        gain = f"{100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"
    for name, values in outcomes.items():
        if name != "greedy":
            others.append(f"{name} {shown(values)} of {len(values)}")
    cells = (truth or "–", number, shown(outcomes["greedy"]), gain, ", ".join(others) or "–")
    return "| " + " | ".join(map(str, cells)) + " |"


def shown(values: Values) -> str:
    """Return a share in per cent with its interval."""
    found = estimate(values)
    return f"{100 * found.mean:.1f} ({100 * found.low:.1f}–{100 * found.high:.1f})"


def draw(start: Outcomes, rounds: dict[str, list[Outcomes]]) -> Any:
    """Draw greedy accuracy against rounds, with 95 % intervals."""
    title = "the demo policy, trained on what it found"
    figure, axes = axes_of(WIDE, title, "round", "greedy accuracy (%)")
    for place, (truth, found) in enumerate(rounds.items()):
        means = [estimate(each["greedy"]) for each in (start, *found)]
        xs = [number + 0.02 * (place - 1) for number in range(len(means))]
        errors = [
            [100 * (each.mean - each.low) for each in means],
            [100 * (each.high - each.mean) for each in means],
        ]
        ys = [100 * each.mean for each in means]
        style = {"color": colour(COLOURS[truth]), "marker": "o", "capsize": 3}
        axes.errorbar(xs, ys, errors, **style, label=f"kept by {truth}")
    axes.set_xticks(range(1 + max(map(len, rounds.values()), default=0)))
    legend(WIDE, figure, axes)
    return figure


if __name__ == "__main__":
    main()
