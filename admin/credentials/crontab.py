"""A server's key files and crontab: for each upload, a line that makes a backup and uploads it.

    7 * * * * set -o pipefail; ( pg_dumpall | gzip | gpg ... || kill 0 ) | aws s3 cp - s3://...

An administrator pastes them and fills in what to back up. Only the key files contain the key's
secret.
"""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from admin.credentials.keys import AccessKey
from admin.periods import PERIODS
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Rule

# The most parts that S3 accepts for an upload (S3 user guide, "Amazon S3 multipart upload limits").
MOST_PARTS = 10_000
# The tools hold some parts in memory, so parts are no larger than necessary.
SMALLEST_PART_MIB = 8
# The largest upload to provide for if the policy sets no max_bytes. The smallest parts are enough
# for it, so the tools need little memory.
LARGE_BYTES = SMALLEST_PART_MIB * 1024**2 * MOST_PARTS

# rclone reads back any stream that does not fit into this much memory, which no server is allowed
# to do.
RCLONE_MEMORY = "1G"

# The profile in ~/.aws/credentials that has the server's key.
PROFILE = "backups"
# s3cmd's own file with that key: s3cmd ignores ~/.aws if it has a configuration of its own.
S3CMD_CONFIG = "~/.s3cfg-backups"
# The first line of the crontab, after the key files.
CRONTAB_BEGINS = f"# {'=' * 88}"

# The command that adds each file extension.
_FILTERS = {
    "gz": "gzip",
    "bz2": "bzip2",
    "xz": "xz",
    "zst": "zstd",
    "gpg": "gpg --batch --encrypt --recipient-file ~/backups.pub",
}


@dataclass(frozen=True, kw_only=True)
class UploadTarget:
    """Where a server uploads to. `endpoint` is None for AWS itself."""

    incoming: str
    region: str
    endpoint: str | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A line of the crontab for one upload, whichever tool it uses. Sizes are in bytes."""

    upload: str
    timezone: str
    schedule: str
    often: str
    backup: str
    destination: str
    expected_size: int
    part_mib: int


def instructions(
    policy: Policy, server: str | None, target: UploadTarget, *, key: AccessKey
) -> str:
    """The key files and the crontab of a server (None: the only server), with instructions.

    They are separated by the line CRONTAB_BEGINS.
    """
    template = _TEMPLATES.get_template("crontab.jinja")
    return template.render(
        server=server or "the server",
        target=target,
        key=key,
        profile=PROFILE,
        s3cmd_config=S3CMD_CONFIG,
        crontab_begins=CRONTAB_BEGINS,
        host=urlsplit(target.endpoint or "").netloc or f"s3.{target.region}.amazonaws.com",
        large_gb=LARGE_BYTES // 10**9,
        rclone_memory=RCLONE_MEMORY,
        each_job=[
            _job(key, rule, target)
            for key, (rule, owner) in policy.promotable_keys.items()
            if owner == server
        ],
    )


_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=False,  # noqa: S701 - it renders no HTML
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def part_mib(max_bytes: int | None) -> int:
    """The part size in MiB that lets an upload reach `max_bytes` (None: LARGE_BYTES)."""
    least = math.ceil((max_bytes or LARGE_BYTES) / MOST_PARTS / 1024**2)
    return max(least, SMALLEST_PART_MIB)


def _job(key: str, rule: Rule, target: UploadTarget) -> Job:
    period = PERIODS[rule.store_as.unit]
    return Job(
        upload=key,
        timezone=rule.timezone.key,
        schedule=period.schedule,
        often=period.often,
        backup=_backup(key),
        destination=shlex.quote(f"{target.incoming}/{key}"),
        expected_size=max(rule.max_bytes or LARGE_BYTES, SMALLEST_PART_MIB * 1024**2),
        part_mib=part_mib(rule.max_bytes),
    )


def _backup(key: str) -> str:
    """An example command that writes such a file to stdout, with filters for its extensions."""
    endings = key.rpartition("/")[2].split(".")
    is_dump = any(part in ending for ending in endings for part in ("sql", "dump"))
    example = "pg_dumpall" if is_dump else "{ tar c -C / etc home || [ $? = 1 ]; }"
    return " | ".join([example, *(_FILTERS[e] for e in endings[1:] if e in _FILTERS)])
