"""`backups setup --lock-existing`: locks stored backups for as long as new ones.

S3 applies a bucket's default lock only to versions that are stored later.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import click
from botocore.exceptions import ClientError

from admin.account import none_if
from admin.desired.buckets import lock_requirement
from admin.desired.requirement import Kind, Requirement
from admin.exit_status import Refused
from admin.setup import resources
from admin.setup.door import open_door
from admin.setup.plan import Plan, door_of, stricter
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.lock import Lock, read_retention
from chalicelib.s3_errors import error_code

Item = TypeVar("Item")

COMPLIANCE = "COMPLIANCE"
# A lifecycle rule can remove a version after it was listed.
GONE_CODES = frozenset({"NoSuchKey", "NoSuchVersion"})


@dataclass(frozen=True, kw_only=True)
class MissingLock:
    """A version that is not locked as promised, and the lock that it should have."""

    key: str
    version_id: str
    mode: str
    until: datetime


@dataclass(kw_only=True)
class Survey:
    """The versions in a vault, compared with the promised lock."""

    missing: list[MissingLock] = field(default_factory=list)
    locked: int = 0
    # Versions so old that their lock would have ended by now.
    over: int = 0
    # Versions in governance mode, although compliance is promised.
    governed: int = 0


def lock_stored(
    target: Target, lock: Lock, *, now: datetime, waiter: Waiter, apply: bool, yes: bool
) -> None:
    """Report which versions in the vault are not locked as `lock` promises; `apply` locks them.

    Asks once. No lock is shortened, and no mode is changed. Raises Refused if the answer is no.
    """
    survey = _look_up(target, lock, now=now)
    click.echo("\n".join(_in_words(survey, lock, vault=target.vault)))
    if not survey.missing:
        return
    if not apply:
        click.echo(
            "Nothing was locked; add --apply to lock them. The vault's bucket policy is opened to "
            "you alone for that, and closed afterwards.",
            err=True,
        )
        return
    if any(missing.mode == COMPLIANCE for missing in survey.missing):
        ask_for_the_name(lock_requirement(target.vault, lock))
    if not yes and not click.confirm(f"Lock {len(survey.missing):,} versions?", err=True):
        raise Refused("Nothing was locked.")
    s3 = target.vault_account.client("s3")
    with open_door(target.account, door_of(target), waiter) as attempt:
        for missing in _with_progress(survey.missing, "locking"):
            attempt(partial(_lock, s3, target.vault, missing))
    click.echo(f"Done. Versions locked: {len(survey.missing):,}.")


def lock_of_new_backups(target: Target, lock: Lock) -> Lock:
    """The lock that new backups get if the vault keeps a stricter default lock."""
    requirement = lock_requirement(target.vault, lock)
    actual = none_if("NoSuchBucket", lambda: resources.read(target.account, requirement).value)
    return stricter(actual, lock) if actual else lock


def remark(target: Target, plan: Plan) -> str | None:
    """A remark on the stored versions that a changed default lock does not affect, or None.

    Counts noncurrent versions, too.
    """
    changes_lock = any(change.requirement.kind is Kind.OBJECT_LOCK for change in plan.changes)
    if not changes_lock or target.vault in plan.missing:
        return None
    count = sum(1 for _ in _versions(target))
    if not count:
        return None
    return (
        f"  This locks new backups only. Versions in {target.vault} that keep their present locks, "
        f"if any: {count:,}. Until the newest of them are a day old, the alarm unlocked goes off. "
        f"To lock them, too: {target.fix_setup('--lock-existing')}"
    )


def ask_for_the_name(lock: Requirement) -> None:
    """Explain compliance mode, and ask for the bucket's name. Raises Refused for another answer."""
    click.echo(
        f"Compliance mode cannot be undone: for {lock.desired['days']} days nobody, not even AWS "
        f"Support, can delete an object stored in {lock.resource}, and you pay for storing it.",
        err=True,
    )
    if click.prompt("Type the bucket's name to continue", err=True) != lock.resource:
        raise Refused("That is not the bucket's name; nothing was changed.")


def _look_up(target: Target, lock: Lock, *, now: datetime) -> Survey:
    s3, survey = target.vault_account.client("s3"), Survey()
    versions = none_if("NoSuchBucket", lambda: [*_versions(target)]) or []
    for version in _with_progress(versions, "reading locks"):
        until = lock.promised_end(version["LastModified"])
        if until <= now:
            survey.over += 1
            continue
        where = {"Key": version["Key"], "VersionId": version["VersionId"]}
        try:
            actual = read_retention(s3, Bucket=target.vault, **where) or {}
        except ClientError as error:
            if error_code(error) not in GONE_CODES:
                raise
            continue
        # A lock that has not ended keeps its mode, because changing the mode requires the right to
        # bypass locks.
        end = actual.get("RetainUntilDate")
        mode = actual["Mode"] if end and end > now else lock.mode
        survey.governed += lock.mode == COMPLIANCE != mode
        if lock.is_kept(stored=version["LastModified"], until=end):
            survey.locked += 1
        else:
            survey.missing.append(
                MissingLock(
                    key=version["Key"], version_id=version["VersionId"], mode=mode, until=until
                )
            )
    return survey


def _versions(target: Target) -> Iterator[dict[str, Any]]:
    """Every version in the vault, noncurrent ones included. A delete marker cannot be locked."""
    pages = target.vault_account.client("s3").get_paginator("list_object_versions")
    for page in pages.paginate(Bucket=target.vault):
        yield from page.get("Versions", [])


def _in_words(survey: Survey, lock: Lock, *, vault: str) -> Iterator[str]:
    count = survey.locked + len(survey.missing) + survey.over
    yield (
        f"Versions in {vault}: {count:,}. Locked for {lock.days} days after they were stored: "
        f"{survey.locked:,}. Not locked for that long: {len(survey.missing):,}. Too old to need "
        f"a lock: {survey.over:,}."
    )
    if survey.governed:
        yield (
            f"! {survey.governed:,} of them stay locked in governance mode until that lock ends: "
            "changing the mode takes the right to bypass locks, which the bucket policy denies "
            "to everyone."
        )


def _lock(s3: Any, vault: str, missing: MissingLock) -> None:
    retention = {"Mode": missing.mode, "RetainUntilDate": missing.until}
    try:
        s3.put_object_retention(
            Bucket=vault, Key=missing.key, VersionId=missing.version_id, Retention=retention
        )
    except ClientError as error:
        if error_code(error) not in GONE_CODES:
            raise


def _with_progress(items: list[Item], label: str) -> Iterator[Item]:
    with click.progressbar(items, label=label, file=sys.stderr) as progress:
        yield from progress
