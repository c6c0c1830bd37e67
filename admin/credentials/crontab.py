"""A server's crontab: for each of its uploads, a line that backs up, encrypts and uploads.

    7 * * * * set -o pipefail; ( pg_dumpall | gzip | gpg ... || kill 0 ) | aws s3 cp - s3://...

A person pastes it and fills in what to back up. It contains the key's secret.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chalicelib.policy.patterns import Unit
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Rule

# Soon after the start of a period, so that a second attempt still belongs to it; not on the hour,
# when everybody's jobs start, and not around midnight or the hours in which clocks change.
SCHEDULES: dict[Unit, tuple[str, str]] = {
    "minute": ("* * * * *", "once a minute"),
    "hour": ("7 * * * *", "once an hour"),
    "day": ("7 4 * * *", "once a day"),
    "week": ("7 4 * * 1", "once a week"),
    "month": ("7 4 1 * *", "once a month"),
    "year": ("7 4 1 1 *", "once a year"),
}
# The most parts that S3 accepts for an upload (S3 user guide, "Amazon S3 multipart upload limits").
MOST_PARTS = 10_000
# The tools hold some parts in memory, so parts are no larger than necessary.
SMALLEST_PART_MIB = 8
# The size that uploads must be able to reach if the policy sets no max_bytes.
LARGE_BYTES = 500 * 10**9

# rclone always reads back a stream that does not fit into this much memory, but a server cannot
# read.
RCLONE_MEMORY = "1G"

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
    """Where a server uploads to, and its key. `endpoint` is None for AWS itself."""

    incoming: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint: str | None = None


def crontab(policy: Policy, server: str | None, destination: UploadTarget) -> str:
    """The crontab of a server (None: the only server), with its key and instructions."""
    rules = {key: rule for key, (rule, owner) in policy.claims.items() if owner == server}
    here = server or "the server"
    return _TEXT.format(
        here=here,
        destination=destination,
        endpoint=f"AWS_ENDPOINT_URL={destination.endpoint}\n" if destination.endpoint else "",
        large=f"{LARGE_BYTES // 10**9} GB",
        rclone_memory=RCLONE_MEMORY,
        aws="\n".join(_lines(rules, destination, _aws)),
        s3cmd="\n".join(_commented(_lines(rules, destination, _s3cmd))),
        rclone="\n".join(
            _commented([*_rclone_settings(destination), *_lines(rules, destination, _rclone)])
        ),
    )


_TEXT = """\
# The crontab of {here}. Paste it into `crontab -e` there; not into /etc/cron.d, where
# everybody can read it. Replace the examples (tar and pg_dumpall) by what you want to
# keep. You need only one tool: for s3cmd or rclone instead of aws, move the #s.

# Encryption: once, on your own machine, never on a server:
#   gpg --quick-gen-key backups@example.org default default never
#   gpg --export backups@example.org >backups.pub
# Copy backups.pub to {here}, into the home of the user whose crontab this is. The
# private half stays with you; also keep the output of this in a safe place:
#   gpg --armor --export-secret-keys backups@example.org
# Without it nobody can read the backups, not even you.

SHELL=/bin/bash
PATH=/usr/local/bin:/usr/bin:/bin
AWS_ACCESS_KEY_ID={destination.access_key_id}
AWS_SECRET_ACCESS_KEY={destination.secret_access_key}
AWS_DEFAULT_REGION={destination.region}
{endpoint}
# CRON_TZ is the time zone of the slots. A cron that ignores it (Debian, Ubuntu) uses
# the server's own, which should be the same: timedatectl set-timezone.
# If a step before the upload fails, `kill 0` ends the upload too: half a backup must
# not fill the slot. (tar's status 1 is no failure: a file changed while it was read.)
# Parts are large enough for max_bytes, or for {large} without max_bytes.

# With aws:
{aws}

# With s3cmd:
{s3cmd}

# With rclone 1.61 or newer (older versions set ACLs), for backups of up to {rclone_memory}, which
# it keeps in memory: it would read back larger ones, and a server cannot read.
{rclone}
"""


def part_mib(max_bytes: int | None) -> int:
    """The part size in MiB that lets an upload reach `max_bytes` (None: LARGE_BYTES)."""
    least = math.ceil((max_bytes or LARGE_BYTES) / MOST_PARTS / 1024**2)
    return max(least, SMALLEST_PART_MIB)


def _lines(
    rules: dict[str, Rule],
    destination: UploadTarget,
    upload: Callable[[UploadTarget, str, Rule], str],
) -> Iterator[str]:
    zone = None
    for key, rule in rules.items():
        if rule.timezone.key != zone:
            zone = rule.timezone.key
            yield f"CRON_TZ={zone}"
        when, in_words = SCHEDULES[rule.store_as.unit]
        target = shlex.quote(f"{destination.incoming}/{key}")
        command = (
            f"set -o pipefail; ( {_backup(key)} || kill 0 ) | {upload(destination, target, rule)}"
        )
        yield f"# {key}, {in_words}"
        # In a crontab, an unescaped % ends the command.
        yield f"{when} " + command.replace("%", r"\%")


def _backup(key: str) -> str:
    """A command that writes such a file to stdout: an example, with filters for its extensions."""
    endings = key.rpartition("/")[2].split(".")
    is_dump = any(part in ending for ending in endings for part in ("sql", "dump"))
    example = "pg_dumpall" if is_dump else "{ tar c -C / etc home || [ $? = 1 ]; }"
    return " | ".join([example, *(_FILTERS[e] for e in endings[1:] if e in _FILTERS)])


def _aws(_: UploadTarget, target: str, rule: Rule) -> str:
    # If the expected size fits into one part, aws sends a single request and trusts the size.
    size = max(rule.max_bytes or LARGE_BYTES, SMALLEST_PART_MIB * 1024**2)
    return f"aws s3 cp - s3://{target} --only-show-errors --expected-size {size}"


def _s3cmd(destination: UploadTarget, target: str, rule: Rule) -> str:
    if destination.endpoint:
        host = urlsplit(destination.endpoint).netloc
        where = f"--no-ssl --host={host} --host-bucket={host}"
    else:
        host = f"s3.{destination.region}.amazonaws.com"
        where = f"--host={host} --host-bucket='%(bucket)s.{host}'"
    size = part_mib(rule.max_bytes)
    return (
        f"s3cmd --quiet --region={destination.region} {where} --multipart-chunk-size-mb={size}"
        f" put - s3://{target}"
    )


def _rclone(_: UploadTarget, target: str, __: Rule) -> str:
    return (
        "rclone rcat --quiet --s3-acl '' --s3-no-head "
        f"--streaming-upload-cutoff {RCLONE_MEMORY} :s3:{target}"
    )


def _rclone_settings(destination: UploadTarget) -> Iterator[str]:
    yield "RCLONE_CONFIG=/dev/null"
    # For AWS, rclone puts the bucket into the host name, which does not work with an endpoint.
    yield f"RCLONE_S3_PROVIDER={'Other' if destination.endpoint else 'AWS'}"
    yield "RCLONE_S3_ENV_AUTH=true"
    yield "RCLONE_S3_NO_CHECK_BUCKET=true"
    yield f"RCLONE_S3_REGION={destination.region}"
    if destination.endpoint:
        yield f"RCLONE_S3_ENDPOINT={destination.endpoint}"


def _commented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.startswith("#") else f"#{line}"
