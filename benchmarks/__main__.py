"""`make bench`: measures the app and its alternatives, and prints which targets are met."""

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from benchmarks import (
    auditing,
    chart,
    delivery,
    listing,
    many,
    moving,
    people,
    restoring,
    settings,
    showing,
    starting,
    sweeping,
    tables,
)
from benchmarks.bundle import unpack_bundle
from demo.stage import running

SECTIONS = (
    "moving",
    "many",
    "sweeping",
    "auditing",
    "listing",
    "showing",
    "restoring",
    "people",
    "settings",
    "starting",
    "delivery",
)
# Without a space, so that a size such as 5GiB is one word of the command line.
SIZES = {size.replace(" ", ""): size for size in moving.SIZES}
# Wide enough for every table: a wrapped table can be neither read nor pasted.
WIDTH = 200


@click.command()
@click.argument("parts", nargs=-1, type=click.Choice([*SECTIONS, *SIZES]))
@click.option(
    "--chart",
    "picture",
    type=click.Path(path_type=Path),
    help="Also draw a chart into this SVG file.",
)
def main(*, parts: tuple[str, ...], picture: Path | None) -> None:
    """Measure everything, or only the named parts: sections, and sizes to move.

    Example: make bench ARGS="moving 250MB 5GiB --chart docs/moving.svg"

    The exit status is 1 if a target is missed.
    """
    sizes = [SIZES[name] for name in SIZES if name in parts] or list(moving.SIZES)
    sections = [section for section in SECTIONS if section in parts]
    if not sections:
        sections = ["moving"] if parts else list(SECTIONS)
    console = Console(width=WIDTH, highlight=False, soft_wrap=True)
    targets: list[tables.Target] = []
    if "moving" in sections:
        results, moving_targets = moving.report(console, sizes)
        targets += moving_targets
        if picture:
            picture.write_text(chart.draw(results), encoding="utf-8")
    for section in (many, sweeping, auditing, listing, showing, restoring, people):
        if section.__name__.rpartition(".")[2] in sections:
            targets += section.report(console)
    if {"settings", "starting", "delivery"} & set(sections):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, running() as cloud:
            console.print("\nBuilding the bundle with Chalice (a few seconds) ...")
            bundle = Path(directory)
            cloud.prepare()
            cloud.deploy()
            unpack_bundle(bundle)
            if "settings" in sections:
                settings.report(console, bundle)
            if "starting" in sections:
                targets += starting.report(console, bundle, cloud)
            if "delivery" in sections:
                delivery.report(console, cloud)
    sys.exit(0 if tables.judge(console, targets) else 1)


if __name__ == "__main__":
    main()
