"""Runs one program against the model of S3, in a new process without the user's environment."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.certificates import Tls
from benchmarks.model import CHECKSUM, LATENCY
from benchmarks.serving import Measurement

REPOSITORY = Path(__file__).parent.parent
# Lambda gives "1 vCPU at 1,769 MB" (developer guide, "Configure Lambda function memory").
FULL_CPU_MB = 1769

# us-east-1, dollars (aws.amazon.com/s3/pricing, aws.amazon.com/lambda/pricing; arm64), approximate.
PER_WRITE = 0.005 / 1000
PER_READ = 0.0004 / 1000
PER_INVOCATION = 0.20 / 1_000_000
PER_GB_SECOND = 0.0000133334
FREE = frozenset({"delete_object", "abort_multipart_upload"})
READS = frozenset({"head_object", "head_bucket", "get_object_tagging", "get_object_acl"})


def configured_memory() -> int:
    """Return the function's memory in MB, as `.chalice/config.json` sets it."""
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text())
    return int(config["lambda_memory_size"])


def measure(
    command: Sequence[str],
    *,
    uploads: Mapping[str, int],
    checksum: str = CHECKSUM,
    clock: Literal["wall", "jumping", "summing"] = "jumping",
    series: Mapping[str, tuple[int, float]] | None = None,
    dated: Mapping[str, tuple[int, float]] | None = None,
    memory: int | None = None,
    tls: Tls | None = None,
) -> Measurement:
    """Run the command against a new model that holds these uploads (bucket/key: bytes).

    `{address}` in the command is replaced with the model's address. `checksum` is the CRC64NVME of
    the uploads, which matters to a program that reads their bytes. `series` are keys with many
    versions (bucket/key: number, seconds between two of them), `dated` are names that follow a
    pattern (bucket/pattern: number, seconds). With `memory` (MB, Linux only) the command gets the
    share of a CPU that Lambda would give it; with `tls` the model speaks TLS.
    """
    options = [f"--upload={path}={size}" for path, size in uploads.items()]
    options.append(f"--checksum={checksum}")
    for path, (number, seconds) in (series or {}).items():
        options.append(f"--series={path}={number}x{seconds}")
    for path, (number, seconds) in (dated or {}).items():
        options.append(f"--dated={path}={number}x{seconds}")
    if memory:
        options += ["--cpu-share", str(min(1, memory / FULL_CPU_MB))]
    if tls:
        options += ["--certificate", str(tls.certificate)]
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "benchmarks.serving",
                "--clock",
                clock,
                *options,
                "--",
                *command,
            ],
            cwd=REPOSITORY,
            env=environment(home, tls),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Measurement(**json.loads(result.stdout))


def request_dollars(measurement: Measurement) -> float:
    """Return the price of the requests."""
    prices = dict.fromkeys(READS, PER_READ) | dict.fromkeys(FREE, 0.0) | {"invoke": PER_INVOCATION}
    return sum(
        prices.get(name, PER_WRITE) * number for name, number in measurement.requests.items()
    )


def lambda_dollars(seconds: float, memory: int) -> float:
    """Return Lambda's price for this many seconds with this much memory (MB)."""
    return seconds * PER_GB_SECOND * memory / 1024


def fixed_seconds(measurement: Measurement) -> float:
    """Return the seconds that the model took for requests that copied nothing."""
    copies = measurement.requests.get("copy_object", 0) + measurement.requests.get(
        "upload_part_copy", 0
    )
    return LATENCY * (sum(measurement.requests.values()) - copies)


def environment(home: str, tls: Tls | None) -> dict[str, str]:
    """Return what a program gets instead of this user's environment."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "PYTHONPATH": str(REPOSITORY),
        "NO_PROXY": "*",
        "AWS_ACCESS_KEY_ID": "model",
        "AWS_SECRET_ACCESS_KEY": "model",  # the model verifies no signature
        "AWS_DEFAULT_REGION": "us-east-1",
        "INCOMING_BUCKET": "backups1",
        "VAULT_BUCKET": "backups2",
        **({"AWS_CA_BUNDLE": str(tls.authorities)} if tls else {}),
    }
