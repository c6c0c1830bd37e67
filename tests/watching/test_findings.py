"""What an audit reports: every kind of finding, word for word, and when it is new."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.policy.decision import DeleteMarker, Stored, Upload
from chalicelib.watching.findings import (
    REMEDIES,
    Finding,
    Kind,
    Phase,
    judge_backups,
    judge_copy,
    judge_upload,
)
from chalicelib.watching.slots import History
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


def judged(about: History, now: datetime = NOW) -> list[tuple[Kind, Phase, str]]:
    findings = judge_backups(about, vault="backups2", now=now)
    return [(found.kind, found.phase, found.what) for found in findings]


def test_backups_in_order_have_no_findings() -> None:
    assert judged(history()) == []


@pytest.mark.parametrize(
    ("about", "kind", "what"),
    [
        pytest.param(
            history([0, 1]), Kind.MISSING,
            "web1/2026-07-22.files.gpg is missing; it was due Thu 23 Jul 2026 02:00 BST. The "
            "newest backup is web1/2026-07-21.files.gpg, stored 2 days ago (Tue 21 Jul 2026 04:00 "
            "BST), with 1,000,000 bytes.",
            id="one is missing",
        ),
        pytest.param(
            history(range(3)), Kind.MISSING,
            "web1/files.gpg has 2 missing backups; the first, web1/2026-07-21.files.gpg, was due "
            "Wed 22 Jul 2026 02:00 BST. The newest backup is web1/2026-07-20.files.gpg, stored 3 "
            "days ago (Mon 20 Jul 2026 04:00 BST), with 1,000,000 bytes.",
            id="several are missing",
        ),
        pytest.param(
            history(range(14)), Kind.MISSING,
            "web1/files.gpg has had no backup since before Sat 11 Jul 2026 02:00 BST.",
            id="none for weeks",
        ),
        pytest.param(
            history(range(4), rule={"expect": 80 * HOUR}), Kind.MISSING,
            "web1/files.gpg should have had a newer backup by Wed 22 Jul 2026 12:00 BST. The "
            "newest backup is web1/2026-07-19.files.gpg, stored 4 days ago (Sun 19 Jul 2026 04:00 "
            "BST), with 1,000,000 bytes.",
            id="the newest is too old",
        ),
        pytest.param(
            history(overwritten=NOW - 9 * HOUR, versions=3), Kind.OVERWRITTEN,
            "web1/2026-07-23.files.gpg was overwritten; the second of its 3 versions was stored "
            "Thu 23 Jul 2026 04:00 BST.",
            id="overwritten",
        ),
        pytest.param(
            history(hidden=NOW - 9 * HOUR, version_id="v"), Kind.DELETED,
            "web1/2026-07-23.files.gpg was deleted; a delete marker was added Thu 23 Jul 2026 "
            "04:00 BST. The backup is still there.",
            id="deleted",
        ),
        pytest.param(
            history(size=499_999), Kind.SMALL,
            "web1/2026-07-23.files.gpg is small: it has only 499,999 bytes, stored Thu 23 Jul 2026 "
            "04:00 BST; the usual size is 1,000,000.",
            id="small",
        ),
        pytest.param(
            history(rule={"due_minutes": 60}, begun=NOW - 9 * HOUR), Kind.LATE,
            "web1/2026-07-23.files.gpg was stored late, Thu 23 Jul 2026 04:00 BST; it was due "
            "Thu 23 Jul 2026 01:00 BST.",
            id="late",
        ),
    ],
)  # fmt: skip
def test_each_kind_of_finding_is_one_clear_sentence(about: History, kind: Kind, what: str) -> None:
    [finding] = judge_backups(about, vault="backups2", now=NOW)
    assert (finding.kind, finding.what, finding.remedy) == (kind, what, REMEDIES[kind])
    assert (finding.rule, finding.server) == ("files.gpg", "web1")


@pytest.mark.parametrize("done", [{"overwritten": NOW, "versions": 2}, {"hidden": NOW}])
def test_the_first_version_of_a_tampered_backup_is_the_one_to_download(done: Any) -> None:
    [finding] = judge_backups(history(version_id="v1", **done), vault="backups2", now=NOW)
    name = "web1/2026-07-23.files.gpg"
    assert finding.download == {"bucket": "backups2", "key": name, "version_id": "v1"}
    [finding] = judge_backups(history(hidden=NOW), vault="backups2", now=NOW)
    assert finding.download is None
    assert finding.what.endswith(" Nothing else is left of it.")


def test_the_newest_backup_is_one_that_can_be_restored() -> None:
    """A delete marker, or a copy that is not complete, fills a slot, but is no backup."""
    assert history(hidden=NOW).newest(NOW).name == "web1/2026-07-22.files.gpg"
    assert history(size=None).newest(NOW).name == "web1/2026-07-22.files.gpg"


@pytest.mark.parametrize(
    ("lost", "phases"),
    [
        pytest.param([1, 2], ["new", "lasting"], id="one backup"),
        pytest.param([2, 3], ["lasting", "lasting"], id="another hour of the same gap"),
        pytest.param([2, 4], ["lasting", "lasting"], id="every other hour"),
        pytest.param([4], [None, None], id="reported and over long ago"),
    ],
)
def test_a_gap_is_reported_once(lost: list[int], phases: list[str | None]) -> None:
    about = history(lost, key=HOURLY)
    for hour, expected in enumerate(phases):
        now = NOW + hour * HOUR
        assert [phase for _, phase, _ in judged(about, now)] == ([expected] if expected else [])


def test_the_end_of_a_gap_is_reported_once() -> None:
    about = history([3], key=HOURLY)
    told = {n: [phase for _, phase, _ in judged(about, NOW + n * HOUR)] for n in range(-3, 2)}
    assert told == {-3: [], -2: [], -1: [Phase.NEW], 0: [Phase.OVER], 1: []}
    [(_, _, what)] = judged(about)
    assert what == (
        "Backups of web1/sql.gpg are stored again. The newest backup is "
        "web1/2026-07-23.12.sql.gpg, stored 53 minutes ago (Thu 23 Jul 2026 12:07 BST), with "
        "1,000,000 bytes. web1/2026-07-23.10.sql.gpg is still missing."
    )


@pytest.mark.parametrize(
    ("changed", "until"),
    [
        pytest.param({"overwritten": NOW - MINUTE}, 99, id="overwritten"),
        pytest.param({"hidden": NOW - MINUTE}, 99, id="deleted"),
        pytest.param({"size": 5, "complete": NOW - MINUTE}, 23, id="small"),
    ],
)
def test_a_finding_is_new_in_one_audit_and_then_lasts(changed: dict[str, Any], until: int) -> None:
    about = history(**changed)
    phases = [[phase for _, phase, _ in judged(about, NOW + n * HOUR)] for n in (-1, 0, 1, 23)]
    assert phases == [[], [Phase.NEW], [Phase.LASTING], [Phase.LASTING]]
    assert bool(judged(about, NOW + 24 * HOUR)) is (until > 24)


@pytest.mark.parametrize(
    ("minutes", "phase"), [(0, None), (1, Phase.NEW), (59, Phase.NEW), (60, Phase.LASTING)]
)
def test_a_backup_that_was_reported_as_missing_is_no_news_when_it_is_stored_late(
    minutes: int, phase: Phase | None
) -> None:
    begun = NOW - 10 * MINUTE
    start = datetime(2026, 7, 22, 23, tzinfo=UTC)
    due = (begun - start) // MINUTE - minutes
    about = history(begun=begun, complete=begun, rule={"due_minutes": due})
    phases = [each for kind, each, _ in judged(about) if kind is Kind.LATE]
    assert phases == ([phase] if phase else [])


@pytest.mark.parametrize(
    ("about", "is_small"),
    [
        pytest.param(history(size=499_999), True, id="below half"),
        pytest.param(history(size=500_000), False, id="half"),
        pytest.param(history(size=9_000_000), False, id="huge"),
        pytest.param(history(size=5, rule={"small": False}), False, id="sizes vary by design"),
        pytest.param(history([4, *range(5, 14)], size=5), True, id="three before"),
        pytest.param(history([*range(3, 14)], size=5), False, id="too few before"),
        pytest.param(history(size=None, versions=0), False, id="only a delete marker is left"),
    ],
)
def test_a_backup_is_small_beside_those_before_it(about: History, is_small: bool) -> None:
    assert any(kind is Kind.SMALL for kind, _, _ in judged(about)) is is_small


def judge(
    an_upload: Upload, holds: Stored | DeleteMarker | None, now: datetime = NOW
) -> Finding | None:
    return judge_upload(POLICY, an_upload, holds, incoming="backups1", now=now)


def test_a_contested_upload_names_both_and_the_command_that_downloads_it() -> None:
    finding = judge(upload(), stored())
    assert finding is not None
    assert (finding.kind, finding.phase, finding.since) == (
        Kind.CONTESTED, Phase.LASTING, NOW - 2 * HOUR,
    )  # fmt: skip
    assert finding.what == (
        "An upload of web1/sql.gpg is contested. It has 1,000 bytes, was uploaded Thu 23 Jul 2026 "
        "11:00 BST, and is not stored. web1/2026-07-23.11.sql.gpg already holds a different "
        "upload. Nothing was changed. The stored backup has 900 bytes and was stored Thu 23 Jul "
        "2026 10:00 BST. S3 keeps the upload at least until Sat 01 Aug 2026."
    )
    assert finding.download == {"bucket": "backups1", "key": HOURLY, "version_id": "v1"}


@pytest.mark.parametrize(
    ("an_upload", "holds", "kind", "since"),
    [
        pytest.param(upload(), None, None, None, id="it waits"),
        pytest.param(upload(size=5), None, Kind.REJECTED, 2 * HOUR, id="too small"),
        pytest.param(upload(etag="e-2"), stored(), Kind.CONTESTED, 1.5 * HOUR, id="in parts"),
        pytest.param(upload(), stored(ago=HOUR), Kind.CONTESTED, HOUR, id="filled afterwards"),
        pytest.param(
            upload(), stored(ago=HOUR, etag="e-2"), Kind.CONTESTED, HOUR / 2, id="filled in parts"
        ),
        pytest.param(upload(), DeleteMarker(), Kind.CONTESTED, 2 * HOUR, id="a delete marker"),
        pytest.param(
            upload(ago=7 * DAY + HOUR + SECOND), None, Kind.REJECTED, HOUR, id="waited too long"
        ),
        pytest.param(
            upload(ago=8 * DAY),
            stored(ago=8 * DAY),
            Kind.CONTESTED,
            8 * DAY,
            id="contested long ago",
        ),
    ],
)
def test_an_upload_that_is_not_stored_is_reported_from_then_on(
    an_upload: Upload, holds: Any, kind: Kind | None, since: timedelta | None
) -> None:
    finding = judge(an_upload, holds)
    if since is None:
        assert finding is None
        return
    assert finding is not None
    assert (finding.kind, finding.since) == (kind, NOW - since)
    [then, an_hour_later] = (judge(an_upload, holds, NOW - since + n * HOUR) for n in range(2))
    assert then is not None
    assert an_hour_later is not None
    assert (then.phase, an_hour_later.phase) == (Phase.NEW, Phase.LASTING)
    before = judge(an_upload, holds, NOW - since - MINUTE)
    assert before is None or before.kind is not kind


def test_a_copy_that_is_unfinished_for_a_day_is_reported() -> None:
    assert judge_copy("web1/2026-07-22.files.gpg", NOW - DAY + MINUTE, NOW) is None
    finding = judge_copy("web1/2026-07-22.files.gpg", NOW - DAY, NOW)
    assert finding is not None
    assert (finding.kind, finding.phase) == (Kind.UNFINISHED, Phase.NEW)
    assert finding.what == (
        "The copy to web1/2026-07-22.files.gpg was never finished; it was started Wed 22 Jul 2026 "
        "12:00 UTC."
    )
