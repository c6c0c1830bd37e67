"""A history of a vault: servers, S3, Lambda and the clock do everything they can, in any order.

The promises are checked after every step, and also during a run whenever something happens between
two of its requests. The sweep is the app's own.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from chalicelib import record
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.promotion import Promoter
from chalicelib.record import Swept
from chalicelib.watching.sweep import INTERVAL, LEFT_TO_EVENTS, LONGEST_RUN
from localcloud.clock import clock
from localcloud.s3.backend import corrected
from tests.proofs.invariants import INCOMING, VAULT, Held, Holdings, Uploaded, check, look
from tests.proofs.remembered_reads import RememberedReads
from tests.proofs.sequential_pool import parts_in_turn
from tests.support.faults import EVERY_FAULT, Killed, at
from tests.support.wire import Wire, retries_at_once
from tests.support.world import DAILY, HOURLY, PARTS, World, bucket, with_buckets

# On this night London's clocks go back, so 01:30 comes twice.
BEGIN = datetime(2026, 10, 24, 21, 50, tzinfo=UTC)
POLICY = """
timezone = "Europe/London"
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
[[rule]]
upload = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
"""
# Objects up to this size are copied in one request, larger ones in parts: a history has both.
SMALL = 8
BODIES = (b"small", b"smaller", b"large: two parts", b"larger: three parts, no more")
# Metadata and tags of the sender, none of which must reach the vault.
THE_SENDERS_OWN = {"Metadata": {"source-key": "mine"}, "Tagging": "tier=hourly"}
LAMBDA_ATTEMPTS = 3
# Enough time for a run: 15 minutes.
SECONDS = 900.0
# After this many passes of the sweep, everything left behind is settled: a pass settles ten slots
# of a key, and what a killed run started looks like a running copy for half an hour.
PASSES = 6
ONE_FUNCTION = {
    "LambdaFunctionConfigurations": [
        {
            "LambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:promote",
            "Events": ["s3:ObjectCreated:*"],
        }
    ]
}


@dataclass
class Stage:
    """What all histories of a process share: creating it for each would take most of the time.

    The requests of `client` go over `wire`; servers and undisturbed runs have a separate client.
    """

    world: World
    wire: Wire
    client: Any
    events: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    runs: int = 0
    passes: int = 0


stages: list[Stage] = []
"""The open stage, if there is one."""


@contextmanager
def stage() -> Iterator[Stage]:
    """Two buckets, and a function that is notified of every upload, until the block ends."""
    events: list[dict[str, Any]] = []
    with (
        mock_aws(),
        corrected(deliver=lambda _, event: events.append(event)),
        retries_at_once(),
        parts_in_turn(),
        _silent(),
    ):
        clients = [
            boto3.client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))
            for _ in range(2)
        ]
        for name in (INCOMING, VAULT):
            clients[0].create_bucket(Bucket=name)
        clients[0].put_bucket_versioning(
            Bucket=VAULT, VersioningConfiguration={"Status": "Enabled"}
        )
        clients[0].put_bucket_notification_configuration(
            Bucket=INCOMING, NotificationConfiguration=ONE_FUNCTION
        )
        undisturbed, wire = RememberedReads(clients[0]), Wire(clients[1])
        promoter = Promoter(
            incoming=Incoming(s3=undisturbed, name=INCOMING),
            vault=Vault(s3=undisturbed, name=VAULT),
            policy=parse_policy(POLICY),
            tuning=replace(PARTS, single=SMALL, streams=1),
        )
        client = replace(undisturbed, client=clients[1], wire=wire)
        stages.append(Stage(World(undisturbed, promoter), wire, client, events))
        try:
            yield stages[-1]
        finally:
            stages.pop()


@contextmanager
def _silent() -> Iterator[None]:
    """Drop log lines and metrics, of which there are many."""
    handler = record.logger.registered_handler
    before, level = handler.stream, record.logger.log_level
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        handler.setStream(nowhere)
        record.logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            handler.setStream(before)
            record.logger.setLevel(level)


@dataclass(repr=False)
class Waiting:
    """An event in Lambda's queue, and how often its function has failed with it."""

    event: dict[str, Any]
    failures: int = 0

    def __repr__(self) -> str:
        return f"Waiting({_address(self.event)}, failures={self.failures})"


faults = st.lists(
    st.tuples(
        st.integers(1, 14), st.sampled_from(sorted(EVERY_FAULT)), st.sampled_from([1, 3, 16])
    ),
    max_size=3,
)
"""Which request of a run meets a fault, which fault, and how many requests it affects."""


moments = st.sampled_from([1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10])
"""Before which request of a run something else happens: often near the copy."""


class History(RuleBasedStateMachine):
    """Everything that can happen, and what must be true afterwards. Incoming keeps versions."""

    versioning: str | None = "Enabled"

    def __init__(self) -> None:
        super().__init__()
        self.stage = stages[-1]
        self.world, self.wire = self.stage.world, self.stage.wire
        self.policy: Policy = self.world.promoter.policy
        self.now = BEGIN
        clock.stand_at(BEGIN)
        self.uploads: list[Uploaded] = []
        # The keys and IDs of multipart uploads that are not complete.
        self.begun: list[tuple[str, str]] = []
        self.queue: list[Waiting] = []
        # Slots whose parts may remain: one of their runs did not reach its end.
        self.disturbed: set[str] = set()
        for name in (INCOMING, VAULT):
            bucket(name).keys.clear()
            bucket(name).multiparts.clear()
        bucket(INCOMING).versioning_status = self.versioning
        self.stage.events.clear()
        self.wire.mend()
        self.wire.calls.clear()
        self.wire.sent.clear()
        self.held = look()

    # The steps

    @rule(key=st.sampled_from([DAILY, HOURLY]), body=st.sampled_from(BODIES))
    def a_server_uploads(self, key: str, body: bytes) -> None:
        self.stage.steps += 1
        self._upload(key, body)

    @rule(key=st.sampled_from([DAILY, HOURLY]))
    def a_server_begins_an_upload_in_parts(self, key: str) -> None:
        """S3 dates the completed upload by this moment, however late it is completed."""
        self.stage.steps += 1
        upload = self.world.s3.create_multipart_upload(Bucket=INCOMING, Key=key, **THE_SENDERS_OWN)
        self.begun.append((key, upload["UploadId"]))

    @precondition(lambda self: self.begun)
    @rule(data=st.data(), body=st.sampled_from(BODIES))
    def a_server_completes_an_upload_in_parts(self, data: st.DataObject, body: bytes) -> None:
        self.stage.steps += 1
        key, upload_id = self.begun.pop(data.draw(st.integers(0, len(self.begun) - 1)))
        self._complete(key, upload_id, body)

    @rule(minutes=st.sampled_from([1, 4, 15, 25, 60, 90, 24 * 60, 8 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.stage.steps += 1
        self._pass(timedelta(minutes=minutes))

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), faults=faults, again=st.booleans())
    def an_event_is_delivered(
        self, data: st.DataObject, faults: list[tuple[int, str, int]], again: bool
    ) -> None:
        """The events may come late, early, out of order, or more than once."""
        self.stage.steps += 1
        waiting = self._take(data)
        if again:
            self.queue.append(Waiting(waiting.event))
        self._deliver(waiting, faults=faults)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), after=st.integers(0, 12), faults=faults)
    def a_run_is_killed(
        self, data: st.DataObject, after: int, faults: list[tuple[int, str, int]]
    ) -> None:
        self.stage.steps += 1
        self._deliver(self._take(data), faults=faults, kill_after=after)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), looks=st.integers(1, 4), faults=faults)
    def a_run_s_time_is_up(
        self, data: st.DataObject, looks: int, faults: list[tuple[int, str, int]]
    ) -> None:
        """The time runs out after the run has read the clock this many times."""
        self.stage.steps += 1
        self._deliver(self._take(data), faults=faults, looks=looks)

    @rule(
        data=st.data(),
        number=moments,
        bodies=st.tuples(st.sampled_from(BODIES), st.sampled_from(BODIES)),
        fresh=st.booleans(),
        promoted=st.booleans(),
        kill_after=st.none() | st.integers(0, 12),
    )
    def a_server_uploads_during_a_run(
        self,
        *,
        data: st.DataObject,
        number: int,
        bodies: tuple[bytes, bytes],
        fresh: bool,
        promoted: bool,
        kill_after: int | None,
    ) -> None:
        """Under the same key; the new upload's event may arrive even before the run continues.

        `fresh`: the run handles the first upload of a day.
        """
        self.stage.steps += 1
        if fresh or not self.queue:
            self._pass(timedelta(days=1))
            self._upload(DAILY, bodies[0])
            waiting = self.queue.pop()
        else:
            waiting = self._take(data)
        key, _ = _address(waiting.event)

        def rival() -> None:
            self._upload(key, bodies[1])
            if promoted:
                self._run(self.queue[-1].event, self.world.s3)

        self._deliver(waiting, kill_after=kill_after, between=(number, rival))

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), number=moments, kill_after=st.none() | st.integers(0, 12))
    def another_run_comes_between(
        self, data: st.DataObject, number: int, kill_after: int | None
    ) -> None:
        """The other run is for the same event, or for any other."""
        self.stage.steps += 1
        waiting = self._take(data)
        other = data.draw(st.sampled_from([waiting, *self.queue]))
        self._deliver(
            waiting,
            kill_after=kill_after,
            between=(number, lambda: self._run(other.event, self.world.s3)),
        )

    @precondition(lambda self: self.queue)
    @rule(
        data=st.data(),
        number=moments,
        minutes=st.sampled_from([0, 6, 14]),
        settled=st.booleans(),
        kill_after=st.none() | st.integers(0, 12),
    )
    def the_sweep_comes_between(
        self,
        *,
        data: st.DataObject,
        number: int,
        minutes: int,
        settled: bool,
        kill_after: int | None,
    ) -> None:
        """During a run of several minutes; what is handed over may run before that run goes on."""
        self.stage.steps += 1

        def sweep() -> None:
            self._pass(timedelta(minutes=minutes))
            queued = len(self.queue)
            self._sweep(self.world.s3)
            if settled:
                for waiting in self.queue[queued:]:
                    self._run(waiting.event, self.world.s3)

        self._deliver(self._take(data), kill_after=kill_after, between=(number, sweep))

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def an_event_is_lost(self, data: st.DataObject) -> None:
        self.stage.steps += 1
        self._take(data)

    @precondition(lambda self: self.held.vault)
    @rule(data=st.data())
    def somebody_deletes_a_backup(self, data: st.DataObject) -> None:
        """All that S3 lets anyone do to a locked version: put a delete marker on top of it."""
        self.stage.steps += 1
        name = data.draw(st.sampled_from(sorted(self.held.vault)))
        self.world.s3.delete_object(Bucket=VAULT, Key=name)
        self.held = look()

    @rule(faults=faults, kill_after=st.none() | st.integers(0, 8))
    def the_sweep_passes(self, faults: list[tuple[int, str, int]], kill_after: int | None) -> None:
        self.stage.steps += 1
        if not faults and kill_after is None:
            self._sweep_and_compare()
            return
        try:
            with self._disturbed(faults, kill_after):
                self._sweep(self.stage.client)
        except (Killed, ExceptionGroup):
            pass

    def teardown(self) -> None:
        """Let everything settle: one undisturbed run per event, then the sweep, nothing else."""
        self._run_all()
        for _ in range(PASSES):
            self._pass(INTERVAL)
            swept = self._sweep_and_compare()
            self._run_all()
        assert (swept.waiting, swept.handed_over) == (0, 0)
        left = {key for key, *_ in self.held.unfinished}
        assert left <= self.disturbed, f"parts stay: {left - self.disturbed}"
        self._one_more_night()
        assert not {key for key, *_ in self.held.unfinished} & set(self.held.vault)
        for upload in self.held.incoming:
            expected = self._expected(upload)
            assert expected in {"contested", "rejected"}, (upload, expected)

    # How

    def _one_more_night(self) -> None:
        """A small upload does not look for leftovers; a large one does."""
        self._pass(timedelta(days=9))
        self._upload(DAILY, BODIES[-1])
        self._run(self.queue.pop().event, self.world.s3, model=True)

    def _pass(self, time: timedelta) -> None:
        self.now += time
        clock.stand_at(self.now)

    def _upload(self, key: str, body: bytes) -> None:
        self._observe()
        self.world.s3.put_object(Bucket=INCOMING, Key=key, Body=body, **THE_SENDERS_OWN)
        self._note_upload(key, body)

    def _complete(self, key: str, upload_id: str, body: bytes) -> None:
        self._observe()
        which = {"Bucket": INCOMING, "Key": key, "UploadId": upload_id}
        etag = self.world.s3.upload_part(**which, PartNumber=1, Body=body)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        self.world.s3.complete_multipart_upload(**which, MultipartUpload=parts)
        self._note_upload(key, body)

    def _note_upload(self, key: str, body: bytes) -> None:
        """One was accepted just now; its event is the newest."""
        [event] = self.stage.events
        self.stage.events.clear()
        self.queue.append(Waiting(event))
        self.held = look()
        [new] = [
            version
            for version in self.held.incoming
            if (version.name, version.version_id) == _address(event)
        ]
        assert new.body == body
        etag, last_modified, *_ = new.facts
        self.uploads.append(
            Uploaded(
                key=key,
                body=body,
                at=last_modified.replace(tzinfo=UTC),
                version_id=None if new.version_id == "null" else new.version_id,
                etag=etag.strip('"'),
            )
        )

    def _take(self, data: st.DataObject) -> Waiting:
        return self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))

    def _run_all(self) -> None:
        """Run what is in Lambda's queue, and what these runs add to it."""
        while self.queue:
            self._run(self.queue.pop(0).event, self.world.s3, model=True)

    def _deliver(
        self,
        waiting: Waiting,
        *,
        faults: Sequence[tuple[int, str, int]] = (),
        kill_after: int | None = None,
        between: tuple[int, Callable[[], object]] | None = None,
        looks: int | None = None,
    ) -> None:
        """Make one of Lambda's three attempts, after which it drops the event."""
        undisturbed = not faults and kill_after is None and between is None and looks is None
        try:
            with self._disturbed(faults, kill_after), self._coming_between(between):
                self._run(waiting.event, self.stage.client, model=undisturbed, looks=looks)
        except (Killed, ExceptionGroup):
            if undisturbed:
                raise
            if waiting.failures + 1 < LAMBDA_ATTEMPTS:
                self.queue.append(replace(waiting, failures=waiting.failures + 1))
        self._observe()
        if not undisturbed:
            self.disturbed |= {key for key, *_ in self.held.unfinished}

    @contextmanager
    def _disturbed(
        self, faults: Sequence[tuple[int, str, int]], kill_after: int | None
    ) -> Iterator[None]:
        for number, name, times in faults:
            self.wire.plan(at(number, *[EVERY_FAULT[name]] * times))
        if kill_after is not None:
            self.wire.kill_after(kill_after)
        try:
            yield
        finally:
            self.wire.mend()

    @contextmanager
    def _coming_between(self, between: tuple[int, Callable[[], object]] | None) -> Iterator[None]:
        """Act just before the request of this number, but not in the gap of docs/faults.md."""
        wire, begun = self.wire, len(self.wire.sent)
        broken: list[BaseException] = []

        def before_each(operation: str) -> None:
            is_suspended = bucket(INCOMING).versioning_status == "Suspended"
            is_gap = is_suspended and operation == "DeleteObject"
            if between and len(wire.sent) - begun == between[0] and not is_gap:
                wire.before_each = None
                try:
                    self._observe()
                    between[1]()
                except BaseException as error:
                    # botocore would treat this as one more broken connection, and hide it.
                    broken.append(error)
                    raise

        wire.before_each = before_each
        try:
            yield
        finally:
            wire.before_each = None
            if broken:
                raise broken[0]

    def _run(
        self,
        event: dict[str, Any],
        client: Any,
        *,
        model: bool = False,
        looks: int | None = None,
    ) -> None:
        self.stage.runs += 1
        expected, before, begun = self._expected_of(event), len(self.uploads), self.held
        promoter = with_buckets(self.world.promoter, s3=client)
        try:
            [entry] = promoter.promote_all(event, now=self.now, seconds_left=_seconds(looks))
        finally:
            self._observe()
            self._check_first(begun)
        if model:
            assert entry.outcome == expected
        if entry.outcome in {"promoted", "already-promoted"}:
            stored = self.held.vault[entry.slot][-1]
            assert stored.says("source-etag") == entry.etag
        if entry.outcome == "contested":
            assert self.held.vault[entry.slot][-1].says("source-etag") != entry.etag
        # What arrived after the run's lookup has its own event.
        if entry.outcome == "gone" and len(self.uploads) == before:
            assert self._expected_of(event) == "gone"

    def _sweep(self, client: Any) -> Swept:
        """A pass of the app's own sweep, which changes nothing in S3."""
        self.stage.passes += 1
        before = look()
        sweeper = self.world.sweeper(lambda event: self.queue.append(Waiting(event)))
        sweeper = with_buckets(sweeper, s3=client)
        try:
            return sweeper.sweep(now=self.now, scheduled=self.now, seconds_left=lambda: SECONDS)
        finally:
            assert look() == before

    def _sweep_and_compare(self) -> Swept:
        """What an undisturbed pass must count and hand over."""
        queued = len(self.queue)
        swept = self._sweep(self.world.s3)
        outcomes = [(upload, self._expected(upload)) for upload in self.held.incoming]
        count = Counter(outcome for _, outcome in outcomes)
        assert (swept.contested, swept.rejected) == (count["contested"], count["rejected"])
        assert swept.versions == len(outcomes)
        handed_over = {_address(waiting.event) for waiting in self.queue[queued:]}
        assert swept.handed_over == len(self.queue) - queued
        for upload, outcome in outcomes:
            address = upload.name, upload.version_id
            if outcome in {"promoted", "waiting"}:
                first = outcome == "promoted" and self._is_due(upload)
                assert (address in handed_over) == first, (upload, outcome)
        return swept

    def _is_due(self, upload: Held) -> bool:
        uploaded = self._uploaded(upload)
        slot = self.policy.slot_of(upload.name, uploaded.at).name
        copied = [
            multipart.key_name
            for multipart in bucket(VAULT).multiparts.values()
            if self.now - multipart.initiated.replace(tzinfo=UTC) < LONGEST_RUN
        ]
        return self.now - uploaded.at >= LEFT_TO_EVENTS and slot not in copied

    def _observe(self) -> None:
        held = look()
        check(self.held, held, uploads=self.uploads, policy=self.policy)
        self.held = held

    def _check_first(self, begun: Holdings) -> None:
        """No new backup has overtaken an older eligible upload that existed at the run's start."""
        for name in self.held.vault.keys() - begun.vault.keys():
            version_id = self.held.vault[name][-1].says("source-version-id")
            for upload in begun.incoming:
                if upload.version_id == version_id:
                    break
                at = self._uploaded(upload).at
                if version_id and self.policy.slot_of(upload.name, at).name == name:
                    late = self.now - at > self.policy.accept_within
                    assert late, f"{name} belongs to {upload}"

    # The model: how an undisturbed run must settle an upload

    def _expected_of(self, event: dict[str, Any]) -> str:
        held = [
            version
            for version in self.held.incoming
            if (version.name, version.version_id) == _address(event)
        ]
        return self._expected(held[0]) if held else "gone"

    def _expected(self, upload: Held) -> str:
        slot = self._slot(upload)
        stored = self.held.vault.get(slot)
        if stored and _has_the_bytes_of(stored[-1], upload):
            return "already-promoted"
        if self._is_late(upload):
            return "rejected"
        if stored:
            return "contested"
        # The first upload is the one that is stored.
        first = next(
            version
            for version in self.held.incoming
            if self._slot(version) == slot and not self._is_late(version)
        )
        return "promoted" if first == upload else "waiting"

    def _slot(self, upload: Held) -> str:
        return self.policy.slot_of(upload.name, self._uploaded(upload).at).name

    def _is_late(self, upload: Held) -> bool:
        return self.now - self._uploaded(upload).at > self.policy.accept_within

    def _uploaded(self, held: Held) -> Uploaded:
        return next(
            upload
            for upload in reversed(self.uploads)
            if (upload.key, upload.version_id or "null") == (held.name, held.version_id)
        )


class UnversionedHistory(History):
    """Incoming has never kept versions: the next upload overwrites one that is waiting."""

    versioning = None


class SuspendedHistory(History):
    """Versioning of incoming was on and off: there is a `null` version that uploads can replace."""

    versioning = "Suspended"

    @rule(status=st.sampled_from(["Enabled", "Suspended"]))
    def somebody_changes_versioning(self, status: str) -> None:
        self.stage.steps += 1
        bucket(INCOMING).versioning_status = status


LAYOUTS = {
    "versioned": History,
    "unversioned": UnversionedHistory,
    "suspended": SuspendedHistory,
}


def _has_the_bytes_of(stored: Held, upload: Held) -> bool:
    """Checksums with different algorithms cannot be compared, nor can the ETags of such uploads."""
    return stored.body == upload.body and stored.facts[3] == upload.facts[3]


def _seconds(looks: int | None) -> Callable[[], float]:
    """The seconds left at each query; zero after this many queries (None: never)."""
    left = repeat(SECONDS) if looks is None else repeat(SECONDS, looks)
    return lambda: next(left, 0.0)


def _address(event: dict[str, Any]) -> tuple[str, str]:
    """The key and the version id that an event names."""
    described = event["Records"][0]["s3"]["object"]
    return unquote_plus(described["key"]), described.get("versionId") or "null"


def run_histories(
    layout: type[RuleBasedStateMachine],
    number: int,
    *,
    histories: int,
    steps: int,
    shorten: bool = False,
) -> None:
    """Run the histories of one seed, each of `steps` steps at most.

    Shrinking a failing history takes minutes.
    """
    run_state_machine_as_test(
        seed(number)(type(f"{layout.__name__}{number}", (layout,), {})),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            phases=[Phase.generate, *([Phase.shrink] if shorten else [])],
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )
