"""`make bench`: measures on this machine, side by side, and says which targets are met."""

import sys
import tempfile
from pathlib import Path

import click
from rich.console import Console

from benchmarks import chart, delivery, many, moving, settings, starting, sweeping, tables
from benchmarks.bundle import unpack_bundle
from demo.stage import running

SECTIONS = ("moving", "many", "sweeping", "settings", "starting", "delivery")
# 5GiB: one word, for a shell.
SIZES = {size.replace(" ", ""): size for size in moving.SIZES}
# A table torn into lines could be neither read nor pasted.
WIDTH = 200


@click.command()
@click.argument("what", nargs=-1, type=click.Choice([*SECTIONS, *SIZES]))
@click.option("--chart", "picture", type=click.Path(path_type=Path), help="Also draw this SVG.")
def main(*, what: tuple[str, ...], picture: Path | None) -> None:
    r"""Measure everything, or only WHAT: sections, and sizes to move.

    \b
    Examples:
      make bench
      make bench ARGS="moving 250MB 5GiB"
      make bench ARGS="moving --chart docs/moving.svg"

    Exit status 1: a target is not met.
    """
    sizes = [SIZES[one] for one in SIZES if one in what] or list(moving.SIZES)
    sections = [section for section in SECTIONS if section in what]
    if not sections:
        sections = ["moving"] if what else list(SECTIONS)
    console = Console(width=WIDTH, highlight=False, soft_wrap=True)
    targets: list[tables.Target] = []
    if "moving" in sections:
        runs, reached = moving.report(console, sizes)
        targets += reached
        if picture:
            picture.write_text(chart.draw(runs), encoding="utf-8")
    if "many" in sections:
        targets += many.report(console)
    if "sweeping" in sections:
        targets += sweeping.report(console)
    if {"settings", "starting", "delivery"} & set(sections):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory, running() as cloud:
            console.print("\nBuilding the bundle with Chalice (some seconds) ...")
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
