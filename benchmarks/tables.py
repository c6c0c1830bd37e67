"""Prints results as Markdown tables, and which targets are met."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table


@dataclass(frozen=True)
class Target:
    """A target, and the number that was measured for it.

    `known` is the reason for a miss that is known: it is printed, and does not count as a failure.
    """

    sentence: str
    met: bool
    measured: str
    known: str = ""

    @property
    def verdict(self) -> str:
        """Return "met" or "NOT MET", with the reason if it is known."""
        return "met" if self.met else f"NOT MET{self.known and f': {self.known}'}"


def table(
    console: Console, title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    """Print a table with its first column aligned left, and the others right."""
    console.print(f"\n{title}\n")
    grid = Table(box=box.MARKDOWN)
    for number, column in enumerate(columns):
        grid.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*map(escape, row))
    console.print(grid)


def judge(console: Console, targets: Sequence[Target]) -> bool:
    """Print which targets are met; True if every missed one is known."""
    rows = [[target.sentence, target.measured, target.verdict] for target in targets]
    if rows:
        table(console, "Targets", ["", "measured", ""], rows)
    return all(target.met or target.known for target in targets)
