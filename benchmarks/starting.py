"""A cold start: importing the bundle, against importing nothing but boto3 and making a client."""

import statistics
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rich.console import Console
from rich.table import Table

from localcloud.cloud import Cloud

ROUNDS = 11
# "1 vCPU at 1,769 MB" (Lambda developer guide, "Configure Lambda function memory").
FULL_CPU_MB = 1769
# arm64, us-east-1 (aws.amazon.com/lambda/pricing): dollars per GB and second.
PRICE = 0.0000133334
SETTINGS_MB = (128, 256, 512, 1024, 1769)

BARE = "import boto3; boto3.client('s3')"
OURS = "import app"
# A copy in 80 parts, 32 at a time.
PROMOTES = """
import app, chalicelib.copying, datetime, dataclasses, os
limits = chalicelib.copying.Limits(single=0, part=2**16)
promoter = dataclasses.replace(app.promoter, limits=limits)
promoter.s3.put_object(Bucket='bench1', Key='sql.gz.gpg', Body=os.urandom(80 * 2**16))
notice = chalicelib.record.Notice(key='sql.gz.gpg')
record = promoter.promote(notice, now=datetime.datetime.now(datetime.UTC))
assert record.outcome == 'promoted', record
"""
MEASURE = """
import pathlib, resource, sys, time
sys.path[:0] = [{bundle!r}]
begun, used = time.perf_counter(), time.process_time()
{code}
wall, cpu = time.perf_counter() - begun, time.process_time() - used
status = pathlib.Path('/proc/self/status')
if status.exists():  # Linux: what getrusage says began with our parent's
    peak = int(status.read_text().partition('VmHWM:')[2].split()[0]) / 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
print(wall, cpu, peak, file=sys.stderr)
"""


@dataclass(frozen=True)
class Start:
    """One start: wall seconds, CPU seconds, peak memory in MB."""

    wall: float
    cpu: float
    megabytes: float


def report(console: Console, bundle: Path, cloud: Cloud) -> None:
    """Print both starts, their ratio, and what each memory setting makes of ours."""
    pairs = [(_run(bundle, OURS, cloud), _run(bundle, BARE, cloud)) for _ in range(ROUNDS + 1)][1:]
    ours, bare = zip(*pairs, strict=True)

    table = Table(title=f"Cold start: medians of {ROUNDS} runs of each, in turn")
    for column in ("", "wall s", "CPU s", "peak MB"):
        table.add_column(column, justify="right")
    for name, starts in (("the bundle", ours), ("boto3 and one S3 client", bare)):
        table.add_row(
            name,
            f"{_median(start.wall for start in starts):.3f}",
            f"{_median(start.cpu for start in starts):.3f}",
            f"{_median(start.megabytes for start in starts):.0f}",
        )
    ratio = _median(mine.cpu / theirs.cpu for mine, theirs in pairs)
    table.add_row("ratio, pair by pair", "", f"{ratio:.2f}", "")
    console.print(table)
    # Buckets that no function watches, and parts that need not have 5 MiB.
    s3 = cloud.session(cloud.administrator).client("s3")
    s3.create_bucket(Bucket="bench1")
    s3.create_bucket(Bucket="bench2")
    with mock.patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", 1):
        promotion = _run(bundle, PROMOTES, cloud)
    console.print(f"Peak memory of a promotion in 80 parts: {promotion.megabytes:.0f} MB\n")

    cpu = _median(start.cpu for start in ours)
    table = Table(title="By memory setting (model: this CPU time / share of a CPU)")
    for column in ("memory MB", "cold start s", "$ per 1,000 cold starts", "$ per waiting hour"):
        table.add_column(column, justify="right")
    for memory in SETTINGS_MB:
        seconds = cpu / min(1, memory / FULL_CPU_MB)
        price = PRICE * memory / 1024
        table.add_row(
            str(memory),
            f"{seconds:.1f}",
            f"{1000 * seconds * price:.4f}",
            f"{3600 * price:.4f}",
        )
    console.print(table)


def _run(bundle: Path, code: str, cloud: Cloud) -> Start:
    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", MEASURE.format(bundle=str(bundle), code=code)],
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
