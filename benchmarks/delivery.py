"""Measures the time from a server's PutObject to the object in the vault, on the local cloud."""

import statistics
import time
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from rich.console import Console

from benchmarks.tables import table
from chalicelib.policy.file import read_policy
from demo.stage import StageCloud

UPLOAD = "backup.tar.gz.gpg"
WARM_ROUNDS = 20
TIMEOUT = 60.0
POLL_INTERVAL = 0.005


def report(console: Console, cloud: StageCloud) -> None:
    """Print the seconds of the first upload, which starts the function, and of later uploads."""
    cold, *warm = [_deliver(cloud) for _ in range(1 + WARM_ROUNDS)]
    table(
        console,
        "From PutObject's response to the object in the vault (local cloud, deployed bundle)",
        ["", "seconds"],
        [
            ["the first, which starts the function", f"{cold:.2f}"],
            [f"median of the next {WARM_ROUNDS}", f"{statistics.median(warm):.3f}"],
            ["slowest of these", f"{max(warm):.3f}"],
        ],
    )


def _deliver(cloud: StageCloud) -> float:
    server = cloud.session(cloud.server_credentials).client("s3")
    administrator = cloud.session(cloud.administrator).client("s3")
    server.put_object(Bucket=cloud.incoming, Key=UPLOAD, Body=b"a night's work")
    slot = read_policy().slot_of(UPLOAD, datetime.now(UTC)).name
    began = time.monotonic()
    while not _exists(administrator, cloud.vault, slot):
        if time.monotonic() - began > TIMEOUT:
            raise TimeoutError(f"{slot} is not in the vault after {TIMEOUT:.0f} s")
        # This process also serves the cloud: polling without a pause would slow it down.
        time.sleep(POLL_INTERVAL)
    seconds = time.monotonic() - began
    cloud.functions.wait_until_quiet(timeout=TIMEOUT)
    # Nobody can delete from the vault, so the slot is freed for the next round inside moto.
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets[cloud.vault].keys.pop(slot)
    return seconds


def _exists(s3: Any, bucket: str, key: str) -> bool:
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] != "404":
            raise
        return False
    return True
