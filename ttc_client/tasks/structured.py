"""Answers in JSON: equal where they mean the same, read only where they fit the schema."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, cast

from ttc_client.answers.extract import spoken
from ttc_client.errors import ConfigError, ExtraError
from ttc_client.files import read_small
from ttc_client.tasks.functions import check_measure, scored
from ttc_client.tasks.json_values import (
    MEASURES,
    NotJSONError,
    canonical_text,
    json_in,
    parsed,
)
from ttc_client.tasks.prompts import JSON_SYSTEM_PROMPT, under
from ttc_client.tasks.rows import Cell, Reading, Row
from ttc_client.tasks.workers import Workers
from ttc_client.types import Message, Problem


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value that is right where it means what the gold value does.

    `schema` is a JSON schema, or the file of one; a problem may have its own in `data["schema"]`.
    A reply that does not fit it gives no answer. `score` is as for `text`, over the members of
    objects and lists in place of words. Raises ConfigError.
    """

    system_prompt: str = JSON_SYSTEM_PROMPT
    schema: str | None = field(
        default=None,
        metadata={"help": "A file with the JSON schema that an answer must fit."},
    )
    score: str = "exact"
    name: str = "json"
    about: ClassVar[str] = "a JSON value; equal by meaning, read where it fits the schema"

    def __post_init__(self) -> None:
        check_measure(self.score, MEASURES)
        if self.schema:
            object.__setattr__(self, "schema", _schema_text(self.schema))

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """A problem's own schema, and what sets call question and gold."""
        return {
            "schema": ("schema", "json_schema"),
            "answer": ("answer", "output", "target", "completion"),
            "problem": ("question", "problem", "prompt", "input", "text"),
        }

    @property
    def needs_gold(self) -> bool:
        """A function may grade without a gold value."""
        return self.score in MEASURES

    def read(self, row: Row, cell: Cell) -> Reading:
        """Read the gold value, which may be an object, and the problem's own schema."""
        gold, schema = cell("answer"), cell("schema")
        data = {"schema": _text(schema)} if schema is not None else {}
        return Reading(data, gold=_text(gold) if gold is not None else None)

    def settle(self, problems: Sequence[Problem]) -> Sequence[Problem]:
        """Return the problems; raises ConfigError for a gold answer that is not JSON."""
        for problem in problems:
            try:
                if problem.gold:
                    parsed(problem.gold)
            except NotJSONError as error:
                raise ConfigError(
                    f"the gold answer of {problem.id} is not JSON ({error}): name the right column "
                    "with --column answer=COLUMN, or use --task text"
                ) from None
        return problems

    def messages(self, problem: Problem) -> Sequence[Message]:
        """Return the problem under the system prompt and the schema, where there is one."""
        schema = self._schema(problem)
        fits = f"It must fit this JSON schema:\n\n{schema}" if schema else ""
        return under("\n\n".join(filter(None, (self.system_prompt, fits))), problem)

    def extract(self, problem: Problem, text: str) -> str:
        """Return the last JSON value of a completion, "" where it does not fit the schema."""
        answer, schema = json_in(spoken(text)), self._schema(problem)
        if not answer or (schema and not _fits(answer, schema)):
            return ""
        return answer

    async def keys(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[str]:
        """Return canonical JSON: members sorted, numbers by their value."""
        return [canonical_text(answer) for answer in answers]

    async def grade(
        self, problem: Problem, answers: Sequence[str], workers: Workers
    ) -> Sequence[float]:
        """Return the score of each answer."""
        golds = [problem.gold] if problem.gold else []
        return await scored(self.score, MEASURES, problem, answers, golds)

    def _schema(self, problem: Problem) -> str:
        return cast(str, problem.data.get("schema", "")) or self.schema or ""


def _text(cell: Any) -> str:
    """Return a cell as JSON: itself where its text is JSON, else a string, number or object."""
    if isinstance(cell, str):
        try:
            parsed(cell)
        except NotJSONError:
            return json.dumps(cell, ensure_ascii=False)
        return str(cell)
    return json.dumps(_plain(cell), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Return what was read of a file, its numbers as such: the reader keeps fractions as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in cast(Mapping[Any, Any], value).items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in cast(Sequence[Any], value)]
    return float(value) if isinstance(value, str) and type(value) is not str else value


def _schema_text(schema: str) -> str:
    if not schema.lstrip().startswith("{"):
        try:
            schema = read_small(Path(schema)).decode()
        except (OSError, ValueError) as error:
            raise ConfigError(f"schema is {schema}: {error}") from error
    _validator(schema)
    return schema


@lru_cache(maxsize=256)
def _validator(schema: str) -> Any:
    """Return what checks values; raises ConfigError for no schema, and without the library."""
    try:
        from jsonschema import Draft202012Validator, SchemaError
    except ImportError:
        raise ExtraError("a schema needs", "schema") from None
    try:
        decoded = json.loads(schema)
        Draft202012Validator.check_schema(decoded)
    except (ValueError, RecursionError, SchemaError) as error:
        first, *_ = str(error).splitlines()
        raise ConfigError(f"the schema is not a JSON schema: {first}") from error
    return Draft202012Validator(decoded)


def _fits(answer: str, schema: str) -> bool:
    try:
        return _validator(schema).is_valid(json.loads(answer))
    except RecursionError:
        return False
