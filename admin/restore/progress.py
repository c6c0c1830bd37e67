"""Shows the progress of a transfer on stderr: its rate, and the time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextmanager
def progress(size: int) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal, else nothing; call what it yields with numbers of bytes."""
    console = Console(file=sys.stderr)
    columns = (
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=size)
        yield lambda count: bar.advance(task, count)
