"""A local cloud with a stage, in which requests to S3 and its notifications can be made to fail."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication

import demo.stage
from demo.stage import StageCloud
from localcloud.s3.events import Deliver
from tests.support.event_faults import EventFaults
from tests.support.served_faults import ServedFaults


@dataclass(kw_only=True, eq=False)
class FaultyCloud(StageCloud):
    """`faults` affect functions' requests to S3, and `events` S3's notifications to functions."""

    faults: ServedFaults
    events: EventFaults


@contextmanager
def running(**options: Any) -> Iterator[FaultyCloud]:
    """Like `demo.stage.running`; no fault happens unless a test plans it."""
    faults: list[ServedFaults] = []
    events: list[EventFaults] = []

    def kill() -> None:
        cloud.functions.kill()

    def wrap_app(app: WSGIApplication) -> WSGIApplication:
        faults.append(ServedFaults(app, kill=kill))
        return faults[0]

    def wrap_events(deliver: Deliver) -> Deliver:
        events.append(EventFaults(deliver))
        return events[0]

    with demo.stage.running(wrap_app=wrap_app, wrap_events=wrap_events, **options) as cloud:
        yield FaultyCloud(**vars(cloud), faults=faults[0], events=events[0])
