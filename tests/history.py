"""A history of a vault: servers, S3, Lambda and the clock do what they may do, in any order.

What was promised is checked after every step, and again inside a run whenever something comes
between two of its requests.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus, unquote_plus

import boto3
from botocore.config import Config
from chalicelib.handover import Run
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from moto import mock_aws

from chalicelib import record
from chalicelib.part_plan import MOST_PARTS
from chalicelib.policy import Outcome, Policy
from chalicelib.policy_file import parse_policy
from chalicelib.promotion import Promoter
from chalicelib.settings import Settings
from localcloud.faults import EVERY_FAULT, Killed, at, time_for
from localcloud.s3 import corrected
from localcloud.wire import Wire, retries_at_once
from tests.in_turn import parts_in_turn
from tests.promise import INCOMING, VAULT, Held, Uploaded, bucket, check, look
from tests.world import DAILY, HOURLY, PARTS, World

# On this night London's clocks go back: 01:30 comes twice.
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
# Up to here a copy is made at once, above in parts: one history takes both ways.
SMALL = 8
BODIES = (b"small", b"smaller", b"large: two parts", b"larger: three parts, no more")
# None of this may reach the vault.
THE_SENDERS_OWN = {"Metadata": {"source-key": "mine"}, "Tagging": "tier=hourly"}
LAMBDA_ATTEMPTS = 3
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
    """What all histories of a process share: making it anew for each would take most of the time.

    The promoter's requests go over `wire`; servers have a client of their own.
    """

    world: World
    wire: Wire
    events: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    runs: int = 0


stages: list[Stage] = []
"""The one that is open."""


@contextmanager
def stage() -> Iterator[Stage]:
    """Two buckets, and a function that is told of every upload, until the block ends."""
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
        promoter = Promoter(
            s3=clients[1],
            settings=Settings(incoming_bucket=INCOMING, vault_bucket=VAULT),
            policy=parse_policy(POLICY),
            limits=replace(PARTS, single=SMALL, streams=1),
        )
        stages.append(Stage(World(clients[0], promoter), Wire(clients[1]), events))
        try:
            yield stages[-1]
        finally:
            stages.pop()


@contextmanager
def _silent() -> Iterator[None]:
    """Hours of log lines and metrics are nobody's concern."""
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
    """An event that Lambda has queued, and how often its function has failed with it."""

    event: dict[str, Any]
    failures: int = 0

    def __repr__(self) -> str:
        return f"Waiting({_thing(self.event)}, failures={self.failures})"


faults = st.lists(
    st.tuples(
        st.integers(1, 14), st.sampled_from(sorted(EVERY_FAULT)), st.sampled_from([1, 3, 16])
    ),
    max_size=3,
)
"""At which request of a run, which one, and for how many requests."""


moments = st.sampled_from([1, 2, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 9, 10])
"""Before which request of a run something comes between: often about when it copies."""


class History(RuleBasedStateMachine):
    """Everything that may happen, and what must be true whatever did."""

    versioning: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.stage = stages[-1]
        self.world, self.wire = self.stage.world, self.stage.wire
        self.policy: Policy = self.world.promoter.policy
        self.now = BEGIN
        self.uploads: list[Uploaded] = []
        self.queue: list[Waiting] = []
        # Slots whose parts may stay: a run of theirs did not come to its end.
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

    # What may happen

    @rule(
        key=st.sampled_from([DAILY, HOURLY]),
        body=st.sampled_from(BODIES),
        hours=st.sampled_from([0, 0, 0, 0, 1, 24, 169]),
    )
    def a_server_uploads(self, key: str, body: bytes, hours: int) -> None:
        """What it began `hours` ago: S3 says that then it was uploaded."""
        self.stage.steps += 1
        self._upload(key, body, hours)

    @rule(minutes=st.sampled_from([1, 25, 60, 90, 24 * 60, 8 * 24 * 60]))
    def time_passes(self, minutes: int) -> None:
        self.stage.steps += 1
        self.now += timedelta(minutes=minutes)

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), faults=faults, again=st.booleans())
    def an_event_is_delivered(
        self, data: st.DataObject, faults: list[tuple[int, str, int]], again: bool
    ) -> None:
        """Any of them: late, early, out of order, and perhaps not for the last time."""
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
    @rule(data=st.data(), parts=st.integers(0, 2), faults=faults)
    def a_run_s_time_is_up(
        self, data: st.DataObject, parts: int, faults: list[tuple[int, str, int]]
    ) -> None:
        """After so many parts. What a run hands over waits like any other event."""
        self.stage.steps += 1
        self._deliver(self._take(data), faults=faults, parts=parts)

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
        """Under the same key; perhaps the new upload is promoted even before the run goes on.

        `fresh`: the run is of the first upload of a day.
        """
        self.stage.steps += 1
        if fresh or not self.queue:
            self.now += timedelta(days=1)
            self._upload(DAILY, bodies[0], 0)
            waiting = self.queue.pop()
        else:
            waiting = self._take(data)
        key, _ = _thing(waiting.event)

        def rival() -> None:
            self._upload(key, bodies[1], 0)
            if promoted:
                self._run(self.queue[-1].event, self.world.s3)

        self._deliver(waiting, kill_after=kill_after, between=(number, rival))

    @precondition(lambda self: self.queue)
    @rule(data=st.data(), number=moments, kill_after=st.none() | st.integers(0, 12))
    def another_run_comes_between(
        self, data: st.DataObject, number: int, kill_after: int | None
    ) -> None:
        """Of the same event, or of any other."""
        self.stage.steps += 1
        waiting = self._take(data)
        other = data.draw(st.sampled_from([waiting, *self.queue]))
        self._deliver(
            waiting,
            kill_after=kill_after,
            between=(number, lambda: self._run(other.event, self.world.s3)),
        )

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def an_event_is_lost(self, data: st.DataObject) -> None:
        self.stage.steps += 1
        self._take(data)

    @precondition(lambda self: self.held.vault)
    @rule(data=st.data())
    def somebody_deletes_a_backup(self, data: st.DataObject) -> None:
        """All that S3 lets anybody do to a locked version: a delete marker comes to lie on it."""
        self.stage.steps += 1
        name = data.draw(st.sampled_from(sorted(self.held.vault)))
        self.world.s3.delete_object(Bucket=VAULT, Key=name)
        self.held = look()

    @rule()
    def what_was_forgotten_is_swept(self) -> None:
        self.stage.steps += 1
        self._sweep()

    def teardown(self) -> None:
        """All is quiet: one undisturbed run for every event and every upload, and no more."""
        for waiting in self.queue:
            self._run(waiting.event, self.world.s3, model=True)
        self._sweep()
        for upload in self.uploads:
            self._run(_event(upload.key, upload.version_id), self.world.s3, model=True)
        left = {key for key, *_ in self.held.unfinished}
        assert left <= self.disturbed, f"parts stay: {left - self.disturbed}"
        self._one_more_night()
        assert not {key for key, *_ in self.held.unfinished} & set(self.held.vault)
        for upload in self.held.incoming:
            expected = self._expected(upload)
            assert expected in {"contested", "rejected"}, (upload, expected)

    # How

    def _one_more_night(self) -> None:
        """A small upload is not worth a look at what others have left; a large one is."""
        self.now += timedelta(days=9)
        self._upload(DAILY, BODIES[-1], 0)
        self._run(self.queue.pop().event, self.world.s3, model=True)

    def _upload(self, key: str, body: bytes, hours: int) -> None:
        self._observe()
        at = self.now - timedelta(hours=hours)
        notice = self.world.upload(body, key=key, at=at, **THE_SENDERS_OWN)
        self.uploads.append(Uploaded(key=key, body=body, at=at, version_id=notice.version_id))
        self.queue += [Waiting(event) for event in self.stage.events]
        self.stage.events.clear()
        self.held = look()

    def _take(self, data: st.DataObject) -> Waiting:
        return self.queue.pop(data.draw(st.integers(0, len(self.queue) - 1)))

    def _deliver(
        self,
        waiting: Waiting,
        *,
        faults: Sequence[tuple[int, str, int]] = (),
        kill_after: int | None = None,
        between: tuple[int, Callable[[], object]] | None = None,
        parts: int | None = None,
    ) -> None:
        """One attempt of Lambda's, which makes three, and then forgets the event."""
        run = Run(
            seconds_left=time_for(MOST_PARTS if parts is None else parts),
            invoke_next=lambda event: self.queue.append(Waiting(dict(event))),
        )
        for number, name, times in faults:
            self.wire.plan(at(number, *[EVERY_FAULT[name]] * times))
        if kill_after is not None:
            self.wire.kill_after(kill_after)
        undisturbed = not faults and kill_after is None and between is None and parts is None
        try:
            with self._coming_between(between):
                self._run(waiting.event, self.wire.client, model=undisturbed, run=run)
        except (Killed, ExceptionGroup):
            if undisturbed:
                raise
            if waiting.failures + 1 < LAMBDA_ATTEMPTS:
                self.queue.append(replace(waiting, failures=waiting.failures + 1))
        finally:
            self.wire.mend()
        self._observe()
        if not undisturbed:
            self.disturbed |= {key for key, *_ in self.held.unfinished}

    @contextmanager
    def _coming_between(self, between: tuple[int, Callable[[], object]] | None) -> Iterator[None]:
        """Before the request of this number, do this."""
        wire, begun = self.wire, len(self.wire.sent)
        broken: list[BaseException] = []

        def before_each(_: str) -> None:
            if between and len(wire.sent) - begun == between[0]:
                wire.before_each = None
                try:
                    self._observe()
                    between[1]()
                except BaseException as error:
                    # To botocore this is one more broken connection, which it would hide.
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
        run: Run | None = None,
    ) -> Outcome:
        self.stage.runs += 1
        expected, before = self._expected_of(event), len(self.uploads)
        promoter = replace(self.world.promoter, s3=client)
        [told] = promoter.promote_all(event, now=self.now, run=run)
        self._observe()
        if model:
            assert told.outcome == expected
        if told.outcome in {"promoted", "already-promoted"}:
            stored = self.held.vault[told.slot][-1]
            assert stored.says("source-etag") == told.etag
        if told.outcome == "contested":
            assert self.held.vault[told.slot][-1].says("source-etag") != told.etag
        # What arrived when the run had looked has an event of its own.
        if told.outcome == "gone" and len(self.uploads) == before:
            assert self._expected_of(event) == "gone"
        return told.outcome

    def _sweep(self) -> None:
        for upload in self.held.incoming:
            self._run(_event(upload.name, upload.version_id), self.world.s3, model=True)

    def _observe(self) -> None:
        held = look()
        check(self.held, held, uploads=self.uploads, policy=self.policy)
        self.held = held

    # The model: what an undisturbed run must make of an upload

    def _expected_of(self, event: dict[str, Any]) -> str:
        held = [one for one in self.held.incoming if (one.name, one.version_id) == _thing(event)]
        return self._expected(held[0]) if held else "gone"

    def _expected(self, upload: Held) -> str:
        at = self._uploaded(upload).at
        slot = self.held.vault.get(self.policy.slot_of(upload.name, at).name)
        if slot and slot[-1].body == upload.body:
            return "already-promoted"
        if self.now - at > self.policy.accept_within:
            return "rejected"
        return "contested" if slot else "promoted"

    def _uploaded(self, held: Held) -> Uploaded:
        return next(
            one
            for one in reversed(self.uploads)
            if (one.key, one.version_id or "null") == (held.name, held.version_id)
        )


class VersionedHistory(History):
    """The same, where incoming keeps versions."""

    versioning = "Enabled"


LAYOUTS = {"unversioned": History, "versioned": VersionedHistory}


def _thing(event: dict[str, Any]) -> tuple[str, str]:
    """The key and the version id that an event names."""
    thing = event["Records"][0]["s3"]["object"]
    return unquote_plus(thing["key"]), thing.get("versionId") or "null"


def _event(key: str, version_id: str | None) -> dict[str, Any]:
    """What the sweep makes of an upload that lies there: an event of S3's shape."""
    thing = {"key": quote_plus(key, safe="/")}
    if version_id:
        thing["versionId"] = version_id
    return {"Records": [{"s3": {"bucket": {"name": INCOMING}, "object": thing}}]}
