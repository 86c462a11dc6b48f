"""Say what a bench runs: a TOML file, and flags over it."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import msgspec

from ttc_client.bench.dataset import Selection, read_problem_set
from ttc_client.bench.grid import Grid
from ttc_client.bench.sources import DEMO_SETS
from ttc_client.errors import ConfigError
from ttc_client.search.params import SearchParams
from ttc_client.settings.config import (
    DEFAULT_FILE,
    SETTINGS,
    Settings,
    merge_settings,
    read_toml,
)
from ttc_client.types import Problem

RECIPES = Path(__file__).parent / "recipes"
BASELINE = "greedy"
"""Runs beside the strategy of the settings where no strategies are named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A problem set and a grid; an empty list stands for the one value that the settings name."""

    dataset: str = ""
    split: str = "test"
    column: dict[str, str] = field(default_factory=dict[str, str])
    levels: tuple[str, ...] = ()
    limit: int | None = None
    shard: str = "1/1"
    strategy: tuple[str, ...] = ()
    n: tuple[int, ...] = ()
    seed: tuple[int, ...] = ()


LISTS = ("levels", "strategy", "n", "seed")
RECIPE = tuple(entry.name for entry in fields(Recipe))


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is made of; `selected` says in words which rows and problems were taken."""

    problems: tuple[Problem, ...]
    selected: str
    settings: Settings
    searches: tuple[SearchParams, ...]
    recorded: dict[str, Any]
    """What decides the outcome, except the models and the problems themselves."""


def load_plan(
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    file: Path | None = None,
    *,
    demo: bool = False,
) -> Plan:
    """Merge flags over environment over a TOML file over defaults, and read the problems.

    The file may set all that `ttc.toml` may, and the fields of a `Recipe`; the name of a shipped
    recipe, such as `llama-1b`, stands for its file. A flag that is None was not given. Without
    `demo`, the demo models are refused for problems that they were not made for. Raises
    ConfigError that names the value and the fix.
    """
    path = _shipped(file) if file else DEFAULT_FILE
    table = read_toml(path, sorted({*SETTINGS, *RECIPE}), required=file is not None)
    given = {name: value for name, value in flags.items() if value is not None}
    recipe = _recipe({**_only(table, RECIPE), **_only(given, RECIPE)})
    if not recipe.dataset:
        raise ConfigError("no dataset: give it as an argument, or in a recipe")
    shared = {name: value for name, value in given.items() if name not in RECIPE}
    table = {name: value for name, value in table.items() if name not in RECIPE}
    settings = merge_settings(shared, environment, table, str(path))
    if settings.servers.is_demo and recipe.dataset not in DEMO_SETS and not demo:
        raise ConfigError(
            f"no server is named, and the demo models know little of {recipe.dataset}: name real "
            "ones with --policy URL and --prm URL, or say --demo if you mean it"
        )
    values = settings.values
    grid = Grid(
        recipe.strategy or tuple(dict.fromkeys((BASELINE, values["strategy"]))),
        recipe.n or (values["n"],),
        recipe.seed or (values["seed"],),
    )
    found = read_problem_set(recipe.dataset, settings.task, recipe.column, recipe.split)
    selection = Selection(recipe.levels, recipe.limit, _shard(recipe.shard))
    recorded = {
        "dataset": recipe.dataset,
        "levels": recipe.levels,
        "limit": recipe.limit,
        "shard": recipe.shard,
        "strategy": grid.strategies,
        "n": grid.budgets,
        "seed": grid.seeds,
        **grid.settings(settings),
    }
    if found.left_out:
        recorded["left_out"] = len(found.left_out)
        warnings.warn(found.note, stacklevel=2)
    taken = selection.of(found.problems)
    selected = selection.said(len(taken), len(found.problems))
    return Plan(taken, selected, settings, grid.searches(settings), recorded)


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(RECIPES.glob("*.toml"))}


def _shipped(file: Path) -> Path:
    """Return a recipe's file, or that of the shipped one of this name."""
    shipped = shipped_recipes()
    if file.exists():
        return file
    if str(file) not in shipped:
        raise ConfigError(
            f"recipe is {file}: there is no such file; shipped are {', '.join(shipped)}"
        )
    return shipped[str(file)]


def _recipe(values: dict[str, Any]) -> Recipe:
    """Check the values; lists may also be given as text, with commas, or as one value."""
    for name in LISTS:
        if isinstance(value := values.get(name), str):
            values[name] = [part.strip() for part in value.split(",") if part.strip()]
        elif name in values and not isinstance(value, list):
            values[name] = [value]
    values["levels"] = [str(level) for level in values.get("levels", ())]
    for name in ("n", "seed"):
        for value in values.get(name, ()):
            try:
                msgspec.convert(value, int, strict=False)
            except msgspec.ValidationError:
                raise ConfigError(
                    f"{name} is {value!r}: write whole numbers, such as 4,16,64"
                ) from None
    try:
        return msgspec.convert(values, Recipe, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"the recipe is {values}: {error}") from error


def _shard(text: str) -> tuple[int, int]:
    index, _, count = text.partition("/")
    try:
        return int(index), int(count)
    except ValueError:
        raise ConfigError(f"shard is {text!r}: write it as i/k, such as 1/4") from None


def _only(values: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}
