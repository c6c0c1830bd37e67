"""Shows on stderr how far a transfer is, its rate, and the time left."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import (
    Progress as Bar,
)


class Progress:
    """A progress bar on a terminal, and nothing elsewhere."""

    def __init__(self, size: int) -> None:
        console = Console(file=sys.stderr)
        self._bar = Bar(
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=size)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, size: int) -> None:
        """Count bytes that were transferred."""
        self._bar.advance(self._task, size)
