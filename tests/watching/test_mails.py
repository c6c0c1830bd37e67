"""Every mail of an audit, word for word: read tests/watching/golden as if they had woken you up.

After a change, `pytest tests/watching/test_mails.py --write-mails` writes them again.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.lock import Lock
from chalicelib.policy.decision import DeleteMarker, Stored, Upload
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import Vault
from chalicelib.watching import mails
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import (
    Finding,
    Kind,
    Phase,
    judge_backups,
    judge_copy,
    judge_upload,
)
from chalicelib.watching.mails import Mail, is_digest, mail_of, trouble_of
from chalicelib.watching.protection import Protection, judge_locks
from chalicelib.watching.slots import History
from chalicelib.watching.vault_settings import digest
from tests.watching.examples import (
    DAY,
    HOUR,
    HOURLY,
    MINUTE,
    NOW,
    POLICY,
    SECOND,
    history,
    stored,
    upload,
)

GOLDEN = Path(__file__).parent / "golden"
# 02:00 and 08:00 in London.
NIGHT, MORNING = datetime(2026, 7, 23, 1, tzinfo=UTC), datetime(2026, 7, 23, 7, tzinfo=UTC)
DENIED = ClientError(
    {"Error": {"Code": "AccessDenied", "Message": "Access Denied"}}, "ListObjectVersions"
)


def policy_of(rules: dict[str, str], *, zone: str = "Europe/London", servers: Any = ()) -> Policy:
    lines = [f'timezone = "{zone}"', f"servers = {list(servers)}" if servers else ""]
    for key, store_as in rules.items():
        lines += ["[[rule]]", f'upload = "{key}"', f'store_as = "{store_as}"']
    return parse_policy("\n".join(lines))


FILES = {"files.gpg": "%Y-%m-%d.files.gpg"}
FLEET = policy_of(FILES, servers=[f"web{number:02}" for number in range(1, 21)])
BARE = policy_of(FILES)
MINUTES = policy_of({"wal.gpg": "%Y-%m-%d.%H.%M.wal.gpg"})
WEEKS, MONTHS = (
    policy_of({"home.gpg": "%G-W%V.home.gpg"}),
    policy_of({"home.gpg": "%Y-%m.home.gpg"}),
)
LONG = policy_of({"a/very/long/" * 20 + "files.gpg": "a/very/long/" * 20 + "%Y-%m-%d.files.gpg"})
CHATHAM = policy_of(FILES, zone="Pacific/Chatham")


@dataclass(frozen=True)
class Scene:
    """What an audit at `now` finds; `failures` lists what could not be checked.

    `uploads` come with what their slots hold, and `copies` with the time when they began.
    """

    now: datetime
    histories: Iterable[History] = ()
    uploads: Iterable[tuple[Upload, Stored | DeleteMarker | None]] = ()
    copies: Iterable[tuple[str, datetime]] = ()
    protection: Iterable[Finding] = ()
    failures: Iterable[str] = ()
    policy: Policy = POLICY

    @property
    def audited(self) -> Audited:
        findings = sorted(
            self._findings(), key=lambda found: ([*Kind].index(found.kind), found.since)
        )
        return Audited(findings=findings, failures=dict.fromkeys(self.failures, DENIED))

    def _findings(self) -> Iterator[Finding]:
        for about in self.histories:
            yield from judge_backups(about, vault="backups2", now=self.now)
        for sent, holds in self.uploads:
            found = judge_upload(POLICY, sent, holds, incoming="backups1", now=self.now)
            yield from [found] if found else []
        for name, begun in self.copies:
            copied = judge_copy(name, begun, self.now)
            yield from [copied] if copied else []
        yield from self.protection

    def mail(self) -> Mail | None:
        return mail_of(self.audited, policy=self.policy, stage="prod", now=self.now)


OVERWRITTEN = history(version_id="v1", overwritten=MORNING - 90 * MINUTE, versions=3)
DELETED = history(version_id="v1", hidden=MORNING - 90 * MINUTE)
SMALL = history(
    version_id="v1", size=499_999, begun=MORNING - 90 * MINUTE, complete=MORNING - 90 * MINUTE
)
LATE = history(rule={"due_minutes": 210})
CONTESTED = [(upload(ago=390 * MINUTE), stored(ago=400 * MINUTE))]
COPY = [("web1/2026-07-22.files.gpg", MORNING - 25 * HOUR - 30 * MINUTE)]
CHANGED = [
    *Protection(recorded={"lock": "0" * 24, "policy": digest({})}).judge(
        {"lock": {}, "policy": {}}, vault="backups2", now=MORNING
    )
]
NEVER_RECORDED = [*Protection(recorded=None).judge({}, vault="backups2", now=MORNING)]
NO_LOCK = SimpleNamespace(get_object_retention=lambda **_: {"Retention": {}})
UNLOCKED = [
    *judge_locks(
        Vault(s3=NO_LOCK, name="backups2"),  # type: ignore[arg-type]
        history(versions=1),
        Lock(mode="GOVERNANCE", days=30),
        MORNING,
    )
]
DOWN = [history([1], key=key, policy=FLEET) for key in FLEET.server_keys]


def contested(ago: timedelta) -> tuple[Upload, Stored]:
    return upload(ago=ago), stored(ago=ago + MINUTE)


SCENES = {
    "settings-digest": Scene(MORNING, protection=CHANGED),
    "settings-never-recorded-digest": Scene(MORNING, protection=NEVER_RECORDED),
    "unlocked-digest": Scene(MORNING, protection=UNLOCKED),
    "missing": Scene(NIGHT, [history([1])]),
    "missing-digest": Scene(MORNING, [history([1])]),
    "missing-over": Scene(NOW, [history([3], key=HOURLY)]),
    "missing-several-digest": Scene(MORNING, [history([1, 2, 3])]),
    "missing-several-over": Scene(NOW, [history([3, 5, 6], key=HOURLY)]),
    "missing-for-weeks-digest": Scene(MORNING, [history(range(14))]),
    "missing-hour": Scene(NOW, [history([2], key=HOURLY)]),
    "missing-week": Scene(
        datetime(2026, 7, 21, 17, tzinfo=UTC),
        [history([1], key="home.gpg", policy=WEEKS, most=4)],
        policy=WEEKS,
    ),
    "missing-month": Scene(
        datetime(2026, 7, 8, 11, tzinfo=UTC),
        [history([1], key="home.gpg", policy=MONTHS, most=4)],
        policy=MONTHS,
    ),
    "missing-without-servers": Scene(
        NIGHT, [history([1], key="files.gpg", policy=BARE)], policy=BARE
    ),
    "missing-long-name": Scene(
        NIGHT, [history([1], key=key, policy=LONG) for key in LONG.server_keys], policy=LONG
    ),
    "missing-in-chatham": Scene(
        datetime(2026, 7, 22, 14, tzinfo=UTC),
        [history([2], key="files.gpg", policy=CHATHAM)],
        policy=CHATHAM,
    ),
    "too-old": Scene(NOW - 25 * HOUR, [history(range(4), rule={"expect": 80 * HOUR})]),
    "too-old-minutes-digest": Scene(
        MORNING,
        [history(range(1800), key="wal.gpg", policy=MINUTES, most=2000)],
        policy=MINUTES,
    ),
    "overwritten": Scene(MORNING - HOUR, [OVERWRITTEN]),
    "overwritten-digest": Scene(MORNING, [OVERWRITTEN]),
    "overwritten-and-others": Scene(
        NOW, [OVERWRITTEN, DELETED, SMALL, history([2], key=HOURLY)]
    ),
    "deleted": Scene(MORNING - HOUR, [DELETED]),
    "deleted-digest": Scene(MORNING, [DELETED]),
    "contested": Scene(MORNING - HOUR, uploads=CONTESTED),
    "contested-digest": Scene(MORNING, uploads=CONTESTED),
    "contested-by-a-marker": Scene(NOW, uploads=[(upload(ago=20 * MINUTE), DeleteMarker())]),
    "contested-long-ago-digest": Scene(
        MORNING, uploads=[(upload(ago=12 * DAY), stored(ago=12 * DAY))]
    ),
    "rejected": Scene(NOW, uploads=[(upload(ago=20 * MINUTE, size=5), None)]),
    "rejected-digest": Scene(MORNING, uploads=[(upload(ago=8 * HOUR, size=5), None)]),
    "rejected-too-late": Scene(NOW, uploads=[(upload(ago=7 * DAY + 10 * SECOND), None)]),
    "small": Scene(MORNING - HOUR, [SMALL]),
    "small-digest": Scene(MORNING, [SMALL]),
    "late": Scene(MORNING - 4 * HOUR, [LATE]),
    "late-digest": Scene(MORNING, [LATE]),
    "unfinished": Scene(MORNING - HOUR, copies=COPY),
    "unfinished-digest": Scene(MORNING, copies=COPY),
    "five-servers": Scene(NIGHT, DOWN[:5], policy=FLEET),
    "twenty-servers": Scene(NIGHT, DOWN, policy=FLEET),
    "mixed": Scene(
        NOW,
        [history([3], key=HOURLY), DELETED],
        [(upload(ago=20 * MINUTE), stored(ago=25 * MINUTE))],
    ),
    "mixed-digest": Scene(
        MORNING, [OVERWRITTEN, history([1, 2]), LATE, SMALL], CONTESTED, COPY
    ),
    "not-checked": Scene(NIGHT, [history([1])], failures=["the uploads of web1/sql.gpg"]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCENES)
def test_a_mail_is_as_it_was_read(name: str, request: pytest.FixtureRequest) -> None:
    mail = SCENES[name].mail()
    assert mail
    text = f"Subject: {mail.subject}\n\n{mail.body}\n"
    if request.config.getoption("--write-mails"):
        (GOLDEN / f"{name}.txt").write_text(text)
    assert text == (GOLDEN / f"{name}.txt").read_text()


def test_there_are_no_other_mails_and_each_kind_has_two() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(SCENES)
    # An alarm reports when these begin and end.
    in_digests_only = {Kind.SETTINGS, Kind.UNLOCKED}
    for kind in Kind:
        names = {f"{kind}-digest": Phase.LASTING}
        names |= {} if kind in in_digests_only else {str(kind): Phase.NEW}
        for name, phase in names.items():
            found = SCENES[name].audited.findings
            assert (kind, phase) in {(each.kind, each.phase) for each in found}, name


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        pytest.param(Scene(MORNING, [history()]), False, id="all is well at the digest's hour"),
        pytest.param(Scene(MORNING, [history([1])]), True, id="something lasts at that hour"),
        pytest.param(Scene(MORNING + HOUR, [history([1])]), False, id="and an hour later"),
        pytest.param(Scene(MORNING - HOUR, [history([1])]), False, id="and an hour earlier"),
        pytest.param(Scene(NIGHT, [history([1])]), True, id="something is new"),
        pytest.param(Scene(NOW, [history([3], key=HOURLY)]), True, id="something is over"),
        pytest.param(Scene(NOW, [OVERWRITTEN]), False, id="a broken promise alone lasts"),
        pytest.param(
            Scene(NOW, uploads=[contested(20 * MINUTE), contested(3 * HOUR)]),
            False,
            id="the same was new today",
        ),
        pytest.param(
            Scene(NOW, uploads=[contested(20 * MINUTE), contested(26 * HOUR)]),
            True,
            id="the same was new yesterday",
        ),
        pytest.param(
            Scene(NOW, uploads=[(upload(ago=20 * MINUTE, size=5), None), contested(3 * HOUR)]),
            True,
            id="something else was new today",
        ),
        pytest.param(
            Scene(NOW, uploads=[contested(20 * MINUTE)], copies=[("files.gpg", NOW - 26 * HOUR)]),
            True,
            id="somewhere else something was new today",
        ),
        pytest.param(
            Scene(NOW, [OVERWRITTEN, history(overwritten=NOW - MINUTE, versions=2)]),
            True,
            id="the same was new today, but is a broken promise",
        ),
        # The alarm on the function's errors reports this.
        pytest.param(Scene(MORNING, failures=["all"]), False, id="nothing could be checked"),
    ],
)
def test_there_is_no_mail_without_a_reason(scene: Scene, *, reason: bool) -> None:
    assert bool(scene.mail()) is reason


@pytest.mark.parametrize(
    ("zone", "year"),
    [
        (zone, year)
        for zone in (
            "Europe/London",
            "Pacific/Chatham",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Etc/UTC",
        )
        for year in (2026, 2027)
    ],
)
def test_each_day_has_one_digest_after_eight(zone: str, year: int) -> None:
    policy = policy_of(FILES, zone=zone)
    start = datetime(year, 1, 1, tzinfo=UTC)
    local = [
        now.astimezone(policy.timezone)
        for now in (start + number * HOUR for number in range(365 * 24))
        if is_digest(policy, now)
    ]
    assert all(at.hour == 8 for at in local)
    days = [at.date() for at in local]
    assert days == [days[0] + number * DAY for number in range(len(days))]
    assert len(days) >= 364


SCRIPT = "web1/2026\n\nOVER\u2028\x1b[2Jall is well"


def test_no_name_can_write_a_line_of_its_own() -> None:
    mail = Scene(NOW, copies=[(SCRIPT, NOW - DAY)]).mail()
    assert mail
    assert "The copy to web1/2026??OVER??[2Jall is well was never finished" in mail.body
    for text in (mail.subject, mail.body.replace("\n", "")):
        assert text.isascii()
        assert text.isprintable()


def test_sns_takes_every_mail() -> None:
    fleet = policy_of(
        {"x" * 700: f"%Y-%m-%d.{'x' * 700}"}, servers=[f"web{number:02}" for number in range(99)]
    )
    flood = [history([1], key=key, policy=fleet) for key in fleet.server_keys]
    for scene in [*SCENES.values(), Scene(NIGHT, flood, policy=fleet)]:
        mail = scene.mail()
        assert mail
        assert len(mail.subject) < 100
        assert len(mail.body.encode()) < 262_144


def test_more_than_sns_takes_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mails, "LONGEST_BODY", 50)
    mail = SCENES["missing"].mail()
    assert mail
    assert len(mail.body) == 50


def test_a_command_is_quoted_for_the_shell() -> None:
    [finding] = SCENES["contested"].audited.findings
    odd = replace(
        finding, download={"bucket": "backups1", "key": "it's (a) key", "version_id": "v"}
    )
    mail = mail_of(Audited(findings=[odd]), policy=POLICY, stage="prod", now=MORNING)
    assert mail
    assert "--key 'it'\"'\"'s (a) key' --version-id v downloaded" in mail.body


def test_a_heartbeat_reports_all_that_is_wrong_or_was_not_checked() -> None:
    scene = SCENES["overwritten-and-others"]
    trouble = trouble_of(scene.audited, policy=POLICY, stage="prod", now=NOW)
    assert trouble
    for found in scene.audited.findings:
        assert found.what in trouble.body
    scene = Scene(NOW, failures=["the uploads of web1/sql.gpg"])
    trouble = trouble_of(scene.audited, policy=POLICY, stage="prod", now=NOW)
    assert trouble
    assert trouble.subject == "backups prod: the audit could not check everything"
    assert "- the uploads of web1/sql.gpg: An error occurred (AccessDenied)" in trouble.body


@pytest.mark.parametrize("scene", [Scene(NOW), Scene(NOW, [history([3], key=HOURLY)])])
def test_what_is_over_is_no_trouble(scene: Scene) -> None:
    assert trouble_of(scene.audited, policy=POLICY, stage="prod", now=NOW) is None


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_a_section_in_the_documents(kind: Kind) -> None:
    document = Path(__file__).parents[2] / mails.DOCUMENT
    assert f"#### {kind}" in document.read_text().splitlines()
