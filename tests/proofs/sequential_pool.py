"""A pool without threads, for tests in which requests must have the same order every time."""

from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


class InTurn(Executor):
    """Replaces a thread pool: calls each function when it is submitted."""

    def __init__(self, max_workers: int) -> None:
        assert max_workers == 1, "several streams have no order"

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - as the pool does
            future.set_exception(error)
        return future


@contextmanager
def parts_in_turn() -> Iterator[None]:
    """Within the block, parts are copied one after another."""
    with patch("chalicelib.promotion.multipart.ThreadPoolExecutor", InTurn):
        yield
