"""Months of backups: five servers upload, S3, Lambda and the network fail, and nobody helps.

The app's own promoter and sweep run against the S3 in this process, in a Lambda without threads, on
a clock that jumps from one event to the next. The same seed always gives the same months.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from admin.choices import SetupOptions
from admin.desired.buckets import desired_settings
from admin.desired.requirement import Kind
from chalicelib import record
from chalicelib.policy.decision import Outcome
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Slot
from chalicelib.promotion.buckets import Incoming, Vault
from chalicelib.promotion.promotion import Promoter
from chalicelib.record import Record, Swept
from chalicelib.watching.sweep import INTERVAL, LONGEST_RUN, Sweeper
from localcloud.s3.backend import corrected
from localcloud.s3.lifecycle import run_lifecycle
from localcloud.s3.versions import Order
from tests.proofs.invariants import INCOMING, VAULT
from tests.proofs.remembered_reads import RememberedReads
from tests.proofs.sequential_pool import parts_in_turn
from tests.proofs.timeline import Lambda, Timeline
from tests.support.faults import EVERY_FAULT, Fault, Killed
from tests.support.project import STAGE
from tests.support.wire import Wire, retries_at_once
from tests.support.world import DAILY, HOURLY, PARTS, bucket

SECOND, MINUTE, HOUR, DAY = (
    timedelta(seconds=1),
    timedelta(minutes=1),
    timedelta(hours=1),
    timedelta(days=1),
)
SERVERS = ("web1", "web2", "db1", "db2", "mail1")
MIN_BYTES = 4
POLICY = """
timezone = "Europe/London"
servers = ["web1", "web2", "db1", "db2", "mail1"]
accept_within_hours = {hours}
[[rule]]
upload = "backup.tar.gz.gpg"
store_as = "%Y-%m-%d.tar.gz.gpg"
min_bytes = 4
[[rule]]
upload = "sql.gz.gpg"
store_as = "%Y-%m-%d.%H.sql.gz.gpg"
min_bytes = 4
"""
# Objects up to this size are copied in one request, larger ones in parts.
SMALL = 8
# At the end of a month nothing goes wrong for as long as events are kept, so that nothing is left
# waiting.
SETTLING = 7 * HOUR
# Of the passes that can only count or fail, run only this fraction: they change nothing, and take
# time.
IDLE_PASSES = 1 / 20
ONE_FUNCTION = {
    "LambdaFunctionConfigurations": [
        {
            "LambdaFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:promote",
            "Events": ["s3:ObjectCreated:*"],
        }
    ]
}


@dataclass(frozen=True, kw_only=True)
class Chances:
    """The probability of each fault: per upload, event, run or request."""

    second: float = 0.025
    """A second upload follows, mostly in the same slot."""
    intruder: float = 0.005
    """An intruder's three uploads follow."""
    small: float = 0.02
    """The upload is too small, and the server tries again."""
    in_parts: float = 0.04
    """It is a multipart upload. (Every other nightly upload is.)"""
    again: float = 0.03
    """The response is lost, and the SDK sends the same bytes again."""
    large: float = 0.1
    """The upload is copied in parts."""
    lost: float = 0.05
    doubled: float = 0.03
    late: float = 0.1
    killed: float = 0.02
    slow: float = 0.02
    """The run takes minutes, and everything else continues meanwhile."""
    fault: float = 0.003
    schedule_late: timedelta = timedelta(minutes=1)
    """The maximum delay of a pass of the sweep."""


# The events that a tally counts, besides faults.
CHANCES = [each.name for each in fields(Chances) if each.name != "schedule_late"]
OUTAGES = ("s3 out", "lambda out", "network out", "invoke out")
PASSES = ("a pass that fails", "a pass that hands over", "a pass with nothing to do")
# Servers and intruders act as always, and AWS is always on time.
FAIR = Chances(lost=0, doubled=0, late=0, killed=0, slow=0, fault=0, schedule_late=timedelta())


@dataclass(frozen=True, kw_only=True)
class Outage:
    """What fails from `begin` to `end`: `s3`, `lambda`, `network` or `invoke`.

    With `s3`, S3 responds neither to the app nor to every second upload; with `network`, no server
    can upload; with `invoke`, the sweep cannot invoke `promote`.
    """

    kind: str
    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """One upload that S3 has accepted. Steps are counted over the whole simulation."""

    key: str
    version_id: str
    body: bytes
    place: str
    slot: Slot
    begun: datetime
    begun_step: int
    completed: datetime
    completed_step: int

    @property
    def address(self) -> tuple[str, str]:
        return self.key, self.version_id

    @property
    def is_eligible(self) -> bool:
        return len(self.body) >= MIN_BYTES


@dataclass(kw_only=True)
class Run:
    """One invocation: the step at which it started, and which requests will fail, and how."""

    step: int
    killed_at: int | None = None
    slow_at: int | None = None
    requests: int = 0
    failed_requests: int = 0


@dataclass(kw_only=True)
class Stored:
    """A filled slot: the version that S3 has, and when the run that copied it started."""

    version: Any
    at: datetime
    run_step: int


@dataclass
class Tally:
    """A readable log of what has happened."""

    runs: int = 0
    passes: int = 0
    idle_passes: int = 0
    only_counted: int = 0
    killed: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    """How often each event, fault, kind of outage and kind of pass happened."""

    @property
    def lacks(self) -> set[str]:
        """The events that can happen but have not happened yet."""
        everything = {*CHANCES, *EVERY_FAULT, *OUTAGES, *PASSES, *Outcome} - {Outcome.IGNORED}
        return everything - (self.happened + self.outcomes).keys()


class Month:
    """Five servers, their buckets and the app, from `begin` for `days`."""

    def __init__(
        self,
        s3: Any,
        app_s3: Any,
        *,
        seed: int,
        begin: datetime,
        days: int,
        accept_within_hours: int,
        chances: Chances,
        outages: tuple[Outage, ...],
    ) -> None:
        self.s3, self.random = s3, Random(seed)
        self.wire = Wire(app_s3)
        self.wire.plan(self._fault)
        self.wire.before_each = self._before_each
        self.chances, self.outages = chances, outages
        self.begin, self.end = begin, begin + days * DAY
        self.policy = parse_policy(POLICY.format(hours=accept_within_hours))
        remembering = RememberedReads(app_s3, self.wire)
        self.promoter = Promoter(
            incoming=Incoming(s3=remembering, name=INCOMING),
            vault=Vault(s3=remembering, name=VAULT),
            policy=self.policy,
            tuning=replace(PARTS, single=SMALL, streams=1),
        )
        self.sweeper = Sweeper(
            incoming=self.promoter.incoming,
            vault=self.promoter.vault,
            policy=self.policy,
            invoke=self._invoke_promote,
        )
        self.timeline = Timeline(begin)
        self.lambda_ = Lambda(
            timeline=self.timeline,
            functions={"promote": self._promote, "sweep": self._sweep},
            runs_again=self._lambda_runs_again,
        )
        self.idle_passes = IDLE_PASSES
        self.tally = Tally()
        self.uploads: dict[tuple[str, str], Accepted] = {}
        self.expired: set[tuple[str, str]] = set()
        self.recorded: Counter[tuple[str, str]] = Counter()
        # Promotions that were logged by runs whose requests all succeeded. Any other run cannot
        # know whether its own request or another run's made the copy, and logs the copy as its own.
        self.promoted: Counter[str] = Counter()
        self.stored: dict[str, Stored] = {}
        self.last_pass: Swept | None = None
        self.last_pass_at = begin
        self.running: list[Run] = []
        self._steps = count(1)
        self._bodies = count(1)
        self._make_buckets()

    def live(self, *, servers: bool = True) -> None:
        """Run everything until nothing can be waiting; then check every promise."""
        if servers:
            self._plan_servers()
        self.timeline.at(self.begin, self._each_quarter)
        self.timeline.at(self.begin + DAY, self._each_night)
        self.timeline.run_until(self.end)
        self.chances = FAIR
        self.timeline.run_until(self.end + SETTLING)
        self.idle_passes = 1
        self.timeline.run_until(self.end + SETTLING + INTERVAL)
        self.idle_passes = IDLE_PASSES
        self.check()
        self.check_that_nothing_waits()

    def let_all_expire(self) -> None:
        """Run every night until the lifecycle has removed what could not be promoted."""
        for _ in range(2 * (self.policy.accept_within // DAY + 2) + 2):
            self.timeline.run_until(self.timeline.now + DAY)
        assert not bucket(INCOMING).keys

    # What happens

    def _make_buckets(self) -> None:
        for name in (INCOMING, VAULT):
            self.s3.create_bucket(Bucket=name)
            self.s3.put_bucket_versioning(
                Bucket=name, VersioningConfiguration={"Status": "Enabled"}
            )
        self.s3.put_bucket_notification_configuration(
            Bucket=INCOMING, NotificationConfiguration=ONE_FUNCTION
        )
        for requirement in desired_settings(
            self.policy, STAGE, SetupOptions(lock=None), account="123456789012", region="us-east-1"
        ):
            if requirement.kind is Kind.LIFECYCLE:
                self.s3.put_bucket_lifecycle_configuration(
                    Bucket=requirement.resource,
                    LifecycleConfiguration={"Rules": requirement.desired},
                )

    def _plan_servers(self) -> None:
        for number, server in enumerate(SERVERS):
            hour = self.begin + (3 * number + 1) * MINUTE
            while hour < self.end:
                late = self.random.uniform(0, 90) * SECOND
                self.timeline.at(hour + late, partial(self._job, f"{server}/{HOURLY}"))
                hour += HOUR
            night = self.begin + 2 * HOUR + number * 7 * MINUTE
            while night < self.end:
                self.timeline.at(night, partial(self._job, f"{server}/{DAILY}"))
                night += DAY

    def _job(self, key: str) -> None:
        """What cron starts on a server."""
        outage = self._outage()
        if outage and outage.kind in {"network", "s3"} and self._by_chance(0.5):
            return
        if outage and outage.kind == "network":
            if outage.end - self.timeline.now < 45 * MINUTE:
                self.timeline.at(outage.end, partial(self._upload, key))
            return
        self._upload(key)

    def _upload(self, key: str) -> None:
        if self._by_chance(0.5 if key.endswith(DAILY) else self.chances.in_parts):
            self.begin_in_parts(key)
        elif self._happens("small"):
            self.put(key, self.random.choice([b"", b"few"]))
            self._later(10 * MINUTE, partial(self.put, key, self._body()))
        else:
            body = self._body()
            self.put(key, body)
            if self._happens("again"):
                self._later(2 * MINUTE, partial(self.put, key, body))
        if self._happens("second"):
            self._later(30 * MINUTE, partial(self.put, key, self._body()))
        if self._happens("intruder"):
            for _ in range(3):
                self._later(5 * MINUTE, partial(self.put, key, self._body()))

    def _body(self) -> bytes:
        body = f"{next(self._bodies):06}".encode()
        return body * 3 if self._happens("large") else body

    def put(self, key: str, body: bytes) -> None:
        step = next(self._steps)
        answer = self.s3.put_object(Bucket=INCOMING, Key=key, Body=body)
        self._accept(key, body, answer["VersionId"], begun_step=step)

    def begin_in_parts(self, key: str, *, lasts: timedelta | None = None) -> None:
        step = next(self._steps)
        self.tally.happened["in_parts"] += 1
        upload = self.s3.create_multipart_upload(Bucket=INCOMING, Key=key)
        # The completion does not return which version it has created.
        version_id = bucket(INCOMING).multiparts[upload["UploadId"]].version_id
        complete = partial(
            self._complete_in_parts, key, upload["UploadId"], version_id, self._body(), step
        )
        self.timeline.after(lasts or self._some(90 * MINUTE), complete)

    def _complete_in_parts(
        self, key: str, upload_id: str, version_id: str, body: bytes, begun_step: int
    ) -> None:
        which = {"Bucket": INCOMING, "Key": key, "UploadId": upload_id}
        etag = self.s3.upload_part(**which, PartNumber=1, Body=body)["ETag"]
        parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        self.s3.complete_multipart_upload(**which, MultipartUpload=parts)
        self._accept(key, body, version_id, begun_step=begun_step)

    def _accept(self, key: str, body: bytes, version_id: str, *, begun_step: int) -> None:
        [version] = [
            version
            for version in bucket(INCOMING).keys.getlist(key)
            if version.version_id == version_id
        ]
        begun = version.last_modified.replace(tzinfo=UTC)
        self.uploads[key, version_id] = Accepted(
            key=key,
            version_id=version_id,
            body=body,
            place=version.place,
            slot=self.policy.slot_of(key, begun),
            begun=begun,
            begun_step=begun_step,
            completed=self.timeline.now,
            completed_step=next(self._steps),
        )

    def deliver(self, _: str, event: dict[str, Any]) -> None:
        """What S3 does with the event of an upload."""
        if self._happens("lost"):
            return
        for _ in range(1 + self._happens("doubled")):
            late = self._happens("late")
            delay = self.random.uniform(0, 5) * HOUR if late else self._some(20 * SECOND)
            self.lambda_.invoke("promote", event, delay=delay)

    def _each_quarter(self) -> None:
        now = self.timeline.now
        self.timeline.at(now + INTERVAL, self._each_quarter)
        for _ in range(1 + self._happens("doubled")):
            self.lambda_.invoke("sweep", now, delay=self._some(self.chances.schedule_late))

    def _each_night(self) -> None:
        self.timeline.after(DAY, self._each_night)
        self.check()
        run_lifecycle()
        lying = self._lying()
        self.expired |= {
            upload.address
            for upload in self.uploads.values()
            if upload.address not in lying and not self._is_in_its_slot(upload)
        }

    # The functions, and what happens to them

    def _promote(self, event: dict[str, Any]) -> None:
        self.tally.runs += 1
        with self._invocation(requests=12):
            self.promoter.promote_all(event, now=self.timeline.now, seconds_left=lambda: 900)

    def _sweep(self, scheduled: datetime) -> None:
        self.tally.passes += 1
        if self._is_idle() and not self._by_chance(self.idle_passes):
            self.tally.idle_passes += 1
            return
        happened = "a pass that fails"
        try:
            with self._invocation(requests=40):
                now = self.timeline.now
                self.last_pass = self.sweeper.sweep(
                    now=now, scheduled=scheduled, seconds_left=lambda: 900
                )
                self.last_pass_at = now
                hands_over = self.last_pass.handed_over > 0
                happened = "a pass that hands over" if hands_over else "a pass with nothing to do"
        finally:
            self.tally.happened[happened] += 1

    def _invoke_promote(self, event: dict[str, Any]) -> None:
        outage = self._outage()
        if outage and outage.kind == "invoke":
            raise ClientError({"Error": {"Code": "ServiceException"}}, "Invoke")
        self.lambda_.invoke("promote", event, delay=self._some(SECOND))

    @contextmanager
    def _invocation(self, *, requests: int) -> Iterator[None]:
        run = Run(step=next(self._steps))
        if self._happens("killed"):
            run.killed_at = self.random.randint(1, requests)
        # Runs that wait for each other form a stack here; a few levels are enough.
        if len(self.running) < 3 and self._happens("slow"):
            run.slow_at = self.random.randint(1, requests)
        self.running.append(run)
        try:
            yield
        finally:
            self._note_stored(run)
            self.running.remove(run)

    def _fault(self, _: str) -> Fault | None:
        """What happens to the request that the newest run sends. Raises Killed."""
        fault = self._fault_of(self.running[-1])
        self.running[-1].failed_requests += fault is not None
        return fault

    def _fault_of(self, run: Run) -> Fault | None:
        run.requests += 1
        if run.killed_at is not None and run.requests >= run.killed_at:
            self.tally.killed += run.requests == run.killed_at
            raise Killed
        outage = self._outage()
        if outage and outage.kind == "s3":
            return EVERY_FAULT[self.random.choice(["500", "503", "no answer"])]
        if self._happens("fault"):
            name = self.random.choice(list(EVERY_FAULT))
            self.tally.happened[name] += 1
            return EVERY_FAULT[name]
        return None

    def _before_each(self, _: str) -> None:
        """Let time pass before a request of a slow run."""
        run = self.running[-1]
        if run.requests == run.slow_at:
            run.slow_at = None
            self._note_stored(run)
            self.timeline.run_until(self.timeline.now + self.random.uniform(1, 14) * MINUTE)

    def _lambda_runs_again(self, now: datetime) -> datetime | None:
        outage = self._outage()
        return outage.end if outage and outage.kind == "lambda" else None

    def _is_idle(self) -> bool:
        """Whether a pass can only fail, or only count because promote has recorded everything."""
        outage = self._outage()
        return (outage is not None and outage.kind in {"s3", "invoke"}) or all(
            address in self.recorded and not self._is_in_its_slot(self.uploads[address])
            for address in self._lying()
        )

    # The checks

    def note(self, entry: Record) -> None:
        """The records of promote."""
        self.tally.outcomes[entry.outcome] += 1
        if entry.outcome in {Outcome.CONTESTED, Outcome.REJECTED}:
            self.recorded[entry.upload, entry.version_id or ""] += 1
        if entry.outcome is Outcome.PROMOTED and not self.running[-1].failed_requests:
            self.promoted[entry.slot or ""] += 1

    def _note_stored(self, run: Run) -> None:
        """The new objects in the vault were copied by this run."""
        keys = bucket(VAULT).keys
        if len(keys) == len(self.stored):
            return
        for name in keys.keys() - self.stored.keys():
            [version] = keys.getlist(name)
            self.stored[name] = Stored(version=version, at=self.timeline.now, run_step=run.step)

    def check(self) -> None:
        """Nothing in the vault has changed, each slot has the right upload, and none is lost."""
        keys = bucket(VAULT).keys
        assert keys.keys() == self.stored.keys()
        for name, stored in self.stored.items():
            assert keys.getlist(name) == [stored.version], f"{name} has changed"
        assert not [slot for slot, times in self.promoted.items() if times > 1]
        lying = self._lying()
        for upload in self.uploads.values():
            if upload.address not in lying and upload.address not in self.expired:
                assert self._is_in_its_slot(upload), f"lost: {upload}"
            stored = self.stored.get(upload.slot.name)
            if stored and upload.is_eligible:
                self._check_first(upload, stored)

    def _check_first(self, other: Accepted, stored: Stored) -> None:
        """No later upload may have overtaken `other`, which was eligible for the slot."""
        winner = self.winner(stored)
        assert winner.slot.name == other.slot.name
        assert winner.body == stored.version.value
        assert winner.is_eligible
        if winner.body == other.body:
            return
        assert not other.completed_step < winner.begun_step, (
            f"{winner} was begun when {other} was complete"
        )
        seen = other.completed_step < stored.run_step
        assert not (seen and other.place < winner.place), f"{winner} was copied, not {other}"

    def check_that_nothing_waits(self) -> None:
        """Check that every fillable slot is filled, and that the rest is recorded and counted."""
        lying = self._lying()
        contested = rejected = size = just_late = 0
        for upload in self.uploads.values():
            if upload.address in self.expired:
                continue
            if upload.is_eligible:
                assert upload.slot.name in self.stored, f"not stored: {upload}"
            in_slot = self._is_in_its_slot(upload)
            assert (upload.address in lying) != in_slot, f"still there, or gone: {upload}"
            if not in_slot:
                if not self.recorded[upload.address]:
                    assert self._is_only_counted(upload), f"not recorded: {upload}"
                    self.tally.only_counted += 1
                late_by = self.last_pass_at - upload.begun - self.policy.accept_within
                late = late_by > timedelta(0)
                just_late += late and late_by < 2 * INTERVAL
                rejected += late or not upload.is_eligible
                contested += upload.is_eligible and not late
                size += len(upload.body)
        swept = self.last_pass
        assert swept is not None
        assert (swept.waiting, swept.oldest_waiting_seconds) == (0, 0)
        # What has just become too late is handed over, to be recorded.
        assert swept.handed_over <= just_late
        assert (swept.contested, swept.rejected) == (contested, rejected)
        assert (swept.versions, swept.size) == (len(lying), size)
        assert swept.complete

    def _is_only_counted(self, upload: Accepted) -> bool:
        """Whether the metrics count the upload but promote rightly has no record of it yet.

        Either the pass that would record it failed for as long as Lambda retries, or the upload
        took so long that this pass was over before it was complete. An upload that becomes too late
        is recorded then.
        """
        # An upload that can never be promoted is rejected from the start; any other is contested
        # once its slot is filled.
        stored = self.stored.get(upload.slot.name) if upload.is_eligible else None
        settled = max(upload.completed, stored.at) if stored else upload.completed
        recorded_until = settled + LONGEST_RUN + 2 * INTERVAL
        failed = any(
            outage.begin < recorded_until and settled < outage.end for outage in self.outages
        )
        return failed or upload.completed - upload.begun > LONGEST_RUN

    def winner(self, stored: Stored) -> Accepted:
        metadata = stored.version.metadata
        key, version_id = (metadata[f"x-amz-meta-source-{name}"] for name in ("key", "version-id"))
        return self.uploads[key, version_id]

    def _is_in_its_slot(self, upload: Accepted) -> bool:
        stored = self.stored.get(upload.slot.name)
        return stored is not None and stored.version.value == upload.body

    def _lying(self) -> set[tuple[str, str]]:
        """The versions in incoming; a delete marker has no bytes."""
        return {
            (name, version.version_id)
            for name, versions in dict.items(bucket(INCOMING).keys)
            for version in versions
            if hasattr(version, "value")
        }

    # Chance

    def _outage(self) -> Outage | None:
        now = self.timeline.now
        outage = next((each for each in self.outages if each.begin <= now < each.end), None)
        if outage:
            self.tally.happened[f"{outage.kind} out"] += 1
        return outage

    def _happens(self, name: str) -> bool:
        """Draw and return whether the event with this name happens; count it if it does."""
        happens = self._by_chance(getattr(self.chances, name))
        self.tally.happened[name] += happens
        return happens

    def _by_chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def _some(self, longest: timedelta) -> timedelta:
        return self.random.uniform(0, 1) * longest

    def _later(self, longest: timedelta, happens: partial[None]) -> None:
        self.timeline.after(self._some(longest), happens)


def random_outages(
    seed: int, *, begin: datetime, days: int, longest: timedelta
) -> tuple[Outage, ...]:
    """One long outage, others of minutes to 12 hours, and time to recover after each."""
    random = Random(seed)
    end = begin + days * DAY
    spans = [longest]
    outages: list[Outage] = []
    at = begin + random.uniform(1, 24) * HOUR
    while at < end:
        span = spans.pop() if spans else 12 * HOUR * random.random() ** 3
        kind = random.choice(["s3", "s3", "lambda", "lambda", "network", "invoke"])
        outages.append(Outage(kind=kind, begin=at, end=at + span))
        at += span + (span / 8) + random.uniform(2, 40) * HOUR
    return tuple(outage for outage in outages if outage.end < end)


@contextmanager
def month(
    *,
    seed: int,
    begin: datetime,
    days: int,
    accept_within_hours: int = 24,
    chances: Chances | None = None,
    outages: tuple[Outage, ...] = (),
    order: Order = "begun",
) -> Iterator[Month]:
    """A month that has not started. The block has its own cloud and clock."""
    months: list[Month] = []

    def deliver(arn: str, event: dict[str, Any]) -> None:
        months[0].deliver(arn, event)

    with (
        mock_aws(),
        corrected(deliver=deliver, order=order),
        retries_at_once(),
        parts_in_turn(),
        _noted(months),
    ):
        config = Config(retries={"mode": "standard", "total_max_attempts": 2})
        months.append(
            Month(
                boto3.client("s3"),
                boto3.client("s3", config=config),
                seed=seed,
                begin=begin,
                days=days,
                accept_within_hours=accept_within_hours,
                chances=chances or Chances(),
                outages=outages,
            )
        )
        yield months[0]


@contextmanager
def _noted(months: list[Month]) -> Iterator[None]:
    """The month collects the records; log lines and metrics are dropped."""
    handler = record.logger.registered_handler
    before, level, write = handler.stream, record.logger.log_level, record.write

    def note_and_write(entry: Record) -> None:
        months[0].note(entry)
        write(entry)

    with (
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        patch.object(record, "write", note_and_write),
    ):
        handler.setStream(nowhere)
        record.logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            handler.setStream(before)
            record.logger.setLevel(level)
