"""Tables on a terminal, and plain lines in a pipe or a file."""

import sys
from collections.abc import Sequence

import typer


def on_terminal() -> bool:
    return sys.stdout.isatty()


def table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()
) -> None:
    """Print a table on a terminal, elsewhere lines of tab-separated fields.

    numbers: columns that are aligned right.
    """
    if not on_terminal():
        for row in (columns, *rows):
            typer.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(header_style="bold")
    for column in columns:
        grid.add_column(column, justify="right" if column in numbers else "left")
    for row in rows:
        grid.add_row(*map(Text, row))
    Console().print(grid)


def size(count: float) -> str:
    """A number of bytes for reading."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
