"""How results look: tables that are Markdown already, and targets that are met or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Target:
    """Something that must be reached, and what was measured."""

    sentence: str
    met: bool
    measured: str


def table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table, its first column to the left and all others to the right."""
    console.print(f"\n{title}\n")
    grid = Table(box=box.MARKDOWN)
    for number, column in enumerate(columns):
        grid.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*map(escape, row))
    console.print(grid)


def judge(console: Console, targets: Sequence[Target]) -> bool:
    """Print which targets are met; whether all are."""
    rows = [
        [target.sentence, target.measured, "met" if target.met else "NOT MET"] for target in targets
    ]
    if rows:
        table(console, "What must be reached", ["", "measured", ""], rows)
    return all(target.met for target in targets)
