"""Divides a copy into parts. Pure: a plan depends only on the copy's size and a few named settings.

With 57 MB/s per stream and 30 ms per request:

    size     parts  MiB each  requests  seconds
    10 MB        1        10         6      0.4
    250 MB      14        17        21      0.5
    5 GiB      129        40       136      0.9
    100 GiB    500       205       507      7.8
    5 TB     3,750     1,272     3,757    351.5
"""

import math
from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3
# What S3 allows (S3 user guide, "Amazon S3 multipart upload limits").
LARGEST_PART = 5 * GIB
MOST_PARTS = 10_000
# One copy stream moves about this many bytes a second: a CopyObject of 5 GiB takes 94 s.
STREAM_BYTES_PER_SECOND = 57_000_000
# The best published rate of one function: 2 TB in five minutes.
BEST_BYTES_PER_SECOND = 6_700_000_000
# A request also costs about 6 ms of the function's share of a CPU: 1/56 of the time of the shortest
# part. n parts at once take (size / n) / 57 MB/s + n * 6 ms, which is least when n is a root.
PARTS_FOR_THE_PRICE_OF_A_REQUEST = 56


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Which copies are made in parts, how large the parts are, and how many are copied together.

    `single`: up to this size (bytes) one request copies everything, in about 0.6 s.
    `part`: the smallest part (bytes): copying it takes ten times the latency of its request.
    `streams`: how many parts at a time. S3 allows 3,500 copies a second, and a Lambda container
    1,024 threads and files. This number divides 10,000, so that even the largest copy fills every
    wave.
    `read_timeout`: the seconds that the client waits for a response. A copy of 5 GiB takes 94 s.
    `reserve`: the seconds at the end of a run that are kept for completing or aborting.
    `pause`: the seconds to wait, multiplied by the attempt's number, when S3 asks to slow down, or
    while another request is writing to the same slot.
    """

    single: int = 34 * MIB
    part: int = 17 * MIB
    streams: int = 250
    read_timeout: float = 150.0
    reserve: float = 60.0
    pause: float = 2.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a copy: its number, from 1, and its first and last byte."""

    number: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """The part's number of bytes."""
        return self.last - self.first + 1


def plan_parts(size: int, tuning: Tuning) -> list[Part]:
    """Plan a copy of `size` bytes (1 or more) in full waves of equal parts (to within a byte)."""
    number = _number_of_parts(size, tuning)
    return [
        Part(number=one, first=size * (one - 1) // number, last=size * one // number - 1)
        for one in range(1, number + 1)
    ]


def unlimited() -> float:
    """The seconds left in a run without a time limit."""
    return math.inf


def largest_copy(seconds: float) -> float:
    """How many bytes a run of this many seconds could copy at the best published rate."""
    return seconds * BEST_BYTES_PER_SECOND


def seconds_to_end(part_size: int, tuning: Tuning) -> float:
    """How many seconds a run must have left to start another part of `part_size` bytes.

    In that time the part ends even at half the usual speed, or the client times out, without using
    up the reserve.
    """
    return max(2 * part_size / STREAM_BYTES_PER_SECOND, tuning.read_timeout) + tuning.reserve


def _number_of_parts(size: int, tuning: Tuning) -> int:
    most = max(1, size // tuning.part)
    number = min(most, math.isqrt(PARTS_FOR_THE_PRICE_OF_A_REQUEST * most), MOST_PARTS)
    if number > tuning.streams:
        number -= number % tuning.streams
    return max(number, math.ceil(size / LARGEST_PART))
