"""How copies are divided: a table of sizes, and what holds for every size."""

import re
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.promotion import copy_plan
from chalicelib.promotion.copy_plan import (
    GIB,
    LARGEST_PART,
    MIB,
    MOST_PARTS,
    STREAM_BYTES_PER_SECOND,
    Limits,
    plan_parts,
    seconds_to_end,
)

LIMITS = Limits()
TIB = 1024 * GIB
LARGEST_OBJECT = MOST_PARTS * LARGEST_PART  # what S3 calls 48.8 TiB
LATENCY = 0.030
# Look, look, list older uploads, create, complete, remove; while parts are copied, list unfinished
# copies.
OTHER_REQUESTS, IN_SEQUENCE = 7, 6


def seconds(size: int) -> float:
    """What a promotion in parts takes in the model of `make bench`."""
    parts = plan_parts(size, LIMITS)
    waves = -(-len(parts) // LIMITS.streams)
    longest = max(part.size for part in parts)
    return waves * (longest / STREAM_BYTES_PER_SECOND + LATENCY) + IN_SEQUENCE * LATENCY


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        pytest.param(1, 1, id="a byte"),
        pytest.param(34 * MIB - 1, 1, id="a byte less than two parts"),
        pytest.param(34 * MIB, 2, id="two parts"),
        pytest.param(34 * MIB + 1, 2, id="the smallest that is copied in parts"),
        pytest.param(250 * 10**6, 14, id="250 MB"),
        pytest.param(250 * MIB, 14, id="250 MiB"),
        pytest.param(GIB, 57, id="1 GiB: hardly more parts, they get larger now"),
        pytest.param(5 * GIB, 129, id="5 GiB"),
        pytest.param(5 * GIB + 1, 129, id="too large for one request"),
        pytest.param(20 * GIB, 250, id="20 GiB: all streams"),
        pytest.param(70 * GIB, 250, id="70 GiB: no second wave that would be half empty"),
        pytest.param(100 * GIB, 500, id="100 GiB: two waves"),
        pytest.param(TIB, 1_750, id="1 TiB"),
        pytest.param(20 * TIB, 8_250, id="20 TiB"),
        pytest.param(LARGEST_OBJECT, 10_000, id="48.8 TiB: as many as can be, as large as can be"),
    ],
)
def test_the_number_of_parts(size: int, parts: int) -> None:
    assert len(plan_parts(size, LIMITS)) == parts


@given(st.integers(min_value=1, max_value=LARGEST_OBJECT))
@example(1)
@example(LARGEST_OBJECT)
@example(LARGEST_OBJECT - 1)
def test_whatever_the_size_parts_cover_every_byte_once_within_what_s3_allows(size: int) -> None:
    parts = plan_parts(size, LIMITS)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert (parts[0].first, parts[-1].last) == (0, size - 1)
    assert all(one.last + 1 == other.first for one, other in pairwise(parts))
    assert len(parts) <= MOST_PARTS
    assert all(5 * MIB <= part.size <= LARGEST_PART for part in parts[:-1])
    assert 1 <= parts[-1].size <= LARGEST_PART


@given(st.integers(min_value=1, max_value=LARGEST_OBJECT))
def test_whatever_the_size_no_stream_waits_for_others(size: int) -> None:
    """All parts run at once, or in waves of which the last is as full as the first."""
    parts = plan_parts(size, LIMITS)
    assert len(parts) <= LIMITS.streams or len(parts) % LIMITS.streams == 0
    assert max(part.size for part in parts) - min(part.size for part in parts) <= 1


@given(
    st.integers(min_value=1, max_value=10_000),
    st.integers(min_value=1, max_value=100),
    st.integers(min_value=1, max_value=20),
)
def test_small_limits_divide_alike(size: int, part: int, streams: int) -> None:
    """Tests copy parts of a few bytes."""
    parts = plan_parts(size, Limits(part=part, streams=streams))
    assert sum(one.size for one in parts) == size
    assert all(one.last + 1 == other.first for one, other in pairwise(parts))
    assert len(parts) == 1 or all(one.size >= part for one in parts)
    assert len(parts) <= streams or len(parts) % streams == 0


@pytest.mark.parametrize(
    ("size", "most_seconds", "most_requests"),
    [
        # boto3's copy(): parts of 8 MiB, 16 MiB for 100 GiB, ten at a time; look, create, complete.
        # The list of older uploads costs one request, 30 ms: it was 1.2 times as fast without.
        pytest.param(250 * 10**6, (3 * 0.177 + 0.09) / 1.18, 21, id="250 MB"),
        pytest.param(250 * MIB, (4 * 0.177 + 0.09) / 1.2, 21, id="250 MiB"),
        pytest.param(5 * GIB, min((64 * 0.177 + 0.09) / 8, 94.2 / 60), 140, id="5 GiB"),
        pytest.param(100 * GIB, (640 * 0.324 + 0.09) / 20, 600, id="100 GiB"),
    ],
)
def test_the_plan_reaches_what_it_was_made_for(
    size: int, most_seconds: float, most_requests: int
) -> None:
    parts = len(plan_parts(size, LIMITS))
    streams = min(parts, LIMITS.streams)
    assert seconds(size) <= most_seconds
    assert parts + OTHER_REQUESTS <= most_requests
    if size >= 5 * GIB:
        assert seconds(size) <= 1.5 * size / STREAM_BYTES_PER_SECOND / streams


def test_the_table_in_the_room_s_own_words_is_right() -> None:
    units = {"MB": 10**6, "GiB": GIB, "TB": 10**12}
    rows = re.findall(
        r"^ +(\d+) (\w+) +([\d,.]+) +([\d,]+) +([\d,]+) +([\d,.]+)$", DOC, re.MULTILINE
    )
    assert len(rows) == 5
    for number, unit, *told in rows:
        size = int(number) * units[unit]
        parts = plan_parts(size, LIMITS)
        in_parts = size > LIMITS.single
        once = size / STREAM_BYTES_PER_SECOND + 6 * LATENCY
        assert told == [
            f"{len(parts):,}",
            f"{round(parts[0].size / MIB):,}",
            f"{len(parts) + OTHER_REQUESTS if in_parts else 6:,}",
            f"{seconds(size):,.1f}" if in_parts else f"{once:.1f}",
        ]


DOC = copy_plan.__doc__ or ""


def test_no_run_is_so_short_that_parts_under_way_would_be_killed() -> None:
    """The largest part of all at half the usual speed, and the reserve, fit a third of a run."""
    assert seconds_to_end(LARGEST_PART, LIMITS) < 900 / 3
    assert seconds_to_end(17 * MIB, LIMITS) == LIMITS.patience + LIMITS.reserve
