"""The command `backups restore`: brings one stored backup back, verified."""

import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import click

from admin.account import none_if
from admin.exit_status import ExitStatus, Refused
from admin.restore.archived import (
    Archived,
    Retrieval,
    archived,
    start_retrieval,
    wait_until_readable,
)
from admin.restore.checksums import RunningChecksum
from admin.restore.choosing import NoBackupError, choose, key_of
from admin.restore.files import Partial, partials_in, refuse_file, refuse_full_disk
from admin.restore.next_step import next_step
from admin.restore.progress import Progress
from admin.restore.ranges import STREAMS, LostConnectionError, ReplacedError, StoredVersion
from admin.restore.when import When
from admin.target import Target
from chalicelib.policy.rules import names_of
from chalicelib.promotion.buckets import Vault, checksum_of

STDOUT = "-"


@dataclass(frozen=True, kw_only=True)
class RestoreOptions:
    """What the command line chose; `output` is a path, `-` for stdout, or None."""

    rule: str | None = None
    server: str | None = None
    version_id: str | None = None
    output: str | None = None
    force: bool = False
    unverified: bool = False
    verify_first: bool = False
    wait: bool = False
    yes: bool = False


def restore(target: Target, when: When, options: RestoreOptions, *, now: datetime) -> None:
    """Restore the backup that `when` names; exits with a status other than 0 if it cannot."""
    if options.output == STDOUT and sys.stdout.isatty():
        raise Refused(
            "The backup would go to the terminal; pipe it, for example into gpg --decrypt"
        )
    key = key_of(target.policy, rule=options.rule, server=options.server)
    vault = _vault(target)
    name, version_id = _name(target, vault, key, when, options, now=now)
    head = _head(vault, name, version_id)
    version = _version(vault, name, version_id, head)
    _say(f"{name}: {version.size:,} bytes, stored {head['LastModified']:%Y-%m-%d %H:%M} UTC")
    try:
        _make_readable(vault, version, archived(head), options)
        if options.output == STDOUT:
            _to_stdout(version, options)
        else:
            _to_file(version, options)
    except ReplacedError:
        _fail(f"{name} has other bytes than a moment ago; run the same command again")
    except LostConnectionError as error:
        _fail(f"S3 cannot be reached ({error}); the same command continues", found=False)


def _vault(target: Target) -> Vault:
    s3 = target.vault_account.client("s3", connections=STREAMS)
    return Vault(s3=s3, name=target.vault, owner=target.stage.settings.vault_owner)


def _name(
    target: Target, vault: Vault, key: str, when: When, options: RestoreOptions, *, now: datetime
) -> tuple[str, str | None]:
    """The stored name and version to restore."""
    if when.is_latest and options.output is None and not options.version_id:
        names = names_of(*target.policy.server_keys[key])
        for name, version_id in partials_in(Path()):
            if names.fullmatch(name):
                _say(f"An earlier restore of {name} is not complete. It is continued first.")
                return name, None if version_id == "null" else version_id
    try:
        choice = choose(target, vault, key, when, version_id=options.version_id, now=now)
    except NoBackupError as error:
        _fail(str(error))
    for remark in choice.remarks:
        _say(remark)
    return choice.backup.name, options.version_id or choice.backup.version_id


def _head(vault: Vault, name: str, version_id: str | None) -> Any:
    which: dict[str, Any] = {"Key": name, **({"VersionId": version_id} if version_id else {})}
    head = none_if(
        "404", lambda: vault.s3.head_object(**vault.args, **which, ChecksumMode="ENABLED")
    )
    if head is None:
        _fail(f"{name} has no version {version_id}; it was removed, or never existed")
    return head


def _version(vault: Vault, name: str, version_id: str | None, head: Any) -> StoredVersion:
    return StoredVersion(
        s3=vault.s3,
        args=vault.args,
        name=name,
        version_id=version_id,
        etag=head["ETag"].strip('"'),
        size=head["ContentLength"],
        checksum=checksum_of(head),
    )


def _make_readable(
    vault: Vault, version: StoredVersion, state: Archived, options: RestoreOptions
) -> None:
    """Retrieve an archived backup; exits if that takes a while and nobody waits for it."""
    if state.state is Retrieval.READABLE:
        return
    if state.state is Retrieval.ARCHIVED:
        _say(
            f"It is in {state.storage_class}. S3 takes {state.takes} to retrieve it, and bills it."
        )
        if not options.yes:
            click.confirm("Retrieve it now?", abort=True, err=True)
        start_retrieval(version)
    else:
        _say(f"S3 is retrieving it from {state.storage_class}, which takes {state.takes}.")
    if not options.wait:
        _fail("Run the same command later, or add --wait", found=False)
    wait_until_readable(
        lambda: archived(_head(vault, version.name, version.version_id)),
        sleep=time.sleep,
        tell=_say,
    )


def _to_stdout(version: StoredVersion, options: RestoreOptions) -> None:
    if options.verify_first:
        _say("Verifying it before the first byte is printed ...")
        if _pass_on(version, None) is False:
            _fail(f"The checksum of {version.name} is wrong; nothing was printed")
    verdict = _pass_on(version, sys.stdout.buffer)
    sys.stdout.buffer.flush()
    if verdict is False:
        _fail(f"The checksum of {version.name} is wrong: do not use what was printed")
    _say_size_only(version, verdict)


def _pass_on(version: StoredVersion, file: BinaryIO | None) -> bool | None:
    """Read it all, and write it to `file`; whether its checksum is right (None: S3 has none)."""
    checksum = version.checksum and RunningChecksum(version.checksum)
    with Progress(version.size) as progress:
        for chunk in version.chunks():
            if checksum:
                checksum.update(chunk)
            if file:
                file.write(chunk)
            progress.advance(len(chunk))
    return checksum.matches if checksum else None


def _to_file(version: StoredVersion, options: RestoreOptions) -> None:
    final = Path(options.output or version.name.rpartition("/")[2])
    refuse_file(final, force=options.force)
    partial = Partial(final=final, name=version.name, version_id=version.version_id)
    refuse_full_disk(partial, version.size)
    with partial.writing() as file:
        verdict = _complete(version, partial, file)
    if partial.size != version.size or verdict is False:
        partial.remove()
        _fail(
            f"What was downloaded is not {version.name}: its size or checksum is wrong. It was "
            "removed. Run the same command again; if that ends in the same way, the stored backup "
            "is damaged."
        )
    if verdict is None and not options.unverified:
        _say(
            f"Size only: S3 has no checksum of all of {version.name}, so its bytes are unverified."
        )
        _fail(
            f"It stays in {partial.path}; the same command with --unverified names it {final}",
            found=False,
        )
    partial.keep(force=options.force)
    click.echo(final)
    if verdict is not None:
        _say(f"Size and checksum ({version.checksum}) are right. To unpack it:")
    _say(f"  {next_step(str(final))}")
    _say_size_only(version, verdict)


def _complete(version: StoredVersion, partial: Partial, file: BinaryIO) -> bool | None:
    """Append what is missing; whether the checksum of the file on the disk is right."""
    checksum = version.checksum and RunningChecksum(version.checksum)
    with Progress(version.size) as progress:
        for chunk in partial.read():
            if checksum:
                checksum.update(chunk)
            progress.advance(len(chunk))
        for chunk in version.chunks(partial.size):
            file.write(chunk)
            if checksum:
                checksum.update(chunk)
            progress.advance(len(chunk))
    return checksum.matches if checksum else None


def _say_size_only(version: StoredVersion, verdict: bool | None) -> None:  # noqa: FBT001
    if verdict is None:
        _fail(f"Size only: S3 has no checksum of all of {version.name}.", found=False)


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _fail(sentence: str, *, found: bool = True) -> NoReturn:
    click.echo(f"Error: {sentence}", err=True)
    sys.exit(ExitStatus.SOMETHING_IS_WRONG if found else ExitStatus.COULD_NOT_FIND_OUT)
