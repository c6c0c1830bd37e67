"""Draws the chart: the time that each program takes per size, in multiples of ours."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.moving import Result

WIDTH, LEFT, RIGHT, ROW, GAP, TOP = 760, 150, 90, 18, 22, 56
# Colours that are readable on white and on black.
COLOURS = {
    "ours": "#0f9d76",
    "boto3 copy()": "#4285d8",
    "boto3, 250 streams": "#3aa6b9",
    "aws s3 mv": "#8a63c9",
    "s3cmd mv": "#d07a1f",
    "rclone moveto": "#c94f7c",
    "CopyObject": "#808890",
}


def draw(results: Sequence[Result]) -> str:
    """Return an SVG with bars on a logarithmic scale, for light and dark themes."""
    measured = [(result, result.measurement) for result in results if result.measurement]
    ours = {
        result.size: measurement.seconds
        for result, measurement in measured
        if result.contestant == "ours"
    }
    ratios = {
        (result.size, result.contestant): measurement.seconds / ours[result.size]
        for result, measurement in measured
        if result.size in ours
    }
    largest = 10 ** math.ceil(math.log10(max(ratios.values(), default=10)))
    smallest = 0.5
    scale = (WIDTH - LEFT - RIGHT) / math.log10(largest / smallest)

    def x(ratio: float) -> float:
        return LEFT + scale * math.log10(max(ratio, smallest) / smallest)

    bars, y = [], TOP
    for size, our_seconds in ours.items():
        bars.append(f'<text class="size" x="12" y="{y + 13}">{escape(size)}</text>')
        for (bar_size, contestant), ratio in ratios.items():
            if bar_size != size:
                continue
            seconds = ratio * our_seconds
            bars.append(
                f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(contestant)}</text>'
                f'<rect x="{LEFT}" y="{y + 2}" width="{x(ratio) - LEFT:.1f}" height="{ROW - 4}" '
                f'fill="{COLOURS[contestant]}"/>'
                f'<text x="{x(ratio) + 6:.1f}" y="{y + 13}">'
                f"{_times(ratio)}, {_duration(seconds)}</text>"
            )
            y += ROW
        y += GAP
    ticks = [10**power for power in range(round(math.log10(largest)) + 1)]
    grid = "".join(
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP - 6}" y2="{y - GAP}"/>'
        f'<text x="{x(tick):.1f}" y="{TOP - 12}" text-anchor="middle">{tick:g}</text>'
        for tick in ticks
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" '
        'aria-label="The time that each program takes per size, in multiples of ours">\n'
        "<style>text{font:12px system-ui,sans-serif;fill:#24292f}.size,.title{font-weight:600}"
        "line{stroke:#8888;stroke-width:1}"
        "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>\n"
        f'<text class="title" x="12" y="20">Time to move one object, in multiples of ours '
        "(model of S3, logarithmic)</text>\n"
        f"<g>{grid}</g>\n" + "\n".join(bars) + "\n</svg>\n"
    )


def _times(ratio: float) -> str:
    return f"{ratio:.{0 if ratio >= 10 else 1}f} x"  # noqa: PLR2004


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"
