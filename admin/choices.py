"""What the administrator of a stage chooses beyond the policy: lock, alarm, and who is told."""

from dataclasses import dataclass

MODES = ("GOVERNANCE", "COMPLIANCE")
LONGEST_LOCK_DAYS = 36_500  # which S3 takes


@dataclass(frozen=True, kw_only=True)
class Lock:
    """For how many days nobody may remove what is stored: GOVERNANCE or COMPLIANCE."""

    mode: str
    days: int


DEFAULT_LOCK = Lock(mode="GOVERNANCE", days=30)


@dataclass(frozen=True, kw_only=True)
class IncomingAlarm:
    """From how many bytes, and how many versions of uploads, in incoming on an alarm rings.

    Incoming is emptied as it fills. An outage of a week leaves some thousand uploads of five
    servers there, which is no flood.
    """

    bytes: int = 1024**4
    versions: int = 10_000


DEFAULT_INCOMING_ALARM = IncomingAlarm()


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the administrator decides beyond the policy: the lock (None: none) and who is told."""

    lock: Lock | None = DEFAULT_LOCK
    alert_email: str | None = None
    incoming_alarm: IncomingAlarm = DEFAULT_INCOMING_ALARM
