"""Runs one program against the model of S3, in a fresh process with nothing of this user's."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from benchmarks.certificates import Tls
from benchmarks.model import LATENCY
from benchmarks.serving import Seen

REPOSITORY = Path(__file__).parent.parent
# Lambda gives "1 vCPU at 1,769 MB" (developer guide, "Configure Lambda function memory").
FULL_CPU_MB = 1769

# us-east-1, dollars (aws.amazon.com/s3/pricing, aws.amazon.com/lambda/pricing; arm64), indicative.
PER_WRITE = 0.005 / 1000
PER_READ = 0.0004 / 1000
PER_INVOCATION = 0.20 / 1_000_000
PER_GB_SECOND = 0.0000133334
FREE = frozenset({"delete_object", "abort_multipart_upload"})
READS = frozenset({"head_object", "head_bucket", "get_object_tagging", "get_object_acl"})


def configured_memory() -> int:
    """The memory of the function, in MB, as `.chalice/config.json` sets it."""
    config = json.loads((REPOSITORY / ".chalice" / "config.json").read_text())
    return int(config["lambda_memory_size"])


def measure(
    command: Sequence[str],
    *,
    uploads: Mapping[str, int],
    clock: Literal["wall", "jumping", "summing"] = "jumping",
    series: Mapping[str, tuple[int, float]] | None = None,
    memory: int | None = None,
    tls: Tls | None = None,
) -> Seen:
    """What the command did to a new S3 that holds these uploads (bucket/key: bytes).

    `{address}` in it becomes the model's. `series` are keys of many versions, so many seconds
    apart. `memory` (MB, Linux only) gives the command the share of a CPU that Lambda would; with
    `tls` the model speaks TLS.
    """
    options = [f"--upload={path}={size}" for path, size in uploads.items()]
    for path, (number, apart) in (series or {}).items():
        options.append(f"--series={path}={number}x{apart}")
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
            env=_environment(home, tls),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    return Seen(**json.loads(result.stdout))


def request_dollars(seen: Seen) -> float:
    """What is charged for the requests."""
    prices = dict.fromkeys(READS, PER_READ) | dict.fromkeys(FREE, 0.0) | {"invoke": PER_INVOCATION}
    return sum(prices.get(name, PER_WRITE) * number for name, number in seen.requests.items())


def lambda_dollars(seconds: float, memory: int) -> float:
    """What Lambda charges for so many seconds with so many MB."""
    return seconds * PER_GB_SECOND * memory / 1024


def fixed_seconds(seen: Seen) -> float:
    """What the requests took in the model that copied nothing."""
    copies = seen.requests.get("copy_object", 0) + seen.requests.get("upload_part_copy", 0)
    return LATENCY * (sum(seen.requests.values()) - copies)


def _environment(home: str, tls: Tls | None) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": home,
        "PYTHONPATH": str(REPOSITORY),
        "NO_PROXY": "*",
        "AWS_ACCESS_KEY_ID": "model",
        "AWS_SECRET_ACCESS_KEY": "model",  # the model checks no signature
        "AWS_DEFAULT_REGION": "us-east-1",
        "INCOMING_BUCKET": "backups1",
        "VAULT_BUCKET": "backups2",
        **({"AWS_CA_BUNDLE": str(tls.authorities)} if tls else {}),
    }
