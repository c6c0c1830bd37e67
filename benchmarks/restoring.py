"""Measures `backups restore` and its alternatives, to a file and to stdout."""

import base64
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal

from awscrt.checksums import crc64nvme
from rich.console import Console

from benchmarks.contestants import Contestant, downloaders
from benchmarks.measuring import REPOSITORY, environment, measure
from benchmarks.model import LATENCY, READ_BANDWIDTH
from benchmarks.serving import Measurement
from benchmarks.tables import Target, table
from demo.stage import running
from localcloud.cloud import Cloud

MIB = 1024**2
SIZE = 5 * 1024 * MIB
BUCKET, STORE_AS = "backups2", "%Y-%m-%d.tar.gz.gpg"
ROUNDS = 3
# s3cmd is only simulated: its one stream takes more than a minute per round, and the local cloud
# would need SIZE in memory for it.
SLOW = "s3cmd get"
# The local cloud's object is these bytes, again and again.
BLOCK = 64 * MIB
# A program has ended when the file is on the disk, or when all bytes have been counted.
TO_FILE = ("sh", "-c", '"$@" && sync "$0"')
TO_STDOUT = ("sh", "-c", '{ "$@" || echo failed; } | wc -c', "sh")


@dataclass
class Result:
    """One program, to a file or to stdout.

    `simulated` is without the program's own work. `model` and `cloud` are the wall-clock seconds of
    its rounds, against the model and against the local cloud.
    """

    program: Contestant
    output: str
    simulated: Measurement = field(default_factory=Measurement)
    model: list[float] = field(default_factory=list)
    cloud: list[float] = field(default_factory=list)

    @property
    def command(self) -> list[str]:
        """The command line that ends when the whole object has arrived."""
        before = TO_STDOUT if self.output == "-" else (*TO_FILE, self.output)
        return [*before, *self.program.command]


def report(console: Console) -> list[Target]:
    """Print what the programs take; the targets are ratios of their times."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        console.print(
            f"\nRestores from a model of S3 ({LATENCY * 1000:.0f} ms per request, "
            f"{READ_BANDWIDTH / 1e6:.0f} MB/s per connection) and from the local cloud. Simulated "
            "seconds are without a program's own work. Wall-clock seconds are from its start to "
            f"its end, medians of {ROUNDS} rounds. Files are written to {directory}.\n"
        )
        key = f"{datetime.now(UTC):{STORE_AS}}"
        to_file, to_stdout = (
            [
                Result(program, output)
                for program in downloaders(f"{BUCKET}/{key}", STORE_AS, output)
                if program.command and (output != "-" or program.name != SLOW)
            ]
            for output in (f"{directory}/restored", "-")
        )
        for result in to_file:
            program = result.program
            console.print(f"{program.name} {program.version}".strip(), end="")
            console.print(f": {program.lacks}" if program.lacks else "")
        _measure(key, [*to_file, *to_stdout])
    _print(console, "5 GiB to a file", to_file)
    _print(console, "5 GiB to stdout", to_stdout)
    return [
        *_targets("to a file", to_file, {"the CRT client": 1, SLOW: 3}),
        *_targets("to stdout", to_stdout, {"aws s3 cp": 2}),
    ]


def _measure(key: str, results: Sequence[Result]) -> None:
    """Alternate between the programs, so that other work on the machine slows all of them."""
    checksum = _checksum_of_zeros()

    def against_model(result: Result, clock: Literal["jumping", "wall"]) -> Measurement:
        measurement = measure(
            result.command, uploads={f"{BUCKET}/{key}": SIZE}, checksum=checksum, clock=clock
        )
        _check(result, measurement.status, measurement.output)
        return measurement

    for result in results:
        result.simulated = against_model(result, "jumping")
    quick = [result for result in results if result.program.name != SLOW]
    for _ in range(ROUNDS):
        for result in quick:
            result.model.append(against_model(result, "wall").wall)
    with running(by_hand=True) as cloud:
        _store(cloud, key)
        for _ in range(ROUNDS):
            for result in quick:
                result.cloud.append(_against(cloud, result))


def _check(result: Result, status: int, output: str) -> None:
    """Raise an error unless all bytes have arrived; removes the file."""
    if result.output == "-":
        is_complete = output.splitlines()[-1] == str(SIZE)
    else:
        path = Path(result.output)
        is_complete = path.exists() and path.stat().st_size == SIZE
        path.unlink(missing_ok=True)
    if status or not is_complete:
        raise AssertionError(f"{result.program.name}: {output}")


def _checksum_of_zeros() -> str:
    crc = 0
    for _ in range(SIZE // BLOCK):
        crc = crc64nvme(bytes(BLOCK), crc)
    return base64.b64encode(crc.to_bytes(8, "big")).decode()


def _store(cloud: Cloud, key: str) -> None:
    """Store a backup whose parts share their bytes, so that it needs little memory."""
    s3 = cloud.session(cloud.administrator).client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="block", Body=os.urandom(BLOCK))
    whole = {"Bucket": BUCKET, "Key": key}
    created = s3.create_multipart_upload(
        **whole, ChecksumAlgorithm="CRC64NVME", ChecksumType="FULL_OBJECT"
    )
    parts = []
    for number in range(1, SIZE // BLOCK + 1):
        part = {"PartNumber": number, "UploadId": created["UploadId"]}
        source = {"Bucket": BUCKET, "Key": "block"}
        copied = s3.upload_part_copy(**whole, **part, CopySource=source)["CopyPartResult"]
        parts.append({"PartNumber": number, "ETag": copied["ETag"]})
    s3.complete_multipart_upload(
        **whole, UploadId=created["UploadId"], MultipartUpload={"Parts": parts}
    )


def _against(cloud: Cloud, result: Result) -> float:
    """The seconds of the program against the local cloud."""
    began = time.monotonic()
    ended = subprocess.run(
        result.command,
        cwd=REPOSITORY,
        env={
            **environment(tempfile.gettempdir(), None),
            "AWS_ACCESS_KEY_ID": cloud.administrator.access_key_id,
            "AWS_SECRET_ACCESS_KEY": cloud.administrator.secret_access_key,
            "AWS_ENDPOINT_URL": cloud.endpoint,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    _check(result, ended.returncode, ended.stdout)
    return seconds


def _print(console: Console, title: str, results: Sequence[Result]) -> None:
    ours, rows = results[0], []
    for result in results:
        simulated = result.simulated
        wall_clock = [
            text
            for our, their in ((ours.model, result.model), (ours.cloud, result.cloud))
            for text in (
                [f"{median(their):.1f}", f"{_ratio(our, their):.2f}"] if their else ["", ""]
            )
        ]
        rows.append(
            [
                result.program.name,
                f"{simulated.seconds:.2f}",
                f"{simulated.seconds / ours.simulated.seconds:.2f}",
                *wall_clock,
                f"{sum(simulated.requests.values()):,}",
                f"{simulated.streams}",
                f"{simulated.cpu:.1f}",
                f"{simulated.megabytes:.0f}",
            ]
        )
    columns = ["", "simulated s", "/ ours", "wall s", "/ ours", "local cloud s", "/ ours"]
    table(console, title, [*columns, "requests", "streams", "CPU s", "MB"], rows)


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How many times faster ours was: the median of the rounds."""
    return median(their / our for our, their in zip(ours, theirs, strict=True))


def _targets(where: str, results: Sequence[Result], minimums: Mapping[str, float]) -> list[Target]:
    ours, targets = results[0], []
    for result in results:
        if minimum := minimums.get(result.program.name):
            ratio = result.simulated.seconds / ours.simulated.seconds
            wall_clock = _ratio(ours.model, result.model) if result.model else None
            targets.append(
                Target(
                    f"restoring 5 GiB {where}: at least {minimum:g} times as fast as "
                    f"{result.program.name}",
                    met=ratio >= minimum,
                    measured=f"{ratio:.2f}"
                    + (f"; in wall-clock time {wall_clock:.2f}" if wall_clock else ""),
                )
            )
    return targets
