"""A local AWS on a port of 127.0.0.1, with state in memory.

It has S3, IAM, STS, Lambda, EventBridge, SNS and CloudWatch's alarms.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from wsgiref.types import WSGIApplication

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.moto_api._internal.models import moto_api_backend
from moto.sts.models import sts_backends

from localcloud.clock import clock
from localcloud.cloudwatch import serving_observation
from localcloud.eventbridge.bus import EventBus
from localcloud.eventbridge.cloudtrail import CloudTrail
from localcloud.eventbridge.schedules import Schedules
from localcloud.eventbridge.targets import Targets
from localcloud.eventbridge.trails import checking_buckets
from localcloud.functions.api import serving_settings
from localcloud.functions.bundles import Bundles, naming_bundles
from localcloud.functions.event_queue import LAMBDA_RETRY_DELAYS, NEW_ACCOUNT_CONCURRENCY
from localcloud.functions.invoke import serving_invoke
from localcloud.functions.lambda_functions import REGION
from localcloud.functions.resource_policies import S3, delivering_if_allowed, denial_to_s3
from localcloud.functions.runner import CREDENTIALS_LAST, Functions, Result, RoleRefused
from localcloud.iam.authorization import Authorization, Credentials
from localcloud.iam.identities import corrected_identities
from localcloud.iam.trust import trusts_lambda
from localcloud.metrics import Metrics
from localcloud.ringing import Alarms
from localcloud.s3.backend import corrected
from localcloud.s3.events import Deliver
from localcloud.s3.lifecycle import lifecycle_each_night
from localcloud.server import HOST, ServicesOfMoto, listening, serving
from localcloud.sessions import Session
from localcloud.sns.topics import Message, Topics

# These credentials allow everything in a local cloud, and nothing anywhere else.
ADMINISTRATOR = Credentials(
    access_key_id="AKIALOCALADMINISTRAT", secret_access_key="administrator/of/the/local/cloud"
)


def _unchanged(wrapped: Any) -> Any:
    return wrapped


def _ignore(_told: Any) -> None:
    pass


@contextmanager
def running(
    *,
    port: int = 0,
    retry_delays: tuple[float, ...] = LAMBDA_RETRY_DELAYS,
    concurrency: int = NEW_ACCOUNT_CONCURRENCY,
    by_hand: bool = False,
    speed: float = 1.0,
    on_log: Callable[[str], None] = _ignore,
    on_result: Callable[[Result], None] | None = None,
    on_message: Callable[[Message], None] = _ignore,
    wrap_app: Callable[[WSGIApplication], WSGIApplication] = _unchanged,
    wrap_events: Callable[[Deliver], Deliver] = _unchanged,
) -> Iterator["Cloud"]:
    """Serve a new, empty cloud until the block ends; port 0 uses any free port.

    moto's state is global, so a process runs one cloud at a time (RuntimeError). `retry_delays` are
    the seconds before the second, third... attempt of a failed event, by the cloud's clock; at most
    `concurrency` functions run at a time. With `by_hand` neither uploads nor schedules run
    functions. The cloud's clock runs `speed` times as fast as this machine's. `on_log` gets each
    line that functions print, `on_result` each attempt's result, and `on_message` each message that
    a topic accepts. Faults can be injected: `wrap_app` gets the WSGI application and `wrap_events`
    the function that takes S3's notifications for functions; what they return is used instead.
    When the block ends, the clock follows this machine's clock again. Raises PortTaken.
    """
    with _only_cloud(), listening(port) as listener:
        endpoint = f"http://{HOST}:{listener.getsockname()[1]}"
        metrics = Metrics()

        def read_log(line: str) -> None:
            metrics.read_line(line)
            on_log(line)

        def read_message(message: Message) -> None:
            name = message.topic_arn.rpartition(":")[2]
            metrics.add("AWS/SNS", "NumberOfMessagesPublished", 1, TopicName=name)
            on_message(message)

        functions = Functions(
            role_credentials=_assume,
            retry_delays=retry_delays,
            concurrency=concurrency,
            on_log=read_log,
            on_result=on_result,
            measure=metrics.count,
        )
        tell = functions.tell_log
        topics = Topics(tell=tell, on_message=read_message)
        deliver = _drop if by_hand else functions.deliver
        targets = Targets(deliver=deliver, topics=topics, tell=tell)
        schedules = Schedules(targets)
        alarms = Alarms(metrics=metrics, topics=topics, throttled=functions.throttled, tell=tell)
        moto = ServicesOfMoto()
        trail = CloudTrail(EventBus(targets))
        authorized = Authorization(moto, administrator=ADMINISTRATOR, observe=trail.observe)
        events = wrap_events(delivering_if_allowed(functions.deliver, tell=tell))

        def publish_of_s3(
            topic_arn: str, message: dict[str, Any], bucket_arn: str, account: str
        ) -> None:
            topics.publish(
                topic_arn,
                message,
                subject="Amazon S3 Notification",
                service=S3,
                source=bucket_arn,
                account=account,
            )

        moto_api_backend.reset()
        try:
            with (
                corrected(
                    deliver=None if by_hand else events,
                    publish=publish_of_s3,
                    denial=denial_to_s3,
                ),
                corrected_identities(administrator=ADMINISTRATOR),
                serving_invoke(functions),
                naming_bundles(endpoint),
                serving_settings(concurrency=concurrency),
                serving_observation(),
                checking_buckets(),
                serving(listener, Bundles(wrap_app(authorized))),
                lifecycle_each_night(),
                topics.running(),
                # Functions and schedules end before the server, because running functions wait for
                # its responses.
                functions.taking_events(),
                schedules.running(),
                alarms.running(),
            ):
                if speed != 1:
                    clock.run_at(speed)
                yield Cloud(
                    endpoint=endpoint,
                    functions=functions,
                    schedules=schedules,
                    alarms=alarms,
                    metrics=metrics,
                )
        finally:
            moto_api_backend.reset()
            clock.reset()


@dataclass(kw_only=True, eq=False)
class Cloud:
    """A running cloud, and sessions for its administrator, users and roles."""

    endpoint: str
    functions: Functions
    schedules: Schedules
    alarms: Alarms
    metrics: Metrics

    @property
    def administrator(self) -> Credentials:
        """Credentials that allow everything."""
        return ADMINISTRATOR

    def session(self, credentials: Credentials) -> Session:
        """A session that acts with these credentials."""
        return Session(endpoint=self.endpoint, credentials=credentials)

    def assume(self, role: str) -> Credentials:
        """Temporary credentials of the role with this ARN, as Lambda gets them for a function.

        Raises RoleRefused unless the role trusts Lambda.
        """
        return _assume(role)

    def run_schedules(self) -> None:
        """Deliver the events of all schedules that are due, then return.

        Moving the clock does this too, soon after; `functions.wait_until_quiet` waits for the runs.
        """
        self.schedules.run_due()

    def evaluate_alarms(self) -> None:
        """Evaluate the alarms at each minute that has passed, and publish changes, then return.

        This happens by itself, too, soon after each minute and after the clock was moved.
        """
        self.alarms.run_due()


def _drop(_function_arn: str, _event: Any) -> None:
    """Drop an event: functions are only run by hand."""


def _assume(role: str) -> Credentials:
    """Assume the role as Lambda itself. Raises RoleRefused unless the role trusts Lambda."""
    if not trusts_lambda(role):
        raise RoleRefused("The role defined for the function cannot be assumed by Lambda.")
    session = sts_backends[DEFAULT_ACCOUNT_ID]["aws"].assume_role(
        region_name=REGION,
        role_session_name="local",
        role_arn=role,
        policy="",
        duration=int(CREDENTIALS_LAST.total_seconds()),
        external_id="",
    )
    return Credentials(
        access_key_id=session.access_key_id,
        secret_access_key=session.secret_access_key,
        session_token=session.session_token,
    )


_running = threading.Lock()


@contextmanager
def _only_cloud() -> Iterator[None]:
    if not _running.acquire(blocking=False):
        raise RuntimeError("A local cloud already runs in this process; end it first.")
    try:
        yield
    finally:
        _running.release()
