"""Measure how long 256 candidates' answers take to be told apart, and whether the loop waits.

`python scripts/bench/answers.py` keys the answers of 256 candidates as they are typical, and then
with ten hostile ones among them, in a pool whose workers have SymPy loaded and which has seen
none of them. Meanwhile a task on the same loop notes how long it is kept from running: by this
process's own work, in CPU time of the loop's thread, and on the clock.
"""

import argparse
import asyncio
import random
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fakes.scripted_process import print_table, write_json
from ttc_client.answers import AnswerPool

TYPICAL = (
    *("42", "7", "-3", "1,000", "10{,}000", "3.5", "0.25", "18", "x=5", "12^{\\text{th}}"),
    *(r"\frac{1}{2}", r"\frac12", r"-\frac{3}{4}", r"\dfrac{9}{7}", "1/2", r"50\%", "11_2"),
    *(r"5.4\text{ cents}", r"\$18.90", r"90^\circ", r"\text{east}", r"\text{(B)}", "Evelyn"),
    *("(3,4]", r"(-\infty, 2)", r"\left(3,\frac{\pi}{2}\right)", "(1,2)", r"\{1,2,3\}", "1,2,3"),
    *(r"[-2,7]\cup[9,\infty)", r"\emptyset", r"x\in[-2,7]", r"3\sqrt{13}", r"\sqrt{5}", "6-5i"),
    *(r"2\pi", r"\frac{\pi}{6}", r"1\pm\sqrt{19}", r"\sqrt{5+2\sqrt{6}}", "x^2+2x+1", "(x+1)^2"),
    *(r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "y=2x+3", r"\binom{10}{3}", "2^{10}", r"\log_2 8"),
)
"""What candidates of MATH problems say, most of it again and again."""

HOSTILE = (
    "9^{9^{9^{9}}}",
    "((10!)!)!",
    r"\binom{1000000000}{500000000}",
    r"\operatorname{eye}(3000)",
    r"\operatorname{zeros}(100000,100000)",
    r"\frac{1}{1+" * 100 + "x" + "}" * 100,
    "{" * 500 + "x" + "}" * 500,
    "+".join(rf"\frac{{1}}{{x+{i}}}" for i in range(200)),
    "(x+y+z+1)^{1000}",
    "x^5-x-1=0, x^{7}+y^{7}=z^{7}",
)
_NAP_S = 0.001


@dataclass(slots=True)
class Blocked:
    """The longest that a task was kept from running: by the thread's own work, and in all."""

    cpu_s: float = 0.0
    wall_s: float = 0.0

    async def watch(self) -> None:
        """Ask to be woken in a millisecond, and see how late that is."""
        while True:
            cpu_s, wall_s = time.thread_time(), time.perf_counter()
            await asyncio.sleep(_NAP_S)
            self.cpu_s = max(self.cpu_s, time.thread_time() - cpu_s)
            self.wall_s = max(self.wall_s, time.perf_counter() - wall_s - _NAP_S)


async def measure(answers: list[str]) -> dict[str, float]:
    """Key the answers in a pool that is ready."""
    blocked = Blocked()
    async with AnswerPool() as pool:
        await pool.canonical_keys([r"\sqrt{7}+x", r"\sqrt{11}+x"])  # one for each worker
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(blocked.watch())
            began_s = time.perf_counter()
            keys = await pool.keys(answers)
            seconds = time.perf_counter() - began_s
            watch.cancel()
    return {
        "seconds": seconds,
        "distinct": len({key.text for key in keys}),
        "timed_out": sum(key.timed_out for key in keys),
        **{f"blocked_{name}": value for name, value in asdict(blocked).items()},
    }


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=256)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()
    rng = random.Random(0)
    typical = rng.choices(TYPICAL, k=args.candidates)
    hostile = [*HOSTILE, *typical[len(HOSTILE) :]]
    rng.shuffle(hostile)
    figures = {
        "typical": asyncio.run(measure(typical)),
        "with ten hostile ones": asyncio.run(measure(hostile)),
    }
    print_table(
        (f"{args.candidates} answers", "s", "keys", "timed out", "loop blocked, CPU ms", "ms"),
        [
            (
                name,
                f"{row['seconds']:.2f}",
                f"{row['distinct']:.0f}",
                f"{row['timed_out']:.0f}",
                f"{1000 * row['blocked_cpu_s']:.1f}",
                f"{1000 * row['blocked_wall_s']:.1f}",
            )
            for name, row in figures.items()
        ],
    )
    write_json(args.json, figures)


if __name__ == "__main__":
    main()
