"""Tell problems that overlap a test set by n-grams of their words, numbers and signs."""

import re
from collections.abc import Iterable, Iterator

from ttc_client.bench.columns import usual_cell
from ttc_client.bench.sources import rows_of
from ttc_client.errors import ConfigError

_N = 13
"""As in Brown et al. 2020 (arXiv 2005.14165, appendix C); shorter texts are compared whole."""

_TOKEN = re.compile(r"\w+|[^\w\s]")


class TestSet:
    """The problems of a test set, to ask of others whether they overlap one of them."""

    __test__ = False  # no class of tests

    def __init__(self, problems: Iterable[str]) -> None:
        self._grams = {gram for problem in problems for gram in _grams(problem)}

    @classmethod
    def read(cls, source: str) -> "TestSet":
        """Read the problems of a file, a Hugging Face dataset, or demomath; raises ConfigError."""
        problems = [usual_cell(row, "problem") for row in rows_of(source, "test", "demomath")]
        if not any(problems):
            raise ConfigError(f"{source}: there is no problem in it to compare with")
        return cls(filter(None, problems))

    def overlaps(self, problem: str) -> bool:
        """Whether a problem shares an n-gram with one of the set, or is one of them if shorter."""
        return any(gram in self._grams for gram in _grams(problem))


def _grams(text: str) -> Iterator[tuple[str, ...]]:
    tokens = _TOKEN.findall(text.lower())
    for start in range(max(1, len(tokens) - _N + 1)):
        yield tuple(tokens[start : start + _N])
