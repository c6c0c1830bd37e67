"""How copies are divided: a table of sizes, and properties of every size."""

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
    Tuning,
    plan_parts,
    seconds_to_end,
)

TUNING = Tuning()
TIB = 1024 * GIB
LARGEST_OBJECT = MOST_PARTS * LARGEST_PART  # 48.8 TiB, according to S3
LATENCY = 0.030
# The requests: look up the upload and the slot, list older uploads, create, complete, remove.
# Unfinished copies are listed while parts are copied.
OTHER_REQUESTS, IN_SEQUENCE = 7, 6


def seconds(size: int) -> float:
    """Return the seconds of a multipart promotion in the model of `make bench`."""
    parts = plan_parts(size, TUNING)
    waves = -(-len(parts) // TUNING.streams)
    longest = max(part.size for part in parts)
    return waves * (longest / STREAM_BYTES_PER_SECOND + LATENCY) + IN_SEQUENCE * LATENCY


@pytest.mark.parametrize(
    ("size", "parts"),
    [
        pytest.param(1, 1, id="a byte"),
        pytest.param(34 * MIB - 1, 1, id="a byte less than two parts"),
        pytest.param(34 * MIB, 2, id="two parts"),
        pytest.param(34 * MIB + 1, 2, id="the smallest size that is copied in parts"),
        pytest.param(250 * 10**6, 14, id="250 MB"),
        pytest.param(250 * MIB, 14, id="250 MiB"),
        pytest.param(GIB, 57, id="1 GiB: few more parts, but larger ones"),
        pytest.param(5 * GIB, 129, id="5 GiB"),
        pytest.param(5 * GIB + 1, 129, id="too large for one request"),
        pytest.param(20 * GIB, 250, id="20 GiB: all streams in use"),
        pytest.param(70 * GIB, 250, id="70 GiB: no second, half-empty wave"),
        pytest.param(100 * GIB, 500, id="100 GiB: two waves"),
        pytest.param(TIB, 1_750, id="1 TiB"),
        pytest.param(20 * TIB, 8_250, id="20 TiB"),
        pytest.param(LARGEST_OBJECT, 10_000, id="48.8 TiB: the most parts, of the largest size"),
    ],
)
def test_the_number_of_parts(size: int, parts: int) -> None:
    assert len(plan_parts(size, TUNING)) == parts


@given(st.integers(min_value=1, max_value=LARGEST_OBJECT))
@example(1)
@example(LARGEST_OBJECT)
@example(LARGEST_OBJECT - 1)
def test_parts_of_any_size_cover_every_byte_once_within_s3_s_limits(size: int) -> None:
    parts = plan_parts(size, TUNING)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    assert (parts[0].first, parts[-1].last) == (0, size - 1)
    assert all(part.last + 1 == following.first for part, following in pairwise(parts))
    assert len(parts) <= MOST_PARTS
    assert all(5 * MIB <= part.size <= LARGEST_PART for part in parts[:-1])
    assert 1 <= parts[-1].size <= LARGEST_PART


@given(st.integers(min_value=1, max_value=LARGEST_OBJECT))
def test_streams_share_any_size_evenly(size: int) -> None:
    """All parts are copied in parallel, or in full waves."""
    parts = plan_parts(size, TUNING)
    assert len(parts) <= TUNING.streams or len(parts) % TUNING.streams == 0
    assert max(part.size for part in parts) - min(part.size for part in parts) <= 1


@given(
    st.integers(min_value=1, max_value=10_000),
    st.integers(min_value=1, max_value=100),
    st.integers(min_value=1, max_value=20),
)
def test_small_limits_divide_in_the_same_way(size: int, part_size: int, streams: int) -> None:
    """Tests copy parts of a few bytes."""
    parts = plan_parts(size, Tuning(part=part_size, streams=streams))
    assert sum(part.size for part in parts) == size
    assert all(part.last + 1 == following.first for part, following in pairwise(parts))
    assert len(parts) == 1 or all(part.size >= part_size for part in parts)
    assert len(parts) <= streams or len(parts) % streams == 0


@pytest.mark.parametrize(
    ("size", "max_seconds", "max_requests"),
    [
        # boto3's copy(): parts of 8 MiB, 16 MiB for 100 GiB, ten at a time; HEAD, create, complete.
        # For 250 MB, the factor was only 1.2 even before the request that lists older uploads (30
        # ms).
        pytest.param(250 * 10**6, (3 * 0.177 + 0.09) / 1.18, 21, id="250 MB"),
        pytest.param(250 * MIB, (4 * 0.177 + 0.09) / 1.2, 21, id="250 MiB"),
        pytest.param(5 * GIB, min((64 * 0.177 + 0.09) / 8, 94.2 / 60), 140, id="5 GiB"),
        pytest.param(100 * GIB, (640 * 0.324 + 0.09) / 20, 600, id="100 GiB"),
    ],
)
def test_the_plan_reaches_its_targets(size: int, max_seconds: float, max_requests: int) -> None:
    parts = len(plan_parts(size, TUNING))
    streams = min(parts, TUNING.streams)
    assert seconds(size) <= max_seconds
    assert parts + OTHER_REQUESTS <= max_requests
    if size >= 5 * GIB:
        assert seconds(size) <= 1.5 * size / STREAM_BYTES_PER_SECOND / streams


def test_the_table_in_the_docstring_is_right() -> None:
    units = {"MB": 10**6, "GiB": GIB, "TB": 10**12}
    rows = re.findall(
        r"^ +(\d+) (\w+) +([\d,.]+) +([\d,]+) +([\d,]+) +([\d,.]+)$", DOC, re.MULTILINE
    )
    assert len(rows) == 5
    for number, unit, *columns in rows:
        size = int(number) * units[unit]
        parts = plan_parts(size, TUNING)
        in_parts = size > TUNING.single
        in_one_request = size / STREAM_BYTES_PER_SECOND + 6 * LATENCY
        assert columns == [
            f"{len(parts):,}",
            f"{round(parts[0].size / MIB):,}",
            f"{len(parts) + OTHER_REQUESTS if in_parts else 6:,}",
            f"{seconds(size):,.1f}" if in_parts else f"{in_one_request:.1f}",
        ]


DOC = copy_plan.__doc__ or ""


def test_running_parts_end_before_a_run_is_killed() -> None:
    """A third of a run is enough for the largest part at half the usual speed, plus reserve."""
    assert seconds_to_end(LARGEST_PART, TUNING) < 900 / 3
    assert seconds_to_end(17 * MIB, TUNING) == TUNING.read_timeout + TUNING.reserve
