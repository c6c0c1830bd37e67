"""The rules of a policy: the settings of each kind of backup, which values are refused, and why."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from chalicelib.policy.patterns import LONGEST, Pattern, Unit, load_zone

# S3 takes keys of up to 1,024 bytes (S3 user guide, "Creating object key names").
LONGEST_KEY = 1024
# The server that `backups drill` plays, in every policy; no real server can have its name.
DRILL = "drill"
# First path segments that drills and reports use.
RESERVED = frozenset({DRILL, "contested"})
# From the quickest to read to the cheapest; S3 moves objects only to a later one (S3 user guide,
# "Transitioning objects using Amazon S3 Lifecycle"). Backups are stored in one of the first three.
COLDNESS = ("STANDARD", "STANDARD_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
STORAGE_CLASSES = COLDNESS[:3]
# S3 moves no object into this class earlier (ibid.).
STANDARD_IA_AFTER_DAYS = 30

# How long after the end of its slot a backup is due; for longer units, a quarter of the slot.
_GRACE: dict[Unit, timedelta] = {
    "day": timedelta(hours=2),
    "hour": timedelta(minutes=15),
    "minute": timedelta(minutes=15),
}
# How far an audit looks back: this many days, or this many periods if that is longer. Three of them
# end a gap: the missing one, and two later ones that are filled.
LOOKBACK_DAYS = 35
LOOKBACK_PERIODS = 3

# S3's "safe characters" without `*`, which IAM reads as a wildcard: permissions name exact keys.
_KEY = re.compile(r"[A-Za-z0-9!_.'()/-]+")


class PolicyError(ValueError):
    """A policy that would break the promise. The message names the value and the fix."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One kind of backup: the key it is uploaded as, and the names it is stored under.

    Sizes are in bytes; an upload outside `min_bytes` to `max_bytes` (None: no limit) is rejected.

    The others say what counts as missing and small. `expect` is True for a backup in every slot,
    False for none, or the greatest age of the newest backup. A slot's backup is due `due_minutes`
    after the slot begins (None: some time after its end). `small` is False if sizes vary by design.
    """

    upload: str
    store_as: Pattern
    timezone: ZoneInfo
    min_bytes: int = 1
    max_bytes: int | None = None
    storage_class: str = "STANDARD"
    due_minutes: int | None = None
    expect: bool | timedelta = True
    small: bool = True

    def __post_init__(self) -> None:
        """Refuse a rule whose upload could never be stored."""
        if "%" in self.upload:
            raise PolicyError(
                f'upload = "{self.upload[:60]}" must be one fixed key without %, such as '
                "backup.tar.gz.gpg: servers use the same key for every upload, and store_as gives "
                "it the date in the vault"
            )
        _check_key("upload", self.upload)
        _check_key("store_as", self.store_as.text)
        if self.min_bytes < 1:
            raise PolicyError(
                f"min_bytes = {self.min_bytes} must be 1 or more: an empty file is not a backup"
            )
        if self.max_bytes is not None and self.max_bytes < self.min_bytes:
            raise PolicyError(
                f"max_bytes = {self.max_bytes} must not be less than min_bytes ({self.min_bytes})"
            )
        if self.storage_class not in STORAGE_CLASSES:
            raise PolicyError(
                f'storage_class = "{self.storage_class}" must be one of '
                + ", ".join(STORAGE_CLASSES)
            )
        self._check_expectation()

    @property
    def lookback(self) -> timedelta:
        """How far an audit looks back."""
        periods = LOOKBACK_PERIODS * LONGEST[self.store_as.unit]
        return max(timedelta(days=LOOKBACK_DAYS), periods)

    def due(self, start: datetime, end: datetime) -> datetime:
        """When the backup of the slot from `start` to `end` counts as missing (all in UTC)."""
        if self.due_minutes is not None:
            return start + timedelta(minutes=self.due_minutes)
        return end + _GRACE.get(self.store_as.unit, (end - start) / 4)

    def _check_expectation(self) -> None:
        unit, minute, hour = self.store_as.unit, timedelta(minutes=1), timedelta(hours=1)
        # Later, an audit could lose sight of the slot before its backup is due.
        latest = self.lookback * 2 // 3
        if self.due_minutes is not None:
            if self.expect is not True:
                raise PolicyError("due_minutes needs expect = true; remove one of them")
            if not minute <= self.due_minutes * minute <= latest:
                raise PolicyError(
                    f"due_minutes = {self.due_minutes} must be from 1 to {latest // minute}; it "
                    f"counts from the beginning of the {unit}"
                )
        if isinstance(self.expect, timedelta) and not (
            LONGEST[unit] < self.expect <= self.lookback
        ):
            raise PolicyError(
                f'expect = "{self.expect // hour}h" must be longer than one {unit} (a slot), and '
                f'at most "{self.lookback // hour}h"'
            )


@cache
def names_of(rule: Rule, server: str | None) -> re.Pattern[str]:
    """Matches the names that the backups of a rule and server are stored under."""
    templates = "|".join(map(re.escape, rule.store_as.templates)).replace("%", "[0-9]")
    return re.compile((re.escape(f"{server}/") if server else "") + f"({templates})")


@dataclass(frozen=True, kw_only=True)
class Archive:
    """When stored backups move to a cheaper storage class (in days), and to which."""

    after_days: int
    to: str

    def __post_init__(self) -> None:
        """Refuse values that S3's lifecycle would reject."""
        if self.to not in COLDNESS[1:]:
            raise PolicyError(f'archive to = "{self.to}" must be one of ' + ", ".join(COLDNESS[1:]))
        least = STANDARD_IA_AFTER_DAYS if self.to == "STANDARD_IA" else 1
        if self.after_days < least:
            raise PolicyError(
                f"archive after_days = {self.after_days} must be {least} or more for {self.to}"
            )


def _check_key(setting: str, key: str) -> None:
    """Refuse characters that S3, IAM or a shell interprets. (Directives count as digits.)"""
    literal = re.sub("%[A-Za-z]", "0", key)
    segments = literal.split("/")
    shown = f'{setting} = "{key[:60]}"'
    if {"", ".", ".."} & set(segments):
        raise PolicyError(
            f"{shown} must be a plain name such as backup.tar.gz.gpg: not empty, no / at either "
            "end, and no empty, . or .. segment between slashes"
        )
    if not _KEY.fullmatch(literal):
        raise PolicyError(
            f"{shown} can only have letters, digits and / ! - _ . ' ( ), which S3 and IAM both "
            "take literally; rename it"
        )
    if segments[0] in RESERVED:
        raise PolicyError(f'{shown} begins with "{segments[0]}", which is reserved; rename it')


# The drill's rule: uploads large enough for a multipart copy, and a slot for every minute.
REHEARSAL = Rule(
    upload="rehearsal",
    store_as=Pattern("%Y-%m-%d.%H.%M.rehearsal"),
    timezone=load_zone("Etc/UTC"),
    max_bytes=64 * 1024**2,
)
DRILL_UPLOAD = f"{DRILL}/{REHEARSAL.upload}"
