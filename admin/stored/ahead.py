"""Reads several iterators at once, each of them one item ahead of its reader."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")

AT_A_TIME = 4


def read_ahead(sources: Sequence[Iterator[Item]]) -> Iterator[Iterator[Item]]:
    """The items of each source, in order; an error is raised where its item would be."""
    pool = ThreadPoolExecutor(AT_A_TIME)
    first: dict[int, Future[Item | None]] = {}

    def begin(number: int) -> None:
        if number < len(sources):
            first[number] = pool.submit(next, sources[number], None)

    def items(number: int) -> Iterator[Item]:
        future = first.pop(number)
        while (item := future.result()) is not None:
            future = pool.submit(next, sources[number], None)
            yield item

    try:
        for number in range(AT_A_TIME):
            begin(number)
        for number in range(len(sources)):
            yield items(number)
            begin(number + AT_A_TIME)
    finally:
        pool.shutdown(cancel_futures=True)
