"""`ttc recipes`, `ttc datasets` and `ttc tasks`: what there is to run."""

from typing import Any

from ttc_client.cli.options import Json

_DATASETS = (
    ("demomath", "500 problems of arithmetic and algebra, made for the demo models", "built in"),
    ("demomath-choice", "the same with four options each, three of them common slips", "built in"),
    ("HuggingFaceH4/MATH-500", "the post's test set: competition mathematics, 5 levels", "Hub"),
    ("openai/gsm8k:main", "grade-school word problems", "Hub"),
    ("HuggingFaceH4/aime_2024", "30 olympiad problems; --split train", "Hub"),
    (
        "FILE",
        "your own: JSON lines, JSON, CSV or Parquet; a problem and an answer a row",
        "file",
    ),
)


def recipes(json: Json = False) -> None:
    """List the recipes that come with the package, for ttc bench --recipe NAME."""
    import tomllib

    from ttc_client.bench.recipe import shipped_recipes

    found = {
        name: tomllib.loads(path.read_text(encoding="utf-8"))
        for name, path in shipped_recipes().items()
    }
    rows = [
        (name, f"{recipe['dataset']}: {', '.join(recipe['strategy'])}", _budgets(recipe))
        for name, recipe in found.items()
    ]
    _show(("recipe", "what", "N"), rows, json=json)


def datasets(json: Json = False) -> None:
    """List problem sets to run: ttc bench NAME."""
    _show(("dataset", "what", "where"), _DATASETS, json=json)


def tasks(json: Json = False) -> None:
    """List the tasks, for --task NAME in ttc solve and ttc bench; ttc guide own-task adds one."""
    from dataclasses import fields

    from ttc_client.tasks.table import OPTIONS, TASKS

    def flags(kind: Any) -> str:
        own = [field.name for field in fields(kind) if field.name in {*OPTIONS, "grader"}]
        return ", ".join("--" + name.replace("_", "-") for name in own)

    rows = [(name, kind.about, flags(kind)) for name, kind in TASKS.items()]
    _show(("task", "what", "settings"), rows, json=json)


def _budgets(recipe: dict[str, object]) -> str:
    budgets = recipe.get("n")
    return str(budgets or "").strip("[]")


def _show(
    header: tuple[str, ...],
    rows: "list[tuple[str, ...]] | tuple[tuple[str, ...], ...]",
    *,
    json: bool,
) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ttc_client.report.terminal import print_json

    if json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
        return
    table = Table(*header, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)
