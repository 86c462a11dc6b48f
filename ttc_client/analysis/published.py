"""What others measured on ProcessBench, to see at once whether a server is set up wrong."""

from dataclasses import dataclass
from typing import Final

SUBSETS = ("gsm8k", "math", "olympiadbench", "omnimath")
"""The subsets of ProcessBench."""

_PROCESS_BENCH = "arXiv 2412.06559, table 3"
_LESSONS = "arXiv 2501.07301"


@dataclass(frozen=True, slots=True)
class Published:
    """A PRM's F1 in per cent on each of the `SUBSETS`, their mean, and who measured it."""

    model: str
    f1: tuple[float, float, float, float]
    mean: float
    source: str


PUBLISHED: Final[tuple[Published, ...]] = (
    Published(
        "peiyi9979/math-shepherd-mistral-7b-prm", (47.9, 29.5, 24.8, 23.8), 31.5, _PROCESS_BENCH
    ),
    Published(
        "RLHFlow/Llama3.1-8B-PRM-Mistral-Data", (50.4, 33.4, 13.8, 15.8), 28.4, _PROCESS_BENCH
    ),
    Published(
        "RLHFlow/Llama3.1-8B-PRM-Deepseek-Data", (38.8, 33.8, 16.9, 16.9), 26.6, _PROCESS_BENCH
    ),
    Published(
        "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-1.5B", (59.0, 48.0, 19.3, 19.2), 36.4, _PROCESS_BENCH
    ),
    Published(
        "Skywork/Skywork-o1-Open-PRM-Qwen-2.5-7B", (70.8, 53.6, 22.9, 21.0), 42.1, _PROCESS_BENCH
    ),
    Published("Qwen/Qwen2.5-Math-7B-PRM800K", (68.2, 62.6, 50.7, 44.3), 56.5, _PROCESS_BENCH),
    Published("Qwen/Qwen2.5-Math-PRM-7B", (82.4, 77.6, 67.5, 66.3), 73.5, _LESSONS),
    Published("Qwen/Qwen2.5-Math-PRM-72B", (87.3, 80.6, 74.3, 71.1), 78.3, _LESSONS),
)


def published_of(model: str) -> Published | None:
    """Return what was published of a model, by the last part of its name wherever it is served."""
    wanted = [p for p in PUBLISHED if p.model.rpartition("/")[2].lower() in model.lower()]
    return max(wanted, key=lambda p: len(p.model), default=None)
