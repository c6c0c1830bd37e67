"""Measures a cold start: importing the bundle, and for comparison only boto3 with one S3 client.

The bundle has no compiled modules and is read-only in Lambda, so every cold start compiles them.
"""

import importlib
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.tables import Target, table
from localcloud.cloud import Cloud

ROUNDS = 11
MAX_RATIO = 1.25

# boto3 does not ship, but what it imports does.
PACKAGES_OF_BOTO3 = ("boto3", "s3transfer")
BARE = "import boto3; boto3.client('s3')"
OURS = "import app"
MEASURE = """
import pathlib, resource, sys, time
sys.path[:0] = {path!r}
start, start_cpu = time.perf_counter(), time.process_time()
{code}
wall, cpu = time.perf_counter() - start, time.process_time() - start_cpu
status = pathlib.Path('/proc/self/status')
if status.exists():  # on Linux, getrusage's peak includes the parent's
    peak = int(status.read_text().partition('VmHWM:')[2].split()[0]) / 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
print(wall, cpu, peak, file=sys.stderr)
"""


@dataclass(frozen=True)
class Start:
    """One start: wall-clock seconds, CPU seconds, and peak memory in MB."""

    wall: float
    cpu: float
    megabytes: float


def report(console: Console, bundle: Path, cloud: Cloud) -> list[Target]:
    """Print both starts; the target is their ratio. Adds boto3 to the bundle, and compiles it."""
    rows, ratios = [], []
    boto3_alone = bundle / "boto3_alone"
    _copy_boto3(boto3_alone)
    for state, flags in (("as uploaded", ["-B"]), ("compiled", [])):
        pairs = [
            (_run([bundle], OURS, cloud, flags), _run([bundle, boto3_alone], BARE, cloud, flags))
            for _ in range(ROUNDS + 1)
        ][1:]
        for name, starts in zip(
            ("the bundle", "boto3 and one S3 client"), zip(*pairs, strict=True), strict=True
        ):
            rows.append(
                [
                    f"{name}, {state}",
                    f"{_median(start.wall for start in starts):.3f}",
                    f"{_median(start.cpu for start in starts):.3f}",
                    f"{_median(start.megabytes for start in starts):.0f}",
                ]
            )
        ratios.append(_median(bundle_start.cpu / bare.cpu for bundle_start, bare in pairs))
        rows.append(["ratio, pair by pair", "", f"{ratios[-1]:.2f}", ""])
    table(
        console,
        f"Cold start: medians of {ROUNDS} alternating runs of each",
        ["", "wall s", "CPU s", "peak MB"],
        rows,
    )
    return [
        Target(
            f"a cold start (compiled): at most {MAX_RATIO} times the CPU of bare boto3",
            met=ratios[-1] <= MAX_RATIO,
            measured=f"{ratios[-1]:.2f}",
        )
    ]


def _copy_boto3(directory: Path) -> None:
    for package in PACKAGES_OF_BOTO3:
        [source] = importlib.import_module(package).__path__
        shutil.copytree(source, directory / package, ignore=shutil.ignore_patterns("__pycache__"))


def _run(path: Sequence[Path], code: str, cloud: Cloud, flags: Sequence[str]) -> Start:
    measure = MEASURE.format(path=[*map(str, path)], code=code)
    result = subprocess.run(
        [sys.executable, "-I", "-S", *flags, "-c", measure],
        env={
            "AWS_ACCESS_KEY_ID": cloud.administrator.access_key_id,
            "AWS_SECRET_ACCESS_KEY": cloud.administrator.secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "INCOMING_BUCKET": "bench1",
            "VAULT_BUCKET": "bench2",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return Start(*map(float, result.stderr.splitlines()[-1].split()))


def _median(values: Iterable[float]) -> float:
    return statistics.median(values)
