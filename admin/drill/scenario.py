"""`backups drill`: every promise tried in the account itself, on an object of the drill's own."""

import secrets
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from admin.account import Account, AccountError, absent_if
from admin.desired.permissions import server_policy
from admin.drill.attacks import (
    DENIED,
    NOT_FREE,
    OVERWRITTEN,
    NotAsPromisedError,
    Place,
    refused,
    to_change,
    to_look,
)
from admin.drill.conditional_writes import conditions_hold
from admin.drill.lock import lock_holds
from admin.drill.simulation import may_only_add
from admin.drill.temporary_access import Temporary
from admin.drill.uploads import UPLOAD, Rehearsals
from admin.stage import Stage
from admin.waiting import Patience
from chalicelib.policy.policy import Outcome, Policy
from chalicelib.policy.rules import DRILL

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BYTES = 1024
# A minute may begin between two uploads, and then they have two slots; hardly so three times.
MOST_MINUTES = 3
# Of an upload that is promoted. S3 tells the promoter of it too, perhaps before the drill does.
SETTLED = frozenset({Outcome.PROMOTED, Outcome.ALREADY_PROMOTED, Outcome.GONE})

READ = "A server that can do more than upload shares its backups with whoever breaks into it"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A promise that was kept, as a sentence, and the seconds that it took to see it."""

    says: str
    seconds: float


def drill(
    account: Account, stage: Stage, policy: Policy, *, assume: bool, patience: Patience
) -> Generator[Step]:
    """Rehearse a backup and every attack on it; yields each promise when it was seen to be kept.

    Whatever ends it, what it has made is removed: when it is closed, or by the next drill. Only a
    slot of the vault's stays filled. With `assume` the promoter's role trusts the caller meanwhile.

    Raises NotAsPromisedError at the first promise that is broken; AccountError, ClientError or
    BotoCoreError for what could not be found out.
    """
    steps = _Drill(account, stage, policy, patience).steps(assume=assume)
    try:
        began = time.monotonic()
        for says in steps:
            yield Step(says=says, seconds=time.monotonic() - began)
            began = time.monotonic()
    finally:
        steps.close()


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What was uploaded, and where the promoter has put it."""

    body: bytes = field(repr=False)
    place: Place


class _Drill:
    def __init__(self, account: Account, stage: Stage, policy: Policy, patience: Patience) -> None:
        self._account = account
        self._policy = policy
        self._patience = patience
        self._incoming = stage.settings.incoming_bucket
        self._role = _role_of_the_promoter(account, stage)
        self._temporary = Temporary(
            account=account, stage=stage, role=self._role, patience=patience
        )
        self._rehearsals = Rehearsals(
            account=account, stage=stage, policy=policy, patience=patience
        )

    def steps(self, *, assume: bool) -> Generator[str]:
        """The story, one sentence for each promise that was kept."""
        found = self._temporary.remove()
        yield f"of an interrupted drill removed: {', '.join(found)}" if found else "a clean start"
        ended: Exception | None = None
        try:
            you: S3Client = self._account.client("s3")
            yield from conditions_hold(you, bucket=self._incoming, prefix=DRILL)
            server = yield from self._make_a_server()
            stored = yield from self._promote(server)
            stored = yield from self._contest(server, stored)
            yield lock_holds(self._rehearsals.keeper, stored.place)
            yield from _look("the server", server, stored.place)
            yield from _attack("the server", server, stored.place, if_free=DENIED)
            yield from _attack("the administrator", you, stored.place, if_free=DENIED)
            if (keeper := self._rehearsals.keeper) is not you:
                yield from _attack(
                    "the vault's administrator", keeper, stored.place, if_free=DENIED
                )
            yield from may_only_add(self._account, keeper, role=self._role, place=stored.place)
            if assume:
                promoter = yield from self._become_the_promoter()
                yield from _attack("the promoter", promoter, stored.place, if_free=NOT_FREE)
            yield self._restore(stored)
        except (NotAsPromisedError, AccountError, ClientError, BotoCoreError) as error:
            ended = error
            raise
        finally:
            self._remove(ended)
        yield "what the drill has made is removed, but for that object"

    def _remove(self, ended: Exception | None) -> None:
        """Remove what was made. What ended the drill is said first, with what stays as a note."""
        try:
            self._temporary.remove()
        except AccountError as stays:
            if ended is None:
                raise
            ended.add_note(str(stays))

    def _make_a_server(self) -> Generator[str, None, "S3Client"]:
        own_keys = server_policy(self._policy, incoming=self._incoming, server=DRILL)
        server: S3Client = self._temporary.make_user(own_keys).client("s3")
        yield f"a temporary user is a server, which may upload {self._incoming}/{UPLOAD}"
        return server

    def _promote(self, server: "S3Client") -> Generator[str, None, _Stored]:
        self._rehearsals.wait_for_a_free_slot()
        body = secrets.token_bytes(BYTES)
        etag = self._upload(server, body)
        yield f"the server uploads {BYTES:,} bytes"
        place = self._rehearsals.wait_for_promotion(etag)
        yield f"they are promoted to {place.vault}/{place.slot}, by a conditional copy"
        return _Stored(body=body, place=place)

    def _contest(self, server: "S3Client", first: _Stored) -> Generator[str, None, _Stored]:
        """Upload once more for the same slot; the slot is another one if a minute has begun."""
        promise = "a second upload for a slot is contested"
        for _ in range(MOST_MINUTES):
            body = secrets.token_bytes(BYTES)
            etag = self._upload(server, body)
            outcome = self._rehearsals.outcome()
            if outcome["outcome"] == Outcome.CONTESTED and outcome["slot"] == first.place.slot:
                yield f"{promise}: {outcome['reason']}"
                return first
            if outcome["outcome"] not in SETTLED:
                happened = f"it was {outcome['outcome']}: {outcome['reason'].rstrip('.')}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            place = self._rehearsals.wait_for_promotion(etag)
            if place.slot == first.place.slot:
                happened = f"it has replaced {place.slot}"
                raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
            first = _Stored(body=body, place=place)
        raise AccountError(
            f"Each of {MOST_MINUTES} uploads came in a minute of its own; run the drill again"
        )

    def _upload(self, server: "S3Client", body: bytes) -> str:
        etag = self._patience.outlast(
            "IAM to know the new user's rights everywhere",
            lambda: self._rehearsals.upload(server, body),
            codes={DENIED},
        )
        if etag is None:
            raise NotAsPromisedError(
                "a server may upload its own keys",
                happened=f"it is refused for {self._patience.seconds:.0f} seconds now",
                why="Servers could not upload either",
            )
        return etag

    def _become_the_promoter(self) -> Generator[str, None, "S3Client"]:
        self._temporary.trust_caller()
        promoter = self._patience.outlast(
            "the promoter's role to trust you", self._temporary.assume, codes={DENIED}
        )
        if promoter is None:
            raise AccountError(
                "The promoter's role trusts you now, and still you may not assume it: you need "
                "sts:AssumeRole; the drill without --assume does not"
            )
        yield f"the role {self._role.rpartition('/')[2]} trusts you for now"
        client: S3Client = promoter.client("s3")
        return client

    def _restore(self, stored: _Stored) -> str:
        place = stored.place
        promise = f"{place.vault}/{place.slot} comes back byte for byte"
        if self._rehearsals.restore(place) != stored.body:
            happened = "it has other bytes than were uploaded"
            raise NotAsPromisedError(promise, happened=happened, why=OVERWRITTEN)
        return promise


def _look(who: str, s3: "S3Client", place: Place) -> Iterator[str]:
    for attempt in to_look(s3, place):
        yield refused(who, attempt, why=READ)


def _attack(who: str, s3: "S3Client", place: Place, *, if_free: str) -> Iterator[str]:
    for attempt in to_change(s3, place, if_free=if_free):
        yield refused(who, attempt, why=OVERWRITTEN)


def _role_of_the_promoter(account: Account, stage: Stage) -> str:
    name = stage.function_name("promote")
    found = absent_if(
        "ResourceNotFoundException",
        lambda: account.client("lambda").get_function_configuration(FunctionName=name),
    )
    if found is None:
        raise AccountError(f"There is no function {name}; run make deploy STAGE={stage.name} first")
    return str(found["Role"])
