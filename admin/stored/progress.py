"""Shows on stderr how many backups have been read."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn


@contextmanager
def counting() -> Iterator[Callable[[str, int], None]]:
    """A line on a terminal, otherwise nothing; call the yielded function with a key and a number.

    It is not shown if stdout is a terminal as well, because the two would mix.
    """
    console = Console(file=sys.stderr)
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    is_shown = console.is_terminal and not sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, disable=not is_shown) as bar:
        task = bar.add_task("", total=None)
        yield lambda key, number: bar.update(task, advance=number, description=key)
