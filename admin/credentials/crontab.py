"""A server's crontab: of each of its uploads, the line that backs up, encrypts and uploads.

    7 * * * * set -o pipefail; ( pg_dumpall | gzip | gpg ... || kill 0 ) | aws s3 cp - s3://...

It is for a person to paste, who fills in what is to be kept. It holds the key's secret.
"""

import math
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chalicelib.policy.patterns import Unit
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Rule

# Soon after a period has begun, so that a second attempt still belongs to it; away from the full
# hour, when everybody's jobs start, from midnight, and from the hours in which clocks change.
SCHEDULES: dict[Unit, tuple[str, str]] = {
    "minute": ("* * * * *", "once a minute"),
    "hour": ("7 * * * *", "once an hour"),
    "day": ("7 4 * * *", "once a day"),
    "week": ("7 4 * * 1", "once a week"),
    "month": ("7 4 1 * *", "once a month"),
    "year": ("7 4 1 1 *", "once a year"),
}
# S3 takes an upload in at most so many parts (S3 user guide, "Amazon S3 multipart upload limits").
MOST_PARTS = 10_000
# The tools hold some parts in memory, so they are no larger than they must be.
SMALLEST_PART_MIB = 8
# What an upload must be able to reach where the policy sets no max_bytes.
LARGE_BYTES = 500 * 10**9

# Of a stream that does not fit into this much memory, rclone wants to see what it has written,
# whatever it is told; and a server may not read.
RCLONE_MEMORY = "1G"

# What makes a file of each ending, from one that lacks it.
_FILTERS = {
    "gz": "gzip",
    "bz2": "bzip2",
    "xz": "xz",
    "zst": "zstd",
    "gpg": "gpg --batch --encrypt --recipient-file ~/backups.pub",
}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a server uploads to, and with which key. `endpoint` is None for AWS itself."""

    incoming: str
    region: str
    access_key_id: str
    secret_access_key: str = field(repr=False)
    endpoint: str | None = None


def crontab(policy: Policy, server: str | None, place: Place) -> str:
    """The crontab of a server (None: of the only one), with its key; comments say how to use it."""
    rules = {key: rule for key, (rule, owner) in policy.claims.items() if owner == server}
    here = server or "the server"
    return _TEXT.format(
        here=here,
        place=place,
        endpoint=f"AWS_ENDPOINT_URL={place.endpoint}\n" if place.endpoint else "",
        large=f"{LARGE_BYTES // 10**9} GB",
        rclone_memory=RCLONE_MEMORY,
        aws="\n".join(_lines(rules, place, _aws)),
        s3cmd="\n".join(_commented(_lines(rules, place, _s3cmd))),
        rclone="\n".join(_commented([*_rclone_settings(place), *_lines(rules, place, _rclone)])),
    )


_TEXT = """\
# The crontab of {here}. Paste it into `crontab -e` there; not into /etc/cron.d, where
# everybody can read it. Put what you want to keep in place of the examples (tar and
# pg_dumpall). One tool is enough: for s3cmd or rclone instead of aws, move the #s.

# Encryption: once, on your own machine, never on a server:
#   gpg --quick-gen-key backups@example.org default default never
#   gpg --export backups@example.org >backups.pub
# Copy backups.pub to {here}, into the home of the user whose crontab this is. The
# private half stays with you; keep what this prints in a safe place besides:
#   gpg --armor --export-secret-keys backups@example.org
# Without it nobody can read the backups, not even you.

SHELL=/bin/bash
PATH=/usr/local/bin:/usr/bin:/bin
AWS_ACCESS_KEY_ID={place.access_key_id}
AWS_SECRET_ACCESS_KEY={place.secret_access_key}
AWS_DEFAULT_REGION={place.region}
{endpoint}
# CRON_TZ is the time zone of the slots. A cron that does not obey it (Debian, Ubuntu)
# takes the server's own, which should be the same: timedatectl set-timezone.
# When a step before the upload fails, `kill 0` ends the upload too: half a backup must
# not take the slot. (tar's 1 is no failure: a file changed while it was read.)
# Parts are large enough for max_bytes; without one, for {large}.

# With aws:
{aws}

# With s3cmd:
{s3cmd}

# With rclone 1.61 or newer (older ones set ACLs), for backups of less than {rclone_memory}, which
# it keeps in memory: of larger ones it reads back what a server may not read.
{rclone}
"""


def part_mib(max_bytes: int | None) -> int:
    """The size of parts, in MiB, with which an upload can reach `max_bytes` (None: any)."""
    least = math.ceil((max_bytes or LARGE_BYTES) / MOST_PARTS / 1024**2)
    return max(least, SMALLEST_PART_MIB)


def _lines(
    rules: dict[str, Rule], place: Place, upload: Callable[[Place, str, Rule], str]
) -> Iterator[str]:
    zone = None
    for key, rule in rules.items():
        if rule.timezone.key != zone:
            zone = rule.timezone.key
            yield f"CRON_TZ={zone}"
        when, in_words = SCHEDULES[rule.store_as.unit]
        target = shlex.quote(f"{place.incoming}/{key}")
        command = f"set -o pipefail; ( {_backup(key)} || kill 0 ) | {upload(place, target, rule)}"
        yield f"# {key}, {in_words}"
        # To cron, a % that is not escaped ends the command.
        yield f"{when} " + command.replace("%", r"\%")


def _backup(key: str) -> str:
    """What writes such a file to stdout: an example, and what its endings ask for."""
    endings = key.rpartition("/")[2].split(".")
    is_dump = any(part in ending for ending in endings for part in ("sql", "dump"))
    example = "pg_dumpall" if is_dump else "{ tar c -C / etc home || [ $? = 1 ]; }"
    return " | ".join([example, *(_FILTERS[e] for e in endings[1:] if e in _FILTERS)])


def _aws(_: Place, target: str, rule: Rule) -> str:
    # What it expects to fit into one part it would send in one piece, and believe the size.
    size = max(rule.max_bytes or LARGE_BYTES, SMALLEST_PART_MIB * 1024**2)
    return f"aws s3 cp - s3://{target} --only-show-errors --expected-size {size}"


def _s3cmd(place: Place, target: str, rule: Rule) -> str:
    if place.endpoint:
        host = urlsplit(place.endpoint).netloc
        where = f"--no-ssl --host={host} --host-bucket={host}"
    else:
        host = f"s3.{place.region}.amazonaws.com"
        where = f"--host={host} --host-bucket='%(bucket)s.{host}'"
    size = part_mib(rule.max_bytes)
    return (
        f"s3cmd --quiet --region={place.region} {where} --multipart-chunk-size-mb={size}"
        f" put - s3://{target}"
    )


def _rclone(_: Place, target: str, __: Rule) -> str:
    return (
        "rclone rcat --quiet --s3-acl '' --s3-no-head "
        f"--streaming-upload-cutoff {RCLONE_MEMORY} :s3:{target}"
    )


def _rclone_settings(place: Place) -> Iterator[str]:
    yield "RCLONE_CONFIG=/dev/null"
    # Of a bucket of AWS, rclone makes a host name: of no use where there is one endpoint.
    yield f"RCLONE_S3_PROVIDER={'Other' if place.endpoint else 'AWS'}"
    yield "RCLONE_S3_ENV_AUTH=true"
    yield "RCLONE_S3_NO_CHECK_BUCKET=true"
    yield f"RCLONE_S3_REGION={place.region}"
    if place.endpoint:
        yield f"RCLONE_S3_ENDPOINT={place.endpoint}"


def _commented(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        yield line if line.startswith("#") else f"#{line}"
