"""Write DemoMath problems as JSON lines: `python -m ttc_servers.demomath --split train -n 10`."""

import argparse
import json
import sys

from ttc_servers.demomath.problems import LEVELS, SPLITS, fixed_test_set, generate


def main(arguments: list[str] | None = None) -> None:
    """Write n problems of a split, or the fixed test set of 500, to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m ttc_servers.demomath", description=main.__doc__
    )
    parser.add_argument("--split", choices=SPLITS, default="test")
    parser.add_argument("-n", type=int, help="how many; without it, the fixed test set of 500")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--levels", type=int, nargs="+", choices=LEVELS, default=LEVELS)
    options = parser.parse_args(arguments)
    if options.n is None:
        if (options.split, options.seed, tuple(options.levels)) != ("test", 0, LEVELS):
            parser.error("give -n with --split, --seed or --levels: the fixed test set takes none")
        problems = fixed_test_set()
    else:
        problems = generate(options.split, options.n, options.seed, options.levels)
    for problem in problems:
        sys.stdout.write(json.dumps(problem.row()) + "\n")


if __name__ == "__main__":
    main()
