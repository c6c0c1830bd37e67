"""Explores every interleaving of the requests of several runs of the real code.

A state is the progress of every run and of the servers, together with what S3 holds. From each
state, every run that has not ended can take a step (its next request, atomically), a server can
take its next step, and at most one run in a schedule can die.

Two schedules that lead to the same state have the same future (`stepping.py` and `remembered_s3.py`
explain why), so each state is explored once, and the counts of schedules are added up. The
responses to a run that has ended or died no longer matter.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from chalicelib.policy.decision import Outcome
from chalicelib.promotion.notification import Notification
from localcloud.clock import clock
from localcloud.s3.versions import Order, md5, ordered_by
from tests.proofs.invariants import Held, Uploaded, check, look
from tests.proofs.remembered_reads import RememberedReads
from tests.proofs.remembered_s3 import S3, Store, function_of_its_state, restore, version_id
from tests.proofs.sequential_pool import parts_in_turn
from tests.proofs.stepping import Program, Run, Runs
from tests.support.world import DAILY, World, with_buckets

# How long before the start the servers' first step is, and the time between two steps.
FIRST_STEP, BETWEEN_STEPS = timedelta(hours=1), timedelta(minutes=10)
# How long after all copies a pass of the sweep runs. This pass treats everything settled before as
# recent.
PASS = timedelta(minutes=15)
# By then every run that copied has ended.
SETTLING = timedelta(hours=1)
# One pass fills the slot, and the next ones settle what was waiting for it.
MOST_PASSES = 4
SWEEP = "sweep"
# Later than everything that runs copied before.
SETTLING_ORDER = 1000


@dataclass(frozen=True)
class Arrival:
    """A server's step: it uploads at once, or initiates a multipart upload, or completes it."""

    body: bytes
    does: Literal["uploads", "begins", "completes"] = "uploads"


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What happens, in any order except that the servers' steps follow each other.

    The first `arrived` steps precede the start. `events` are the steps whose events `promote`
    receives, each as often as it is listed. In total, the passes of the sweep start `handed_over`
    runs: Lambda drops the others. An `adopted` bucket has kept versions only since the first step.
    With `mind_the_gap`, no server takes a step right before an upload is removed.
    """

    arrivals: tuple[Arrival, ...]
    arrived: int
    events: tuple[int, ...]
    sweeps: int = 0
    handed_over: int = 0
    order: Order = "begun"
    versioning: Literal["never", "enabled", "suspended", "adopted"] = "enabled"
    mind_the_gap: bool = False


class Counts(NamedTuple):
    """The number of schedules without a death, and of those in which one run dies."""

    quiet: int = 0
    deaths: int = 0

    def plus(self, other: Counts) -> Counts:
        return Counts(self.quiet + other.quiet, self.deaths + other.deaths)


@dataclass(frozen=True)
class State:
    """The progress of runs and servers, and what S3 holds. A run that ended or died is None."""

    runs: tuple[Run | None, ...]
    waits_for: tuple[int, ...]
    arrived: int
    store: Store
    handed_over: int = 0
    died: bool = False
    promoted: bool = False

    @property
    def over(self) -> bool:
        return not any(self.runs)

    @property
    def canonical(self) -> tuple[Any, ...]:
        """The key is equal for states with the same future."""
        runs = tuple(run and run.number for run in self.runs)
        return runs, self.arrived, self.store.numbers, self.handed_over, self.died, self.promoted

    def with_run(self, number: int, run: Run | None, **changes: Any) -> State:
        runs = (*self.runs[:number], run, *self.runs[number + 1 :])
        return replace(self, runs=runs, **changes)


@dataclass
class Explorer:
    """Explores a scene from its first state to every final state, and checks each transition."""

    world: World
    scene: Scene
    now: datetime
    counts: dict[tuple[Any, ...], Counts] = field(default_factory=dict)
    _programs: dict[Notification | str, Program] = field(default_factory=dict)
    _schedule: list[str] = field(default_factory=list)
    _checked: set[tuple[tuple[int, int], tuple[int, int]]] = field(default_factory=set)
    _settled: set[tuple[tuple[int, int], int]] = field(default_factory=set)

    def explore(self) -> Counts:
        with ExitStack() as stack:
            stack.enter_context(ordered_by(self.scene.order))
            stack.enter_context(parts_in_turn())
            stack.enter_context(redirect_stdout(stack.enter_context(Path(os.devnull).open("w"))))
            ids = stack.enter_context(function_of_its_state(self.now))
            self.s3 = S3(self.world.s3, ids)
            self.runs = Runs(self.world.s3)
            self.settling = self.world.with_buckets(s3=RememberedReads(self.world.s3))
            try:
                return self._explore(self._first())
            except BaseException as error:
                error.add_note("schedule: " + ", ".join(self._schedule))
                raise

    def _first(self) -> State:
        scene, store = self.scene, self.s3.now()
        if scene.versioning in {"enabled", "suspended"}:
            self.world.keep_versions()
        if scene.versioning == "suspended":
            self.world.suspend_versions()
        for number in range(scene.arrived):
            store = self.s3.arrive(store, number, partial(self._arrive, number)).store
            if scene.versioning == "adopted":
                self.world.keep_versions()
        self.uploads = [self._uploaded(n) for n in range(len(scene.arrivals)) if self._ends(n)]
        programs = [self._promote(self._notice(number)) for number in scene.events]
        programs += [self._sweep] * scene.sweeps
        return State(
            runs=tuple(self.runs.begin(program) for program in programs),
            waits_for=(*(number + 1 for number in scene.events), *[0] * scene.sweeps),
            arrived=scene.arrived,
            store=store,
        )

    def _explore(self, state: State) -> Counts:
        canonical = state.canonical
        if canonical not in self.counts:
            counts = Counts()
            if state.over:
                counts = Counts(quiet=not state.died, deaths=state.died)
                self._settle(state)
            for step, following in self._following(state):
                self._schedule.append(step)
                counts = counts.plus(self._explore(following))
                self._schedule.pop()
            self.counts[canonical] = counts
        return self.counts[canonical]

    def _following(self, state: State) -> Iterator[tuple[str, State]]:
        if state.arrived < len(self.scene.arrivals) and not self._is_gap(state):
            number = state.arrived
            store = self.s3.arrive(state.store, number, partial(self._arrive, number)).store
            does = self.scene.arrivals[number].does
            yield f"a server {does} ({number})", replace(state, arrived=number + 1, store=store)
        for number, run in enumerate(state.runs):
            if run is None or state.arrived < state.waits_for[number]:
                continue
            yield self._step(state, number, run)
            if not state.died:
                yield f"{number} dies", state.with_run(number, None, died=True)

    def _is_gap(self, state: State) -> bool:
        """Whether a run is about to remove an upload, in a scene that minds the gap."""
        return self.scene.mind_the_gap and any(
            run and run.request.operation == "delete_object" for run in state.runs
        )

    def _step(self, state: State, number: int, run: Run) -> tuple[str, State]:
        label = 1000 * (number + 1) + len(run.answers)
        transition = self.s3.ask(state.store, run.request, label=label)
        self._schedule.append(f"{number}: {run.request.operation}")
        self._check(state.store, transition.store)
        after = self.runs.step(run, transition)
        promoted = after.outcome is Outcome.PROMOTED
        assert not (promoted and state.promoted), "two runs say that they filled the slot"
        following = state.with_run(
            number,
            after if after.request else None,
            store=transition.store,
            promoted=state.promoted or promoted,
        )
        for notice in after.started[len(run.started) :]:
            if following.handed_over < self.scene.handed_over:
                following = replace(
                    following,
                    runs=(*following.runs, self.runs.begin(self._promote(notice))),
                    waits_for=(*following.waits_for, 0),
                    handed_over=following.handed_over + 1,
                )
        return self._schedule.pop(), following

    # What runs

    def _promote(self, notice: Notification) -> Program:
        def program(client: Any, _: Any) -> Outcome:
            promoter = with_buckets(self.world.promoter, s3=client)
            return promoter.promote(notice, now=self.now).outcome

        return self._programs.setdefault(notice, program)

    def _sweep(self, client: Any, start: Any) -> str:
        def invoke(event: dict[str, Any]) -> None:
            [record] = event["Records"]
            start(Notification.from_event(record, bucket="backups1"))

        sweeper = with_buckets(self.world.sweeper(invoke), s3=client)
        sweeper.sweep(now=self.now + PASS, scheduled=self.now + PASS)
        return SWEEP

    # The servers' steps

    def _arrive(self, number: int) -> Any:
        arrival, place = self.scene.arrivals[number], {"Bucket": "backups1", "Key": DAILY}
        begun = place | {"UploadId": f"{self._begins(number) << 32:016X}"}
        clock.stand_at(self._time(number))
        try:
            match arrival.does:
                case "uploads":
                    return self.world.s3.put_object(**place, Body=arrival.body)
                case "begins":
                    return self.world.s3.create_multipart_upload(**place)
                case "completes":
                    part = self.world.s3.upload_part(**begun, PartNumber=1, Body=arrival.body)
                    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
                    return self.world.s3.complete_multipart_upload(**begun, MultipartUpload=parts)
        finally:
            clock.stand_at(self.now)

    def _time(self, number: int) -> datetime:
        return self.now - FIRST_STEP + BETWEEN_STEPS * number

    def _ends(self, number: int) -> bool:
        return self.scene.arrivals[number].does != "begins"

    def _begins(self, number: int) -> int:
        """The step that initiated the upload that this step completes."""
        arrival = self.scene.arrivals[number]
        if arrival.does != "completes":
            return number
        return self.scene.arrivals.index(Arrival(arrival.body, "begins"))

    def _version_id(self, number: int) -> str | None:
        match self.scene.versioning:
            case "never":
                return None
            case "suspended":
                return "null"
            case "adopted" if number == 0:
                return "null"
        return version_id(self._begins(number))

    def _notice(self, number: int) -> Notification:
        return Notification(key=DAILY, version_id=self._version_id(number))

    def _uploaded(self, number: int) -> Uploaded:
        arrival, etag = self.scene.arrivals[number], None
        if arrival.does == "completes":
            etag = f"{md5(bytes.fromhex(md5(arrival.body)))}-1"
        return Uploaded(
            key=DAILY,
            body=arrival.body,
            at=self._time(self._begins(number)),
            version_id=self._version_id(number),
            etag=etag,
        )

    # The promises

    def _check(self, before: Store, after: Store) -> None:
        """Check what must be true of every transition, regardless of the path to it."""
        if (before.numbers, after.numbers) in self._checked:
            return
        self._checked.add((before.numbers, after.numbers))
        policy = self.world.promoter.policy
        check(before.holdings, after.holdings, uploads=self.uploads, policy=policy)
        for [stored] in after.holdings.vault.values():
            self._check_first_come(stored)

    def _check_first_come(self, stored: Held) -> None:
        """No upload that was initiated after an eligible upload was complete has taken its slot.

        (If no versions are kept, the eligible upload may have been overwritten before a run saw
        it.)
        """
        if self.scene.versioning in {"never", "suspended"}:
            return
        ends = [number for number in range(len(self.scene.arrivals)) if self._ends(number)]
        eligible = [number for number in ends if self.scene.arrivals[number].body]
        source = stored.says("source-version-id") or "null"
        [taken_by] = [number for number in ends if self._version_id(number) == source]
        assert self._begins(taken_by) <= min(eligible), "an upload that came too late has the slot"

    def _settle(self, state: State) -> None:
        """No run is left Events and the sweep, or the sweep alone, settle the rest."""
        if not state.died:
            assert state.store.holdings.unfinished == ()
        if (state.store.numbers, state.arrived) in self._settled:
            return
        self._settled.add((state.store.numbers, state.arrived))
        numbers = [number for number in range(state.arrived) if self._ends(number)]
        for events in (numbers[::-1], []):
            self._schedule.append("events and sweep" if events else "sweep")
            restore(state.store)
            self.s3.ids.order = SETTLING_ORDER
            for number in events:
                self._promote_now(self._notice(number))
            for _ in range(MOST_PASSES):
                if not self._sweep_now():
                    break
            held = look()
            assert [len(versions) for versions in held.vault.values()] == [1]
            left = {
                self._promote_now(Notification(key=DAILY, version_id=version.version_id))
                for version in held.incoming
            }
            assert left <= {Outcome.CONTESTED, Outcome.REJECTED}, left
            assert replace(look(), unfinished=()) == replace(held, unfinished=())
            assert not (events and held.unfinished), "parts stay"
            self._schedule.pop()

    def _promote_now(self, notice: Notification) -> Outcome:
        before = look()
        self.s3.ids.label += 1
        outcome = self.settling.promote(notice, now=self.now + SETTLING).outcome
        check(before, look(), uploads=self.uploads, policy=self.world.promoter.policy)
        for [stored] in look().vault.values():
            self._check_first_come(stored)
        return outcome

    def _sweep_now(self) -> int:
        """Run a pass of the sweep. Returns the number of uploads that it hands over."""
        notices: list[Any] = []
        later = self.now + SETTLING
        self.settling.sweeper(notices.append).sweep(now=later, scheduled=later)
        for event in notices:
            [record] = event["Records"]
            self._promote_now(Notification.from_event(record, bucket="backups1"))
        return len(notices)
