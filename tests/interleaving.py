"""Walks every interleaving of the requests of several runs of the real `promote()`.

A run is stepped without threads: it is executed again from its start, its first requests are
answered as they were answered before, one more goes to S3, and the next one stops it. So a run is
its answers so far, a moment is that of each run and what S3 holds, and a moment can be returned to.

Two schedules that lead to an equal moment have the same future, because a run depends on nothing
but the answers it was given: `now` is given, and it waits for nothing. Each moment is therefore
walked on from once, and the schedules are counted by adding up. An equal moment is one in which S3
holds the same, and every run that still goes on was answered the same, where ids that S3 made up
(versions, unfinished uploads) are called after the step that made them. What a run that has ended
or died was answered before is nobody's concern any more.

S3's clock stands, so S3 is a function too: what it answers and holds then depends on nothing but
what it holds and is asked. From each state a request is therefore sent once, and remembered.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any
from unittest.mock import patch

from botocore.exceptions import ClientError

from chalicelib.policy import Outcome
from chalicelib.record import Notice
from localcloud.faults import time_for
from tests.in_turn import parts_in_turn
from tests.promise import INCOMING, VAULT, Holdings, Uploaded, bucket, check, look
from tests.world import World

# What differs between two answers that say the same.
MEANINGLESS = {"date", "x-amz-request-id", "x-amz-id-2", "x-amzn-requestid"}


@dataclass(frozen=True)
class State:
    """What S3 holds: as it is checked, as text that is equal for equal states, and to return to."""

    holdings: Holdings
    text: str
    store: Any


class S3:
    """Remembers for each state and request what S3 answered and which state came of it."""

    def __init__(self) -> None:
        self.sent = 0
        self._states: dict[str, State] = {}
        self._remembered: dict[tuple[str, str], tuple[Any, State]] = {}

    def ask(self, state: State, request: str, send: Callable[[], Any]) -> tuple[Any, State]:
        """The answer (an error is one, too) and the next state. `send` is called at most once."""
        asked = (state.text, request)
        if asked not in self._remembered:
            restore(state.store)
            self.sent += 1
            try:
                answer = send()
            except ClientError as error:
                answer = error
            self._remembered[asked] = (answer, self.now())
        return self._remembered[asked]

    def now(self) -> State:
        """The state that S3 is in."""
        holdings = look()
        text = repr(holdings)
        if text not in self._states:
            self._states[text] = State(holdings=holdings, text=text, store=keep())
        return self._states[text]


class Stopped(BaseException):
    """A run has come to a request that is not its turn."""


class Steps:
    """In a client's place: gives the answers that are known, asks one request more, then stops."""

    def __init__(self, client: Any, s3: S3) -> None:
        self._client = client
        self._s3 = s3
        self._paginators: dict[str, Any] = {}
        self._asked = 0
        self._allowed = 0
        self._answers: list[tuple[str, Any]] = []
        self._state: State | None = None

    def __getattr__(self, name: str) -> Any:
        return partial(self._ask, name)

    def get_paginator(self, name: str) -> Any:
        if name not in self._paginators:
            self._paginators[name] = self._client.get_paginator(name)
            self._paginators[name]._method = partial(self._ask, name)
        return self._paginators[name]

    def run(
        self, promote: Callable[[], Outcome], answers: tuple[tuple[str, Any], ...], state: State
    ) -> tuple[tuple[str, Any], State, Outcome | None]:
        """One step of a run: the request with its answer, the next state, and the outcome if any.

        (Without an outcome the run goes on.)
        """
        self._answers, self._state = list(answers), state
        self._asked, self._allowed = 0, len(answers) + 1
        try:
            outcome = promote()
        except Stopped:
            outcome = None
        assert len(self._answers) == self._allowed
        return self._answers[-1], self._state, outcome

    def _ask(self, name: str, **parameters: Any) -> Any:
        number, self._asked = self._asked, self._asked + 1
        if number >= self._allowed:
            raise Stopped
        if number == len(self._answers):
            answer, self._state = self._s3.ask(
                self._state,
                repr((name, sorted(parameters.items()))),
                partial(getattr(self._client, name), **parameters),
            )
            self._answers.append((name, answer))
        asked, answer = self._answers[number]
        assert asked == name, "a run depends on something else than its answers"
        if isinstance(answer, ClientError):
            raise ClientError(answer.response, answer.operation_name)
        return answer


@dataclass(frozen=True)
class Run:
    """A run, as far as it has come: it has ended when it has an outcome, or is dead."""

    answers: tuple[tuple[str, Any], ...] = ()
    said: tuple[str, ...] = ()
    outcome: Outcome | None = None
    dead: bool = False

    @property
    def goes_on(self) -> bool:
        return self.outcome is None and not self.dead


@dataclass(frozen=True)
class Scene:
    """Two buckets as they are at first, and what then happens in any order.

    `arrivals` are uploads that come one after the other; `notices` are what the runs are told, and
    `after` how many arrivals each has to wait for. `hurried`: the first run's time is up after each
    part, and a next run goes on.
    """

    world: World
    uploads: tuple[Uploaded, ...]
    arrivals: tuple[tuple[bytes, datetime], ...]
    notices: tuple[Notice, ...]
    after: tuple[int, ...]
    now: datetime
    hurried: bool = False


@dataclass(frozen=True)
class Moment:
    """How far everybody has come, and what S3 holds; `path` is one schedule that leads here."""

    runs: tuple[Run, ...]
    uploads: tuple[Uploaded, ...]
    arrived: int
    state: State
    names: dict[str, str]
    path: tuple[str, ...] = ()

    @property
    def over(self) -> bool:
        return not any(run.goes_on for run in self.runs)

    @property
    def died(self) -> bool:
        return any(run.dead for run in self.runs)

    def same(self) -> bytes:
        """Equal for moments that have the same future: a digest, as there are many."""
        runs = tuple(
            run.said if run.goes_on else (run.outcome, self.died if run.dead else None)
            for run in self.runs
        )
        meaning = repr((runs, self.arrived, self.called(self.state.text)))
        return hashlib.sha256(meaning.encode()).digest()

    def called(self, text: str) -> str:
        """The text, with ids that S3 made up called after the step that made them."""
        for id_, name in self.names.items():
            text = text.replace(id_, name)
        return text


@dataclass
class Walk:
    """Walks from the first moment of a scene to every last one, and checks each step."""

    scene: Scene
    schedules: dict[bytes, Counter[tuple[int, bool]]] = field(default_factory=dict)
    s3: S3 = field(default_factory=S3)
    _settled: set[str] = field(default_factory=set)
    _clients: list[Steps] = field(default_factory=list)

    def every_schedule(self) -> Counter[tuple[int, bool]]:
        """How many there are, by how many uploads arrived and whether one of the runs died."""
        with still_clock(self.scene.now), parts_in_turn():
            self._clients = [Steps(self.scene.world.s3, self.s3) for _ in self.scene.notices]
            first = Moment(
                runs=tuple(Run() for _ in self.scene.notices),
                uploads=self.scene.uploads,
                arrived=0,
                state=self.s3.now(),
                names={},
            )
            return self._walk(first)

    def _walk(self, moment: Moment) -> Counter[tuple[int, bool]]:
        same = moment.same()
        if same not in self.schedules:
            total: Counter[tuple[int, bool]] = Counter()
            try:
                if moment.over:
                    total[moment.arrived, moment.died] += 1
                    self._settle(moment)
                for following in self._following(moment):
                    total += self._walk(following)
            except BaseException as error:
                if not hasattr(error, "__notes__"):
                    error.add_note("schedule: " + ", ".join(moment.path))
                raise
            self.schedules[same] = total
        return self.schedules[same]

    def _following(self, moment: Moment) -> Iterator[Moment]:
        if moment.arrived < len(self.scene.arrivals):
            yield self._arrive(moment)
        for number, run in enumerate(moment.runs):
            if not run.goes_on or moment.arrived < self.scene.after[number]:
                continue
            yield self._step(moment, number)
            if not moment.died:
                yield replace(
                    moment,
                    runs=_with(moment.runs, number, replace(run, dead=True)),
                    path=(*moment.path, f"{number} dies"),
                )

    def _step(self, moment: Moment, number: int) -> Moment:
        run, scene = moment.runs[number], self.scene
        promoter = replace(scene.world.promoter, s3=self._clients[number])

        def promote() -> Outcome:
            notice, handed = scene.notices[number], None
            hurry = scene.hurried and number == 0
            while True:
                seconds_left = time_for(1) if hurry else None
                told = promoter.promote(
                    notice, now=scene.now, seconds_left=seconds_left, handed=handed
                )
                handed = told.handover
                if handed is None:
                    return told.outcome

        path = (*moment.path, f"{number} goes on")
        try:
            answered, state, outcome = self._clients[number].run(promote, run.answers, moment.state)
        except BaseException as error:
            error.add_note("schedule: " + ", ".join(path))
            raise
        before, after = moment.state.holdings, state.holdings
        check(before, after, uploads=moment.uploads, policy=scene.world.promoter.policy)
        label = f"<{number}.{len(run.answers)}>"
        reached = replace(
            moment,
            state=state,
            names=moment.names | dict.fromkeys(_ids(after) - _ids(before), label),
            path=(*moment.path, f"{number}: {answered[0]}"),
        )
        run = Run(
            answers=(*run.answers, answered),
            said=(*run.said, reached.called(_meaning(answered))),
            outcome=outcome,
        )
        return replace(reached, runs=_with(moment.runs, number, run))

    def _arrive(self, moment: Moment) -> Moment:
        body, at = self.scene.arrivals[moment.arrived]
        label = f"<arrival {moment.arrived}>"
        notice, state = self.s3.ask(
            moment.state, label, partial(self.scene.world.upload, body, at=at)
        )
        upload = Uploaded(key=notice.key, body=body, at=at, version_id=notice.version_id)
        made = _ids(state.holdings) - _ids(moment.state.holdings)
        return replace(
            moment,
            uploads=(*moment.uploads, upload),
            arrived=moment.arrived + 1,
            state=state,
            names=moment.names | dict.fromkeys(made, label),
            path=(*moment.path, "an upload arrives"),
        )

    def _settle(self, moment: Moment) -> None:
        """Nobody is at work any more; events come once more, and then nothing is left to do."""
        if not moment.died:
            assert moment.state.holdings.unfinished == ()
        state = moment.called(moment.state.text)
        if state in self._settled:
            return
        self._settled.add(state)
        restore(moment.state.store)
        world, policy = self.scene.world, self.scene.world.promoter.policy
        lying = [
            Notice(key=one.name, version_id=one.version_id)
            for one in moment.state.holdings.incoming
        ]
        for notice in {*self.scene.notices, *lying}:
            before = look()
            world.promote(notice, now=self.scene.now)
            check(before, look(), uploads=moment.uploads, policy=policy)
        held = look()
        [[stored]] = held.vault.values()
        assert stored.body not in {upload.body for upload in held.incoming}
        assert held.unfinished == ()


def _with(runs: tuple[Run, ...], number: int, run: Run) -> tuple[Run, ...]:
    return (*runs[:number], run, *runs[number + 1 :])


def _ids(holdings: Holdings) -> set[str]:
    versions = {one.version_id for held in holdings.vault.values() for one in held}
    versions |= {one.version_id for one in holdings.incoming}
    return (versions | {id_ for _, ids, _ in holdings.unfinished for id_ in ids}) - {"null"}


def _meaning(answered: tuple[str, Any]) -> str:
    name, answer = answered
    failed = isinstance(answer, ClientError)
    said = dict(answer.response if failed else answer)
    about = dict(said.pop("ResponseMetadata"))
    headers = about["HTTPHeaders"].items()
    about = {
        "status": about["HTTPStatusCode"],
        "headers": sorted((key, value) for key, value in headers if key not in MEANINGLESS),
    }
    return repr((name, failed, sorted(said.items(), key=str), about))


# S3's store, and its clock


def keep() -> Any:
    """What S3 holds, to return to."""
    return {
        name: (
            {key: list(versions) for key, versions in dict.items(bucket(name).keys)},
            {id_: (one, dict(one.parts)) for id_, one in bucket(name).multiparts.items()},
        )
        for name in (INCOMING, VAULT)
    }


def restore(store: Any) -> None:
    """Return to what S3 held. (moto changes no version in place: only which there are.)"""
    for name, (versions, uploads) in store.items():
        bucket(name).keys.clear()
        for key, held in versions.items():
            bucket(name).keys.setlist(key, list(held))
        bucket(name).multiparts.clear()
        for id_, (upload, parts) in uploads.items():
            upload.parts = dict(parts)
            bucket(name).multiparts[id_] = upload


@contextmanager
def still_clock(now: datetime) -> Iterator[None]:
    """S3's clock stands: when something was written says nothing about the order."""

    def naive() -> datetime:
        return now.replace(tzinfo=None)

    with patch("moto.s3.models.utcnow", naive), patch("localcloud.uploads.utcnow", naive):
        yield
