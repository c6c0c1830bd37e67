"""How results look: tables that are Markdown already, and targets that are met or not."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Target:
    """Something that must be reached, and what was measured.

    `known` says why a target that is missed by so much is missed: that is told, and is no failure.
    """

    sentence: str
    met: bool
    measured: str
    known: str = ""

    @property
    def verdict(self) -> str:
        """Whether it is met, in words."""
        return "met" if self.met else f"NOT MET{self.known and f': {self.known}'}"


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
    """Print which targets are met; whether all others are known."""
    rows = [[target.sentence, target.measured, target.verdict] for target in targets]
    if rows:
        table(console, "What must be reached", ["", "measured", ""], rows)
    return all(target.met or target.known for target in targets)
