"""The policy: which uploads are promoted, and under which names.

    backup.tar.gz.gpg, uploaded 2026-11-23 02:10  ->  slot 2026-11-23.tar.gz.gpg

Everything in this folder is pure: no AWS, no clock, no environment.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import combinations
from zoneinfo import ZoneInfo

from chalicelib.policy.patterns import LONGEST
from chalicelib.policy.rules import (
    COLDNESS,
    DRILL,
    DRILL_UPLOAD,
    LONGEST_KEY,
    REHEARSAL,
    RESERVED,
    Archive,
    PolicyError,
    Rule,
)

LONGEST_ACCEPTANCE = timedelta(days=365)
# Uploads are kept this much longer than they can be promoted, so that someone can inspect them.
DAYS_TO_LOOK = 2
_SERVER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One period of a rule, and the one vault name that belongs to it. Filled at most once, ever.

    The period runs from `start` to `end` (excluded); both are aware, in UTC. `is_regular` has the
    same meaning as in Period.
    """

    name: str
    rule: Rule
    server: str | None
    start: datetime
    end: datetime
    is_regular: bool

    @property
    def due(self) -> datetime:
        """When the slot's backup counts as missing."""
        return self.rule.due(self.start, self.end)

    @property
    def is_expected(self) -> bool:
        """Whether this particular slot should be filled in time."""
        return self.is_regular and self.rule.expect is True


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of a vault. Without `servers`, keys are bare; with them, keys begin with `web1/`.

    `keep_days` is when stored backups expire (None: never), `archive` when they move (None: never).
    """

    rules: tuple[Rule, ...]
    timezone: ZoneInfo
    servers: tuple[str, ...] = ()
    accept_within: timedelta = timedelta(hours=168)
    keep_days: int | None = None
    archive: Archive | None = None

    def __post_init__(self) -> None:
        """Refuse two rules that share an upload, or could store under the same name."""
        if not self.rules:
            raise PolicyError("there is no [[rule]], so nothing would ever be promoted; add a rule")
        if not timedelta(hours=1) <= self.accept_within <= LONGEST_ACCEPTANCE:
            hours = self.accept_within // timedelta(hours=1)
            raise PolicyError(f"accept_within_hours = {hours} must be from 1 to 8760 (a year)")
        self._check_keeping()
        _check_servers(self.servers)
        for one, other in combinations(self.rules, 2):
            if one.upload == other.upload:
                raise PolicyError(f'two rules have the upload "{one.upload}"; remove one of them')
            if one.store_as.overlaps(other.store_as):
                raise PolicyError(
                    f'the rules for "{one.upload}" and "{other.upload}" could store under the same '
                    f'name ("{one.store_as}", "{other.store_as}"); give them different endings'
                )
        longest_prefix = max((len(f"{server}/") for server in self.servers), default=0)
        for rule in self.rules:
            if longest_prefix + max(len(rule.upload), rule.store_as.longest) > LONGEST_KEY:
                raise PolicyError(
                    f'the rule for "{rule.upload[:40]}" can make names longer than '
                    f"{LONGEST_KEY:,} bytes, which S3 does not accept; shorten them"
                )

    def _check_keeping(self) -> None:
        longest = max(self.rules, key=lambda rule: LONGEST[rule.store_as.unit])
        period = LONGEST[longest.store_as.unit]
        # The first upload of a period may be stored when the period begins, and the last one is
        # accepted until this long afterwards. (A day on which clocks go back is an hour or two
        # longer. S3 makes up for that: it expires objects at the next midnight, UTC.)
        least = math.ceil((period + self.accept_within) / timedelta(days=1))
        if self.keep_days is not None and self.keep_days < least:
            raise PolicyError(
                f"keep_days = {self.keep_days} must be {least} or more, which is "
                f"accept_within_hours ({self.accept_within // timedelta(hours=1)}) plus the "
                f'{longest.store_as.unit} of a slot of "{longest.upload}": otherwise a late upload '
                "could take the name of an expired backup"
            )
        if self.archive is None:
            return
        if self.keep_days is not None and self.archive.after_days >= self.keep_days:
            raise PolicyError(
                f"archive after_days = {self.archive.after_days} must be less than keep_days "
                f"({self.keep_days})"
            )
        for rule in self.rules:
            if COLDNESS.index(rule.storage_class) >= COLDNESS.index(self.archive.to):
                raise PolicyError(
                    f'archive to = "{self.archive.to}" must be colder than the storage_class of '
                    f'the rule for "{rule.upload}", {rule.storage_class}'
                )

    @property
    def upload_days(self) -> int:
        """How many days an upload that is not promoted is kept.

        A superseded upload is kept longer: for this many days after the next upload of its key.
        """
        return math.ceil(self.accept_within / timedelta(days=1)) + DAYS_TO_LOOK

    @cached_property
    def promotable_keys(self) -> Mapping[str, tuple[Rule, str | None]]:
        """Every key that is promoted, including the drill's, with its rule and server."""
        return {**self.server_keys, DRILL_UPLOAD: (REHEARSAL, DRILL)}

    @cached_property
    def server_keys(self) -> Mapping[str, tuple[Rule, str | None]]:
        """Every key that servers upload, with its rule and server (None: keys have no prefix)."""
        return {
            f"{server}/{rule.upload}" if server else rule.upload: (rule, server)
            for server in self.servers or (None,)
            for rule in self.rules
        }

    def slot_of(self, key: str, moment: datetime) -> Slot:
        """Find the slot of an upload of `key` made at `moment` (aware).

        Raises KeyError if no rule names `key`.
        """
        rule, server = self.promotable_keys[key]
        period = rule.store_as.period(moment, rule.timezone)
        return Slot(
            name=f"{server}/{period.name}" if server else period.name,
            rule=rule,
            server=server,
            start=period.start,
            end=period.end,
            is_regular=period.is_regular,
        )


def _check_servers(servers: tuple[str, ...]) -> None:
    for server in servers:
        if not _SERVER.fullmatch(server):
            raise PolicyError(
                f'servers has "{server}"; use letters, digits, - _ . and begin with a letter or '
                "a digit"
            )
        if server in RESERVED:
            raise PolicyError(f'servers has "{server}", which is reserved; choose another name')
        if servers.count(server) > 1:
            raise PolicyError(f'servers has "{server}" twice; list each server once')
