"""The choices of a stage's administrator besides the policy: lock, alerts and alarms."""

from dataclasses import dataclass

from chalicelib.lock import Lock

# https://aws.amazon.com/cloudtrail/pricing, and Amazon S3's.
TRAIL_PRICE = (
    "CloudTrail logs the first copy of management events for free; S3 bills its storage, a few "
    "cents a month in most accounts"
)

LONGEST_LOCK_DAYS = 36_500  # the maximum that S3 accepts

DEFAULT_LOCK = Lock(mode="GOVERNANCE", days=30)


@dataclass(frozen=True, kw_only=True)
class IncomingAlarm:
    """The alarms on incoming go off at this many bytes, or this many versions of uploads.

    Incoming is emptied continuously. A week-long outage leaves about a thousand uploads of five
    servers there, which is not a flood.
    """

    bytes: int = 1024**4
    versions: int = 10_000


DEFAULT_INCOMING_ALARM = IncomingAlarm()


@dataclass(frozen=True, kw_only=True)
class SetupOptions:
    """The administrator's choices besides the policy: lock (None: no lock), alerts and alarms.

    `trail`: whether `setup` creates a trail, so that EventBridge receives API calls.
    """

    lock: Lock | None = DEFAULT_LOCK
    alert_email: str | None = None
    incoming_alarm: IncomingAlarm = DEFAULT_INCOMING_ALARM
    trail: bool = False
