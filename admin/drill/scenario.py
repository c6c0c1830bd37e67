"""`backups drill`: tests every promise in the account itself, on an object that it makes."""

import secrets
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from admin.account import AccountError, none_if
from admin.desired.permissions import server_policy
from admin.drill.attacks import (
    ACCESS_DENIED,
    NOT_FREE,
    OVERWRITTEN,
    NotAsPromisedError,
    StoredObject,
    denied,
    read_attacks,
    write_attacks,
)
from admin.drill.conditional_writes import conditions_hold
from admin.drill.simulation import can_only_add
from admin.drill.temporary_access import TemporaryAccess
from admin.drill.uploads import UPLOAD, DrillUploads, lock_holds
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.decision import Outcome
from chalicelib.policy.rules import DRILL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BYTES = 1024
# If a minute begins between two uploads, they have different slots; three times is unlikely.
MOST_MINUTES = 3
# Outcomes of a promoted upload; S3 also notifies the promoter, perhaps before the drill does.
SETTLED = frozenset({Outcome.PROMOTED, Outcome.ALREADY_PROMOTED, Outcome.GONE})

READ = "An intruder on the server could read or remove its backups"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A promise that holds, as a sentence, and the seconds that testing it took."""

    sentence: str
    seconds: float


def drill(target: Target, *, assume: bool, waiter: Waiter) -> Generator[Step]:
    """Make a backup and try every attack on it; yields each promise that holds.

    The drill removes what it made when it is closed, or else at the start of the next drill; one
    stored object stays. With `assume`, the promoter's role trusts the caller for the duration.

    Raises NotAsPromisedError at the first broken promise; AccountError, ClientError or
    BotoCoreError if something could not be tried.
    """
    steps = _Drill(target, waiter).steps(assume=assume)
    try:
        began = time.monotonic()
        for sentence in steps:
            yield Step(sentence=sentence, seconds=time.monotonic() - began)
            began = time.monotonic()
    finally:
        steps.close()


@dataclass(frozen=True, kw_only=True)
class _Promoted:
    """The uploaded bytes, and the object they were stored as."""

    body: bytes = field(repr=False)
    stored: StoredObject


class _Drill:
    def __init__(self, target: Target, waiter: Waiter) -> None:
        self._target = target
        self._waiter = waiter
        self._role = _role_of_the_promoter(target)
        self._access = TemporaryAccess(target=target, role=self._role, waiter=waiter)
        self._uploads = DrillUploads(target=target, waiter=waiter)

    def steps(self, *, assume: bool) -> Generator[str]:
        """The whole drill, one sentence for each promise that holds."""
        leftovers = self._access.remove()
        yield (
            f"removed leftovers of an interrupted drill: {', '.join(leftovers)}"
            if leftovers
            else "no leftovers of an earlier drill"
        )
        failure: Exception | None = None
        try:
            administrator: S3Client = self._target.account.client("s3")
            yield from conditions_hold(administrator, bucket=self._target.incoming, prefix=DRILL)
            server = yield from self._make_a_server()
            promoted = yield from self._promote(server)
            promoted = yield from self._contest(server, promoted)
            stored = promoted.stored
            yield lock_holds(self._uploads.vault_client, stored)
            yield from _read("server", server, stored)
            yield from _write("server", server, stored, if_free=ACCESS_DENIED)
            yield from _write("administrator", administrator, stored, if_free=ACCESS_DENIED)
            if (vault_client := self._uploads.vault_client) is not administrator:
                yield from _write(
                    "vault administrator", vault_client, stored, if_free=ACCESS_DENIED
                )
            yield from can_only_add(
                self._target.account, vault_client, role=self._role, stored=stored
            )
            if assume:
                promoter = yield from self._become_the_promoter()
                yield from _write("promoter", promoter, stored, if_free=NOT_FREE)
            yield self._restore(promoted)
        except (NotAsPromisedError, AccountError, ClientError, BotoCoreError) as error:
            failure = error
            raise
        finally:
            self._remove(failure)
        yield "cleaned up; only the test object stays in the vault"

    def _remove(self, failure: Exception | None) -> None:
        """Remove what the drill made; anything left is noted on the drill's own failure."""
        try:
            self._access.remove()
        except AccountError as error:
            if failure is None:
                raise
            failure.add_note(str(error))

    def _make_a_server(self) -> Generator[str, None, "S3Client"]:
        own_keys = server_policy(self._target.policy, incoming=self._target.incoming, server=DRILL)
        server: S3Client = self._access.make_user(own_keys).client("s3")
        yield f"made a temporary user as the server: it can upload {self._target.incoming}/{UPLOAD}"
        return server

    def _promote(self, server: "S3Client") -> Generator[str, None, _Promoted]:
        self._uploads.wait_for_a_free_slot()
        body = secrets.token_bytes(BYTES)
        etag = self._upload(server, body)
        yield f"server uploaded {BYTES:,} bytes"
        stored = self._uploads.wait_for_promotion(etag)
        yield f"promoted to {stored.vault}/{stored.slot} by a conditional copy"
        return _Promoted(body=body, stored=stored)

    def _contest(self, server: "S3Client", first: _Promoted) -> Generator[str, None, _Promoted]:
        """Upload again for the same slot; if a new minute has started, start over with its slot."""
        promise = "a second upload for a slot is contested"
        for _ in range(MOST_MINUTES):
            body = secrets.token_bytes(BYTES)
            etag = self._upload(server, body)
            outcome = self._uploads.outcome()
            if outcome["outcome"] == Outcome.CONTESTED and outcome["slot"] == first.stored.slot:
                yield f"{promise}: {outcome['reason']}"
                return first
            if outcome["outcome"] not in SETTLED:
                happened = f"it was {outcome['outcome']}: {outcome['reason'].rstrip('.')}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            stored = self._uploads.wait_for_promotion(etag)
            if stored.slot == first.stored.slot:
                happened = f"it replaced {stored.slot}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            first = _Promoted(body=body, stored=stored)
        raise AccountError(
            f"Each of {MOST_MINUTES} uploads fell into a different minute; run the drill again"
        )

    def _upload(self, server: "S3Client", body: bytes) -> str:
        etag = self._waiter.retry_while(
            {ACCESS_DENIED},
            "all of AWS to learn the new user's rights",
            lambda: self._uploads.upload(server, body),
        )
        if etag is None:
            raise NotAsPromisedError(
                "servers can upload their own keys",
                happened=f"still denied after {self._waiter.seconds:.0f} seconds",
                why="Real servers could not upload either",
            )
        return etag

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
        promise = f"{stored.vault}/{stored.slot} comes back byte for byte"
        if self._uploads.restore(stored) != promoted.body:
            happened = "its bytes differ from those uploaded"
            raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
        return promise


def _read(who: str, s3: "S3Client", stored: StoredObject) -> Iterator[str]:
    for attack in read_attacks(s3, stored):
        yield denied(who, attack, why=READ)


def _write(who: str, s3: "S3Client", stored: StoredObject, *, if_free: str) -> Iterator[str]:
    for attack in write_attacks(s3, stored, if_free=if_free):
        yield denied(who, attack, why=OVERWRITTEN)


def _role_of_the_promoter(target: Target) -> str:
    name = target.stage.function_name("promote")
    function = none_if(
        "ResourceNotFoundException",
        lambda: target.account.client("lambda").get_function_configuration(FunctionName=name),
    )
    if function is None:
        raise AccountError(
            f"There is no function {name}; run make deploy STAGE={target.stage.name} first"
        )
    return str(function["Role"])
