"""The mails of the alarms that `setup` creates: few and early in outages, none in quiet months."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from admin.choices import IncomingAlarm, SetupOptions
from admin.desired.alerts import alerts
from admin.desired.requirement import Kind, Requirement
from admin.stage import Stage
from chalicelib import record
from chalicelib.policy.decision import Outcome
from chalicelib.watching.audit import Audited
from chalicelib.watching.telling import Teller
from localcloud.alarms import ALARM, NO_DATA, OK, Metric, transitions
from tests.admin.audited_outages import audit_mails
from tests.admin.outages import BEGIN, DAY, HOUR, MINUTE, Outage, Trouble, Weeks, own
from tests.support.project import POLICY, STAGE

TOPIC = "arn:aws:sns:us-east-1:123456789012:immutable-backups-dev-alerts"
ALARMS = {
    requirement.resource.removeprefix(f"{STAGE.topic}-"): requirement
    for requirement in alerts(STAGE, SetupOptions(), TOPIC)
    if requirement.kind is Kind.ALARM and requirement.desired is not None
}
# The outage begins after some days, in the middle of an hour.
OUT_FROM = BEGIN + 2 * DAY + timedelta(hours=9, minutes=20)
LONG = timedelta(hours=160)

Metrics = Mapping[Metric, Sequence[tuple[datetime, float]]]


@dataclass(frozen=True, order=True)
class Mail:
    at: datetime
    alarm: str
    state: str


def mails(
    metrics: Metrics,
    *,
    end: datetime,
    begin: datetime = BEGIN + HOUR,
    state: str = OK,
    alarms: Iterable[tuple[str, Requirement]] = ALARMS.items(),
) -> list[Mail]:
    return sorted(
        Mail(change.at, name, change.state)
        for name, alarm in alarms
        for change in transitions(alarm.desired, metrics, begin=begin, end=end, state=state)
        if TOPIC in change.actions
    )


def outage_of(trouble: Trouble, *, seed: int = 1, length: timedelta = LONG) -> Weeks:
    out = Outage(trouble=trouble, begin=OUT_FROM, end=OUT_FROM + length)
    return Weeks(begin=BEGIN, end=out.end + 2 * DAY, outage=out, seed=seed)


@pytest.mark.parametrize(
    ("trouble", "rings"),
    [
        (Trouble.COPIES, {"errors", "promote-dropped", "waiting"}),
        (Trouble.S3, {"errors", "promote-dropped", "waiting", "no-audit"}),
        (Trouble.NETWORK, {"errors", "promote-dropped", "waiting", "no-audit"}),
        (Trouble.THROTTLED, {"promote-dropped", "waiting", "no-audit"}),
        (Trouble.SILENT, {"waiting", "no-audit"}),
        (Trouble.STOPPED, {"promote-dropped", "waiting"}),
    ],
    ids=lambda value: str(value) if isinstance(value, Trouble) else "",
)
def test_160_hours_send_at_most_ten_mails_and_the_first_within_an_hour_of_the_first_upload(
    trouble: Trouble, rings: set[str]
) -> None:
    """Includes the audits' mails, but only one digest a day."""
    weeks = outage_of(trouble)
    sent = mails(weeks.metrics, end=weeks.end)
    assert len(sent) + len(audit_mails(weeks)) <= 10
    assert sent[0].state == ALARM
    assert sent[0].at - weeks.first_stuck() <= HOUR
    # Each alarm goes off once, and ends once.
    assert {mail.alarm for mail in sent} == rings
    assert len(sent) == 2 * len(rings)
    assert all(mail.at > OUT_FROM + LONG for mail in sent if mail.state == OK)


@pytest.mark.parametrize("seed", range(2))
def test_a_week_in_which_every_third_run_fails_sends_at_most_ten_mails(seed: int) -> None:
    weeks = outage_of(Trouble.FLAKY, seed=seed)
    sent = mails(weeks.metrics, end=weeks.end)
    assert ALARM in {mail.state for mail in sent}
    assert len(sent) + len(audit_mails(weeks)) <= 10


def test_a_dead_sweep_sends_one_mail_even_if_nothing_waits() -> None:
    weeks = outage_of(Trouble.NO_SWEEP)
    dead, alive = mails(weeks.metrics, end=weeks.end)
    assert (dead.alarm, dead.state) == ("waiting", ALARM)
    assert dead.at - OUT_FROM <= 41 * MINUTE
    assert (alive.alarm, alive.state) == ("waiting", OK)


def test_failures_that_the_sweep_repairs_send_no_mail() -> None:
    weeks = outage_of(Trouble.NO_EVENTS)
    assert mails(weeks.metrics, end=weeks.end) == []
    assert weeks.longest_wait() < 22 * MINUTE


def test_servers_that_stop_uploading_are_missed_by_audits_alone() -> None:
    weeks = outage_of(Trouble.NO_UPLOADS)
    assert mails(weeks.metrics, end=weeks.end) == []
    assert 2 <= len(audit_mails(weeks)) <= 4


def test_dead_audits_send_one_mail_after_three_hours() -> None:
    weeks = outage_of(Trouble.NO_AUDIT)
    dead, alive = mails(weeks.metrics, end=weeks.end)
    assert (dead.alarm, dead.state) == ("no-audit", ALARM)
    assert dead.at - OUT_FROM <= 3 * HOUR
    assert (alive.alarm, alive.state) == ("no-audit", OK)
    assert alive.at - (OUT_FROM + LONG) <= HOUR


@pytest.mark.parametrize(
    "audited",
    [
        pytest.param(
            lambda hour: [hour + hour.hour % 7 * 9 * MINUTE], id="late by up to 54 minutes"
        ),
        pytest.param(lambda hour: [hour, hour + 2 * MINUTE], id="doubled"),
        pytest.param(lambda hour: [hour, hour + 58 * MINUTE], id="doubled at the next hour's edge"),
        pytest.param(lambda hour: [hour] if hour.hour % 3 != 2 else [], id="every third is lost"),
    ],
)
@pytest.mark.parametrize("seed", range(2))
def test_audits_that_are_late_doubled_or_lost_send_no_mail(
    audited: Callable[[datetime], list[datetime]], seed: int
) -> None:
    weeks = Weeks(begin=BEGIN, end=BEGIN + 5 * DAY, audited=audited, seed=seed)
    assert mails(weeks.metrics, end=weeks.end) == []


def test_a_quiet_month_sends_no_mail() -> None:
    weeks = Weeks(begin=BEGIN, end=BEGIN + 30 * DAY)
    assert mails(weeks.metrics, end=weeks.end) == []


def of_audits(name: str, values: Mapping[int, float], *, hours: int) -> Metrics:
    """The metrics of hourly audits, with these values for `name`; None: there is no audit."""
    quiet = dict.fromkeys(
        (
            "OverwrittenFindings",
            "SettingsFindings",
            "UnlockedFindings",
            "KeysWithoutBackup",
            "FailedHeartbeats",
        ),
        0.0,
    )
    return {
        own(each): [
            (BEGIN + hour * HOUR, values.get(hour, 0.0) if each == name else value)
            for hour in range(hours)
        ]
        for each, value in {**quiet, "AuditSeconds": 9.0}.items()
    }


@pytest.mark.parametrize("kind", ["settings", "unlocked", "overwritten"])
def test_a_finding_without_a_moment_sends_one_mail_and_one_when_it_is_over(kind: str) -> None:
    weeks = Weeks(begin=BEGIN, end=BEGIN + 2 * DAY)
    values = dict.fromkeys(range(10, 20), 1.0)
    metrics = weeks.metrics | of_audits(f"{kind.capitalize()}Findings", values, hours=48)
    found, over = mails(metrics, end=weeks.end)
    assert (found.alarm, found.state, over.alarm, over.state) == (kind, ALARM, kind, OK)
    assert found.at - (BEGIN + 10 * HOUR) <= MINUTE
    assert over.at - (BEGIN + 20 * HOUR) <= HOUR


def test_a_finding_stays_a_finding_while_there_is_no_audit() -> None:
    metrics = of_audits("SettingsFindings", {10: 1.0, 11: 1.0}, hours=12)
    settings = [("settings", ALARMS["settings"])]
    sent = mails(metrics, end=BEGIN + 5 * DAY, alarms=settings)
    assert [mail.state for mail in sent] == [ALARM]


@pytest.mark.parametrize(("hours", "rings"), [(25, False), (26, True)])
def test_a_server_without_any_backup_sends_a_mail_after_26_hours(
    hours: int, *, rings: bool
) -> None:
    without = dict.fromkeys(range(4, 4 + hours), 1.0)
    metrics = of_audits("KeysWithoutBackup", without, hours=48)
    sent = mails(metrics, end=BEGIN + 2 * DAY, alarms=[("no-backup", ALARMS["no-backup"])])
    assert [mail.state for mail in sent] == ([ALARM, OK] if rings else [])


def heartbeat_of(stage: Stage) -> Requirement:
    [heartbeat] = (
        requirement
        for requirement in alerts(stage, SetupOptions(), TOPIC)
        if requirement.resource == f"{STAGE.topic}-heartbeat"
    )
    return heartbeat


@pytest.mark.parametrize(
    ("failed", "rings"),
    [
        pytest.param([4], False, id="one fails"),
        pytest.param([4, 5, 7, 8], False, id="two in a row fail"),
        pytest.param([4, 5, 6], True, id="three in a row fail"),
    ],
)
def test_heartbeats_that_fail_for_three_hours_send_a_mail(
    failed: list[int], *, rings: bool
) -> None:
    url = {**STAGE.environment, "HEARTBEAT_URL": "https://hc-ping.com/uuid"}
    heartbeat = heartbeat_of(replace(STAGE, environment=url))
    metrics = of_audits("FailedHeartbeats", dict.fromkeys(failed, 1.0), hours=24)
    sent = mails(metrics, end=BEGIN + DAY, alarms=[("heartbeat", heartbeat)])
    assert [mail.state for mail in sent] == ([ALARM, OK] if rings else [])


def test_without_a_heartbeat_there_is_no_alarm_on_it() -> None:
    assert heartbeat_of(STAGE).desired is None


def test_a_burst_of_sirens_sends_one_mail_and_one_when_it_is_over() -> None:
    published = Metric(
        "AWS/SNS", "NumberOfMessagesPublished", (("TopicName", "immutable-backups-dev-sirens"),)
    )
    minutes = [*range(120, 160), 190]  # a deployment, and a setup half an hour later
    weeks = Weeks(begin=BEGIN, end=BEGIN + DAY)
    metrics = weeks.metrics | {published: [(BEGIN + at * MINUTE, 100.0) for at in minutes]}
    sent = mails(metrics, end=weeks.end)
    assert [(mail.alarm, mail.state) for mail in sent] == [("sirens", ALARM), ("sirens", OK)]
    assert sent[0].at - (BEGIN + 120 * MINUTE) <= 5 * MINUTE
    assert sent[1].at - (BEGIN + 190 * MINUTE) <= 90 * MINUTE
    again = metrics | {published: [*metrics[published], (BEGIN + 6 * HOUR, 1.0)]}
    assert len(mails(again, end=weeks.end)) == 4


def of_sweeps(
    name: str, value: float, *, end: datetime, service: str = STAGE.service
) -> dict[Metric, list[tuple[datetime, float]]]:
    passes = [BEGIN + number * 15 * MINUTE for number in range((end - BEGIN) // (15 * MINUTE))]
    names = ("OldestWaitingSeconds", "IncomingBytes", "IncomingVersions", "AuditSeconds")
    quiet = dict.fromkeys(names, 0.0)
    shown = {own(name): 0.0 for name in quiet} | {own(name, service): value}
    return {metric: [(at, each) for at in passes] for metric, each in shown.items()}


@pytest.mark.parametrize(
    ("name", "value", "rings"),
    [
        ("OldestWaitingSeconds", 3599, None),
        ("OldestWaitingSeconds", 3600, "waiting"),
        ("IncomingBytes", 1024**4 - 1, None),
        ("IncomingBytes", 1024**4, "incoming-bytes"),
        ("IncomingVersions", 9_999, None),
        ("IncomingVersions", 10_000, "incoming-versions"),
    ],
)
def test_each_alarm_goes_off_at_its_threshold(name: str, value: float, rings: str | None) -> None:
    end = BEGIN + 3 * HOUR
    sent = mails(of_sweeps(name, value, end=end), end=end)
    assert [mail.alarm for mail in sent] == ([rings] if rings else [])


@pytest.mark.parametrize(
    ("in_the_middle", "rings"),
    [
        pytest.param([3600], False, id="one pass sees an hour"),
        pytest.param([3600, 4500], True, id="two in a row do"),
        pytest.param([3600, 0, 3600], False, id="two with another one in between"),
        pytest.param([None], False, id="one is lost"),
        pytest.param([None, None], True, id="two are lost"),
        pytest.param([3600, None], True, id="one sees an hour and the next one is lost"),
    ],
)
def test_a_single_sweep_proves_nothing(in_the_middle: list[float | None], *, rings: bool) -> None:
    end = BEGIN + 4 * HOUR
    passes = [*[0.0] * 8, *in_the_middle, *[0.0] * 8]
    metrics = of_sweeps("IncomingBytes", 0, end=end) | {
        own("OldestWaitingSeconds"): [
            (BEGIN + number * 15 * MINUTE, value)
            for number, value in enumerate(passes)
            if value is not None
        ]
    }
    sent = mails(metrics, end=BEGIN + len(passes) * 15 * MINUTE)
    assert [mail.state for mail in sent] == ([ALARM, OK] if rings else [])


@pytest.mark.parametrize("name", ["OldestWaitingSeconds", "IncomingBytes", "Contested", "Rejected"])
def test_another_stage_sets_off_no_alarm_here(name: str) -> None:
    end = BEGIN + 3 * HOUR
    metrics = of_sweeps(name, 1e15, end=end, service="immutable-backups-prod")
    assert mails(metrics, end=end) == []


@pytest.mark.parametrize("name", ["Contested", "Rejected"])
def test_refusals_send_one_mail_a_day_and_another_each_night(
    name: str,
) -> None:
    end = BEGIN + 4 * DAY
    quiet = of_sweeps("IncomingBytes", 0, end=end)
    often = {own(name): [(BEGIN + HOUR * hour, 1.0) for hour in range(2, 72, 4)]}
    assert [mail.state for mail in mails(quiet | often, end=end)] == [ALARM, OK]
    nightly = {own(name): [(BEGIN + HOUR * hour, 1.0) for hour in (9, 33, 57)]}
    assert [mail.state for mail in mails(quiet | nightly, end=end)] == 3 * [ALARM, OK]


def test_an_error_sends_one_mail_wherever_the_hours_begin() -> None:
    end = BEGIN + 3 * DAY
    failed = Metric("AWS/Lambda", "Errors", (("FunctionName", STAGE.function_name("promote")),))
    metrics = of_sweeps("IncomingBytes", 0, end=end) | {
        # Three attempts of 15 minutes each.
        failed: [(BEGIN + 2 * HOUR + 16 * MINUTE * number, 1.0) for number in range(3)]
    }
    assert [mail.state for mail in mails(metrics, end=end)] == [ALARM, OK]


def test_a_flood_sends_a_mail_even_if_it_kills_the_sweep() -> None:
    end = BEGIN + 2 * DAY
    metrics = of_sweeps("IncomingVersions", 1e6, end=BEGIN + 6 * HOUR)
    sent = [mail for mail in mails(metrics, end=end) if mail.alarm == "incoming-versions"]
    assert [mail.state for mail in sent] == [ALARM]


def test_parts_of_unfinished_uploads_set_off_an_alarm_without_the_sweep() -> None:
    end = BEGIN + 8 * DAY
    of_s3 = (("BucketName", "backups1"), ("StorageType", "StandardStorage"))
    metrics = of_sweeps("IncomingBytes", 0, end=end) | {
        Metric("AWS/S3", "BucketSizeBytes", of_s3): [
            (BEGIN + day * DAY, 2.0**41 if day == 3 else 2.0**20) for day in range(8)
        ]
    }
    sent = mails(metrics, end=end)
    assert [(mail.alarm, mail.state) for mail in sent] == [
        ("incoming-size", ALARM),
        ("incoming-size", OK),
    ]


def test_the_first_mail_of_a_new_alarm_says_that_all_is_well() -> None:
    """CloudWatch reports every change to OK, including the first one from no data."""
    weeks = Weeks(begin=BEGIN, end=BEGIN + DAY)
    sent = mails(weeks.metrics, end=weeks.end, state=NO_DATA)
    assert {mail.state for mail in sent} == {OK}


def test_the_alarms_read_the_metrics_that_the_functions_write(
    capsys: pytest.CaptureFixture[str],
) -> None:
    record.write_sweep(record.Swept())
    teller = Teller(
        connect=lambda: None, policy=POLICY, stage="dev", alert_topic=TOPIC, heartbeat_url=None
    )
    teller.tell(Audited(), now=BEGIN, seconds=1)
    for outcome in (Outcome.CONTESTED, Outcome.REJECTED):
        record.write(record.Record(outcome=outcome, reason="", upload="key", seconds=0))
    record.flush_metrics()
    written = set()
    for line in capsys.readouterr().out.splitlines():
        for directive in json.loads(line).get("_aws", {}).get("CloudWatchMetrics", []):
            [names] = directive["Dimensions"]
            dimensions = tuple((name, json.loads(line)[name]) for name in names)
            written |= {
                Metric(directive["Namespace"], metric["Name"], dimensions)
                for metric in directive["Metrics"]
            }
    looked_at = {metric for alarm in ALARMS.values() for metric in _metrics(alarm)}
    own_ones = {metric for metric in looked_at if metric.namespace == "ImmutableBackups"}
    assert len(own_ones) == 10
    assert own_ones <= written


def _metrics(alarm: Requirement) -> Iterator[Metric]:
    queries = [query for query in alarm.desired.get("Metrics", ()) if "MetricStat" in query]
    yield from (Metric.of(query["MetricStat"]["Metric"]) for query in queries)
    if not queries:
        yield Metric.of(alarm.desired)


def test_every_alarm_sends_a_mail_at_its_start_and_end() -> None:
    for alarm in ALARMS.values():
        assert (alarm.desired["AlarmActions"], alarm.desired["OKActions"]) == ([TOPIC], [TOPIC])
        assert alarm.desired["ActionsEnabled"]


def test_the_limits_of_incoming_can_be_chosen() -> None:
    chosen = SetupOptions(incoming_alarm=IncomingAlarm(bytes=7, versions=8))
    thresholds = {
        requirement.resource: requirement.desired["Threshold"]
        for requirement in alerts(STAGE, chosen, TOPIC)
        if "-incoming-" in requirement.resource
    }
    assert thresholds == {
        f"{STAGE.topic}-incoming-bytes": 7.0,
        f"{STAGE.topic}-incoming-versions": 8.0,
        f"{STAGE.topic}-incoming-size": 7.0,
    }
