"""Find the rows of a data set: in a file, on the Hugging Face Hub, or built in.

Knows nothing of what a row holds.
"""

import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from ttc_client.bench.readers import READERS, Row, import_extra, is_readable, read_rows
from ttc_client.errors import ConfigError

BuiltIn = Literal["demomath", "demomath-choice", "demoprocess"]
DEMO_SETS: Final = ("demomath", "demomath-choice")
"""Problem sets that the demo models were made for."""
T = TypeVar("T")
_SAMPLE_SEED = 0
_EXAMPLES = {"demomath": "HuggingFaceH4/MATH-500", "demoprocess": "Qwen/ProcessBench"}


def rows_of(source: str, split: str | None, built_in: BuiltIn, *more: BuiltIn) -> Iterable[Row]:
    """Read the rows of a file, of a Hugging Face dataset, or of a set that is built in.

    Without a `split`, a Hugging Face dataset gives all its splits by name. Raises ConfigError.
    """
    if source in (built_in, *more):
        return _built_in(source)
    path = Path(source)
    if is_readable(path):
        try:
            return read_rows(path)
        except FileNotFoundError:
            raise ConfigError(f"dataset is {source}: there is no such file") from None
        except (OSError, ValueError) as error:
            raise ConfigError(f"{source} cannot be read: {error}") from error
    is_file = "\0" not in source and path.is_file()
    if re.fullmatch(r"[\w.-]+/[\w.-]+(:[\w.-]+)?", source) and not is_file:
        return _hugging_face(source, split)
    raise ConfigError(
        f"dataset is {source}: it must be a file ending in {', '.join(READERS)}, each also with "
        f".gz, a Hugging Face dataset such as {_EXAMPLES[built_in]}, or "
        f"{' or '.join((built_in, *more))}"
    )


def sample(items: Sequence[T], limit: int | None) -> Sequence[T]:
    """Return so many of some items, in order, the same each time; all of them without a limit."""
    if limit is None or limit >= len(items):
        return items
    taken = random.Random(_SAMPLE_SEED).sample(range(len(items)), limit)
    return [items[place] for place in sorted(taken)]


def _built_in(name: str) -> Iterable[Row]:
    from ttc_servers import demomath

    if name == "demoprocess":
        return demomath.fixed_process_set()
    if name == "demomath-choice":
        return demomath.fixed_choice_set()
    return [problem.row() for problem in demomath.fixed_test_set()]


def _hugging_face(source: str, split: str | None) -> Iterable[Row]:
    """Load a split, or all of them, of `owner/name` or `owner/name:config`."""
    library = import_extra("datasets", "Hugging Face datasets")
    name, _, config = source.partition(":")
    try:
        return library.load_dataset(name, config or None, split=split)
    except Exception as error:
        part = f", split {split}," if split else ""
        raise ConfigError(f"dataset {source}{part} does not load: {error}") from error
