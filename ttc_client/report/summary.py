"""Print what a bench run found to a terminal, or as plain text where there is none."""

from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ttc_client.report.tables import EMPTY, Table
from ttc_client.report.terminal import clean


def print_table(table: Table, console: Console) -> None:
    """Print a table, its numbers aligned to the right; a column that holds nothing is left out."""
    grid = Grid(box=None, header_style="bold", pad_edge=False)
    rows = table.texts()
    filled = [i for i in range(len(table.header)) if any(row[i] != EMPTY for row in rows)]
    for i in filled:
        grid.add_column(table.header[i], justify="right" if i else "left")
    for row in rows:
        grid.add_row(*(Text(clean(row[i])) for i in filled))
    console.print(grid)
