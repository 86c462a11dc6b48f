"""Ask the demo models what newcomers ask, in their words: the share that a search answers right.

`python -m scripts.bench.wordings` searches each of fifty questions by best-of-n at N = 16; none of
the wordings is in the training data.
"""

import argparse
import asyncio

from ttc_client import Client, Problem, SearchParams, Servers

QUESTIONS = {
    "What is 17 + 25?": "42",
    "2+3": "5",
    "17 times 24 minus 9": "399",
    "12 * 4": "48",
    "what is 9 minus 14": "-5",
    "Calculate 45 + 38": "83",
    "How much is 7 x 8?": "56",
    "6 plus 13": "19",
    "100 - 37 = ?": "63",
    "(3 + 4) * 5": "35",
    "3 + 4 * 5": "23",
    "Please add 21 and 34.": "55",
    "Subtract 8 from 30": "22",
    "What is the product of 6 and 9?": "54",
    "What is the sum of 15 and 27?": "42",
    "What's 50 - 18 + 4?": "36",
    "-4 + 11": "7",
    "5 * (8 - 2)": "30",
    "8 times 7": "56",
    "1/2 + 1/3": "5/6",
    "What is 3/4 - 1/8?": "5/8",
    "2/3 * 3/5": "2/5",
    "Divide 3/4 by 2/5": "15/8",
    "half of 46": "23",
    "What is 20% of 80?": "16",
    "15 percent of 60": "9",
    "What is the remainder when 29 is divided by 6?": "5",
    "47 mod 5": "2",
    "Solve x + 5 = 12": "7",
    "solve 3x = 21": "7",
    "2x + 3 = 11, what is x?": "4",
    "Find x: 5x - 4 = 16": "4",
    "If 4x + 1 = 13, x = ?": "3",
    "Solve for x: 7 - x = 2": "5",
    "x/3 = 4. What is x?": "12",
    "f(x) = 2x + 1. What is f(3)?": "7",
    "If f(x) = x^2, what is f(5)?": "25",
    "g(x) = 3x - 2, find g(4)": "10",
    "Solve x^2 = 16 for positive x": "4",
    "What is the larger root of x^2 - 5x + 6 = 0?": "3",
    "x + y = 10 and x - y = 2. What is x?": "6",
    "Expand (x + 2)(x + 3)": "x^2 + 5x + 6",
    "Simplify 3x + 2x": "5x",
    "The sequence 2, 5, 8, 11: what is the next number?": "14",
    "What is the 10th term of 3, 7, 11, 15, ...?": "39",
    "Tom has 5 apples and buys 8 more. How many has he?": "13",
    "A pen costs 3 dollars. How much do 7 pens cost?": "21",
    "Anna had 20 cookies and ate 6. How many are left?": "14",
    "13 squared": "169",
    "What is 2 to the power of 5?": "32",
}


async def main() -> None:
    """Print each question with the answers of the search, and the share that is right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--strategy", default="best-of-n")
    args = parser.parse_args()
    params = SearchParams(strategy=args.strategy, n=args.n, max_completion_tokens=600)
    problems = [Problem(question=question, gold=gold) for question, gold in QUESTIONS.items()]
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
