"""Ask the demo models what newcomers ask, in their words: the share that a search answers right.

`python -m scripts.bench.wordings` searches each of fifty questions by best-of-n at N = 16; none of
the wordings is in the training data.
"""

import argparse
import asyncio

from ttc_client import Client, Problem, SearchParams, Servers
from ttc_servers.demomath.newcomers import HELD_OUT


async def main() -> None:
    """Print each question with the answers of the search, and the share that is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--strategy", default="best-of-n")
    args = parser.parse_args()
    params = SearchParams(strategy=args.strategy, n=args.n, max_completion_tokens=600)
    problems = [Problem(question=question, gold=gold) for question, gold in HELD_OUT.items()]
    num_right = 0
    async with Client(Servers()) as client:
        for problem in problems:
            answer = (await client.solve(problem, params)).answer
            (grade,) = await client.grade(problem, [answer]) if answer else (0.0,)
            num_right += grade == 1
            print(
                "right" if grade == 1 else "wrong", problem.question, answer, sep="  ", flush=True
            )
    print(f"{num_right} of {len(problems)} right")


if __name__ == "__main__":
    asyncio.run(main())
