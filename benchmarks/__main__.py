"""`make bench`: measures on this machine, and prints tables of ratios."""

import tempfile
from pathlib import Path

from rich.console import Console

from benchmarks import starting
from benchmarks.bundle import unpack_bundle
from localcloud.cloud import running


def main() -> None:
    """Measure the bundle that is deployed."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory, running() as cloud:
        console.print("Building the bundle with Chalice (some seconds) ...")
        bundle = Path(directory)
        cloud.prepare()
        cloud.deploy()
        unpack_bundle(bundle)
        starting.report(console, bundle, cloud)


if __name__ == "__main__":
    main()
