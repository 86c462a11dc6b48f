"""Read files of rows: JSON lines, JSON, CSV, TSV and Parquet, compressed by gzip or not.

Knows files and columns; knows nothing of problems.
"""

import csv
import gzip
import importlib
import io
import re
import sys
import threading
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec

from ttc_client.bench.cells import JSONNumber
from ttc_client.errors import ExtraError

Row = Mapping[str, Any]
T = TypeVar("T")

SPILLED = "\0more cells than columns"
"""The column of a CSV row that has more cells than the header."""

_GZIP = ".gz"
_DELIMITERS = ",;\t"

_NO_JSON = re.compile(r'("(?:[^"\\]|\\.)*")|-?(?:NaN|Infinity)')
"""Strings, and outside of them what Python's json and pandas write for what is not a number."""

_plain_object = msgspec.json.Decoder(dict[str, Any])
_object = msgspec.json.Decoder(dict[str, Any], float_hook=JSONNumber)
_value = msgspec.json.Decoder(float_hook=JSONNumber)
_csv_limit = threading.Lock()


def is_readable(path: Path) -> bool:
    """Whether a file's name ends as one of those that are read."""
    return _kind(path) in READERS


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a file; raises OSError, ValueError that says where, and ConfigError."""
    try:
        return list(READERS[_kind(path)](path))
    except (EOFError, zlib.error) as error:
        raise ValueError(f"its compressed data is damaged: {error}") from error


def decode_object(line: bytes | str) -> dict[str, Any]:
    """Decode a JSON object, in which NaN and Infinity stand for nothing; raises ValueError."""
    return _decoded(_plain_object, line)


def read_parquet(path: Path) -> list[Row]:
    """Read a Parquet file; raises ConfigError where the extra for it is not installed."""
    return import_extra("pyarrow.parquet", "Parquet files").read_table(path).to_pylist()


def import_extra(module: str, what: str, extra: str = "datasets") -> Any:
    """Import a module of an extra, that for problem sets; raises ExtraError where it is missing."""
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ExtraError(f"{what} need", extra) from None


def _kind(path: Path) -> str:
    """Return the ending that says how a file is to be read."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if suffixes and suffixes[-1] == _GZIP:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _text(path: Path) -> str:
    """Return a text without its byte-order mark; UTF-8 unless the mark says UTF-16."""
    data = path.read_bytes()
    if path.suffix.lower() == _GZIP:
        data = gzip.decompress(data)
    encoding = "utf-16" if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"
    return data.decode(encoding)


def _decoded(decoder: "msgspec.json.Decoder[T]", data: bytes | str) -> T:
    text = data.decode() if isinstance(data, bytes) else data
    try:
        try:
            return decoder.decode(text)
        except msgspec.DecodeError:
            if (tolerable := _NO_JSON.sub(lambda found: found[1] or "null", text)) == text:
                raise
            return decoder.decode(tolerable)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _json_lines(path: Path) -> list[Row]:
    return _lines(_text(path))


def _lines(text: str) -> list[Row]:
    rows: list[Row] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(_decoded(_object, line))
            except ValueError as error:
                raise ValueError(f"line {number} is no JSON object: {error}") from error
    return rows


def _json(path: Path) -> list[Row]:
    """Read a list of objects, also inside of an object; pandas' columns; or lines of objects."""
    text = _text(path)
    try:
        value = _decoded(_value, text)
    except ValueError:
        if len(lines := text.strip().split("\n")) > 1 and lines[0].rstrip().endswith("}"):
            return _lines(text)
        raise
    return _rows_of(value)


def _rows_of(value: Any) -> list[Row]:
    if _is_rows(value):
        return value
    if isinstance(value, dict):
        members = cast(dict[str, Any], value)
        if lists := [member for member in members.values() if member and _is_rows(member)]:
            if len(lists) > 1:
                raise ValueError("it holds several lists of objects: keep one")
            return lists[0]
        columns = [*members.values()]
        if columns and all(isinstance(column, dict) for column in columns):
            return _by_column(members)
        return [members] if members else []
    raise ValueError("it is not a list of objects")


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in cast(list[Any], value))


def _by_column(columns: dict[str, dict[str, Any]]) -> list[Row]:
    """Return the rows of what pandas writes: an object a column, a member a row."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    return [{key: column.get(name) for key, column in columns.items()} for name in names]


def _csv(path: Path) -> list[Row]:
    text = _text(path)
    header = text.split("\n", 1)[0]
    return _separated(text, max(_DELIMITERS, key=header.count))


def _tsv(path: Path) -> list[Row]:
    return _separated(_text(path), "\t")


def _separated(text: str, delimiter: str) -> list[Row]:
    with _csv_limit:  # of the whole process
        before = csv.field_size_limit(sys.maxsize)
        try:
            file = io.StringIO(text, newline="")
            reader = csv.reader(file, delimiter=delimiter)
            header = [name.strip() for row in islice(reader, 1) for name in row]
            return [_csv_row(header, cells) for cells in reader if any(cells)]
        except csv.Error as error:
            raise ValueError(str(error)) from error
        finally:
            csv.field_size_limit(before)


def _csv_row(header: list[str], cells: list[str]) -> Row:
    row = dict(zip(header, cells, strict=False))
    return {**row, SPILLED: True} if any(cells[len(header) :]) else row


READERS: dict[str, Callable[[Path], Iterable[Row]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
    ".parquet": read_parquet,
}
"""By the ending of a file's name, in lower case and without `.gz`."""
