"""`backups drill`: tests every promise in the account itself, on an object that it makes."""

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from admin.account import AccountError
from admin.desired.permissions import server_policy
from admin.drill.attacks import (
    ACCESS_DENIED,
    NOT_FREE,
    OVERWRITTEN,
    WEAKENED,
    NotAsPromisedError,
    NotChecked,
    StoredObject,
    all_denied,
)
from admin.drill.bucket_attacks import bucket_attacks
from admin.drill.conditional_writes import conditions_hold
from admin.drill.object_attacks import read_attacks, upload_attacks, write_attacks
from admin.drill.real_keys import promoter_can_promote, servers_can_upload
from admin.drill.simulation import read_bucket, vault_promises
from admin.drill.temporary_access import TemporaryAccess, role_of_the_promoter
from admin.drill.uploads import PART, PARTS, SIZE, DrillUploads, Uploaded, lock_holds
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.decision import Outcome
from chalicelib.policy.rules import DRILL, DRILL_UPLOAD

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# If a minute begins between two uploads, they have different slots; three times is unlikely.
MOST_MINUTES = 3
# Outcomes of a promoted upload; S3 also notifies the promoter, perhaps before the drill does.
SETTLED = frozenset({Outcome.PROMOTED, Outcome.ALREADY_PROMOTED, Outcome.GONE})

READ = "An intruder on the server could read or remove its backups"
LOST = "An upload that can never be promoted must fail on the server"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A promise that holds, as a sentence, and the seconds that testing it took.

    If it was not `checked`, the sentence explains why.
    """

    sentence: str
    seconds: float
    checked: bool = True


def drill(target: Target, *, assume: bool, quick: bool, waiter: Waiter) -> Generator[Step]:
    """Make a small and a multipart backup, and try every attack; yields each promise that holds.

    The drill removes what it created when it is closed, or at the start of the next drill; its
    stored objects stay. With `assume`, the promoter's role trusts the caller for the duration.
    `quick` skips the multipart backup.

    Raises NotAsPromisedError at the first broken promise; AccountError, ClientError or
    BotoCoreError if something could not be tried.
    """
    steps = _Drill(target, waiter).steps(assume=assume, quick=quick)
    try:
        began = time.monotonic()
        for result in steps:
            seconds = time.monotonic() - began
            match result:
                case NotChecked(sentence):
                    yield Step(sentence=sentence, seconds=seconds, checked=False)
                case sentence:
                    yield Step(sentence=sentence, seconds=seconds)
            began = time.monotonic()
    finally:
        steps.close()


@dataclass(frozen=True, kw_only=True)
class _Promoted:
    """An upload, and the object that it was stored as."""

    uploaded: Uploaded
    stored: StoredObject


class _Drill:
    def __init__(self, target: Target, waiter: Waiter) -> None:
        self._target = target
        self._waiter = waiter
        self._role = role_of_the_promoter(target)
        self._access = TemporaryAccess(target=target, role=self._role, waiter=waiter)
        self._uploads = DrillUploads(target=target, waiter=waiter)

    def steps(self, *, assume: bool, quick: bool) -> Generator[str | NotChecked]:
        """The whole drill, one sentence for each promise that holds."""
        leftovers = self._access.remove()
        yield (
            f"removed leftovers of an interrupted drill: {', '.join(leftovers)}"
            if leftovers
            else "no leftovers from an earlier drill"
        )
        failure: Exception | None = None
        try:
            administrator: S3Client = self._target.account.client("s3")
            yield from conditions_hold(administrator, bucket=self._target.incoming, prefix=DRILL)
            server = yield from self._make_a_server()
            yield from self._store_in_parts(server, quick=quick)
            promoted = yield from self._store(server)
            stored = promoted.stored
            yield from all_denied("server", read_attacks(server, stored), why=READ)
            yield from all_denied("server", upload_attacks(server, stored), why=LOST)
            for who, client in self._clients(server).items():
                yield from self._attack(who, client, stored, if_free=ACCESS_DENIED)
            yield from self._simulate(stored)
            if assume:
                promoter = yield from self._become_the_promoter()
                yield from self._attack("promoter", promoter, stored, if_free=NOT_FREE)
            yield self._restore(promoted)
        except (NotAsPromisedError, AccountError, ClientError, BotoCoreError) as error:
            failure = error
            raise
        finally:
            self._remove(failure)
        yield "cleaned up; only the test objects stay in the vault"

    def _remove(self, failure: Exception | None) -> None:
        """Remove what the drill created; anything left is noted on the drill's own failure."""
        try:
            self._access.remove()
        except AccountError as error:
            if failure is None:
                raise
            failure.add_note(str(error))

    def _make_a_server(self) -> Generator[str, None, "S3Client"]:
        own_keys = server_policy(self._target.policy, incoming=self._target.incoming, server=DRILL)
        server: S3Client = self._access.make_user(own_keys).client("s3")
        yield (
            "created a temporary user with a server's rights: it can upload "
            f"{self._target.incoming}/{DRILL_UPLOAD}"
        )
        return server

    def _clients(self, server: "S3Client") -> dict[str, "S3Client"]:
        """All attackers that do not assume a role."""
        clients = {"server": server, "administrator": self._target.account.client("s3")}
        if self._target.vault_has_own_account:
            clients["vault administrator"] = self._uploads.vault_client
        return clients

    def _store_in_parts(self, server: "S3Client", *, quick: bool) -> Iterator[str]:
        if quick:
            yield f"skipped (--quick): a multipart upload of {PARTS * PART:,} bytes"
            return
        promoted = yield from self._promote(
            f"{PARTS * PART:,} bytes in {PARTS} parts",
            lambda: self._uploads.upload_in_parts(server),
        )
        yield lock_holds(self._uploads.vault_client, promoted.stored)
        yield self._restore(promoted)

    def _store(self, server: "S3Client") -> Generator[str, None, _Promoted]:
        promoted = yield from self._promote(f"{SIZE:,} bytes", lambda: self._uploads.upload(server))
        promoted = yield from self._contest(server, promoted)
        yield lock_holds(self._uploads.vault_client, promoted.stored)
        return promoted

    def _promote(
        self, what: str, upload: Callable[[], Uploaded]
    ) -> Generator[str, None, _Promoted]:
        self._uploads.wait_for_a_free_slot()
        uploaded = self._upload(upload)
        yield f"server uploaded {what}"
        stored = self._uploads.wait_for_promotion(uploaded.etag)
        copied = f"in {stored.parts} parts" if stored.parts else "in one request"
        yield f"promoted to {stored.vault}/{stored.slot} by a conditional copy {copied}"
        return _Promoted(uploaded=uploaded, stored=stored)

    def _contest(self, server: "S3Client", first: _Promoted) -> Generator[str, None, _Promoted]:
        """Upload again for the same slot; if a new minute has started, start over with its slot."""
        promise = "a second upload for a slot is contested"
        for _ in range(MOST_MINUTES):
            uploaded = self._upload(lambda: self._uploads.upload(server))
            outcome = self._uploads.outcome()
            if outcome["outcome"] == Outcome.CONTESTED and outcome["slot"] == first.stored.slot:
                yield f"{promise}: {outcome['reason']}"
                return first
            if outcome["outcome"] not in SETTLED:
                happened = f"it was {outcome['outcome']}: {outcome['reason'].rstrip('.')}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            stored = self._uploads.wait_for_promotion(uploaded.etag)
            if stored.slot == first.stored.slot:
                happened = f"it replaced {stored.slot}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            first = _Promoted(uploaded=uploaded, stored=stored)
        raise AccountError(
            f"Each of {MOST_MINUTES} uploads fell into a different minute; run the drill again"
        )

    def _upload(self, upload: Callable[[], Uploaded]) -> Uploaded:
        uploaded = self._waiter.retry_while(
            {ACCESS_DENIED}, "all of AWS to learn the new user's rights", upload
        )
        if uploaded is None:
            raise NotAsPromisedError(
                "servers can upload their own keys",
                happened=f"still denied after {self._waiter.seconds:.0f} seconds",
                why="Real servers could not upload either",
            )
        return uploaded

    def _attack(
        self, who: str, s3: "S3Client", stored: StoredObject, *, if_free: str
    ) -> Iterator[str]:
        on_objects = write_attacks(s3, stored, if_free=if_free)
        yield from all_denied(who, on_objects, why=OVERWRITTEN)
        on_bucket = bucket_attacks(s3, reader=self._uploads.vault_client, bucket=stored.vault)
        yield from all_denied(who, on_bucket, why=WEAKENED)

    def _simulate(self, stored: StoredObject) -> Iterator[str | NotChecked]:
        target, role, now = self._target, self._role, datetime.now(UTC)
        tell = self._waiter.tell
        incoming, vault = (read_bucket(target, name) for name in (target.incoming, target.vault))
        principals = {
            "server": self._access.user_arn,
            "administrator": target.account.principal(),
            "promoter": role,
        }
        if target.vault_has_own_account:
            principals["vault administrator"] = target.vault_account.principal()
        # One real slot of each rule: a statement added by others can match the drill's slot alone.
        real = {rule: key for key, (rule, _) in target.policy.server_keys.items()}
        slots = [stored.slot, *(target.policy.slot_of(key, now).name for key in real.values())]
        for promise in vault_promises(
            vault, incoming, slots=slots, role=role, principals=principals
        ):
            yield promise.test()
        yield from servers_can_upload(target, incoming, tell=tell)
        yield promoter_can_promote(incoming, vault, role=role, now=now, tell=tell)

    def _become_the_promoter(self) -> Generator[str, None, "S3Client"]:
        self._access.trust_caller()
        promoter = self._waiter.retry_while(
            {ACCESS_DENIED}, "the promoter's role to trust you", self._access.assume
        )
        if promoter is None:
            raise AccountError(
                "You cannot assume the promoter's role although it trusts you; you need "
                "sts:AssumeRole, or run the drill without --assume"
            )
        yield f"the role {self._role.rpartition('/')[2]} trusts you for this drill"
        client: S3Client = promoter.client("s3")
        return client

    def _restore(self, promoted: _Promoted) -> str:
        stored = promoted.stored
        promise = f"{stored.vault}/{stored.slot} was restored byte for byte"
        if self._uploads.restore(stored) != promoted.uploaded.sha256:
            happened = "its bytes differ from those uploaded"
            raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
        return promise
