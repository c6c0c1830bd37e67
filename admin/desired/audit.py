"""The alarms on audits: that none runs, and on findings that audits do not mail at once."""

from collections.abc import Iterator
from typing import Any

from admin.desired.alarms import AN_HOUR, alarm, own_metric, removed_alarm
from admin.desired.requirement import Requirement
from admin.stage import Stage

HEARTBEAT_URL = "HEARTBEAT_URL"
# Hours. Audits run every hour, some a few minutes late, so one of two successive hours can be
# empty.
WITHOUT_AUDIT = 3
# Hours. The first backup of a new server can be a day away, and needs some time to be uploaded.
WITHOUT_BACKUP = 26
# Hours. If a service misses a heartbeat or two, nothing is lost: the next one reaches it.
WITHOUT_HEARTBEAT = 3


def audit_alarms(stage: Stage, topic: str) -> Iterator[Requirement]:
    """The alarms on audits; only the first reacts to hours without an audit."""
    yield _no_audit(stage, topic)
    # Separate alarms: one that has already gone off would hide the others. The audit mails an
    # overwritten backup too, but not at once if it was written in parts (S3 dates it from its
    # start), or if the audit of that hour is lost.
    yield _finding(
        stage,
        topic,
        metric="OverwrittenFindings",
        name="overwritten",
        summary="alarm on backups that were overwritten",
        why="Somebody got around the protection of the vault, and stored another version over a "
        "backup. The first version is still there. Read docs/break-in.md, and run backups audit: "
        "it says which backup.",
    )
    yield _finding(
        stage,
        topic,
        metric="SettingsFindings",
        name="settings",
        summary="alarm on changed settings of the vault",
        why="The vault's settings are not those that backups setup left. Run backups check: it "
        "says which ones changed. If none of you changed them, read docs/break-in.md.",
    )
    yield _finding(
        stage,
        topic,
        metric="UnlockedFindings",
        name="unlocked",
        summary="alarm on backups that are not locked as promised",
        why="A new backup is not locked for as long as promised. Run backups audit: it says which, "
        "and which command locks it. If none of you changed the lock, read docs/break-in.md.",
    )
    yield alarm(
        stage,
        topic,
        name="no-backup",
        summary=f"alarm on servers without any backup for {WITHOUT_BACKUP} hours",
        why=f"For {WITHOUT_BACKUP} hours, something that the policy names has had no backup at "
        "all. Run backups check: it says which server, and whether its uploads wait.",
        **own_metric(stage, "KeysWithoutBackup"),
        **_in_a_row(WITHOUT_BACKUP),
    )
    if stage.environment.get(HEARTBEAT_URL):
        yield alarm(
            stage,
            topic,
            name="heartbeat",
            summary=f"alarm on {HEARTBEAT_URL} not answering for {WITHOUT_HEARTBEAT} hours",
            why=f"Audits run, but for {WITHOUT_HEARTBEAT} hours none has reached {HEARTBEAT_URL}. "
            "Either the service there is down, or the URL is wrong.",
            **own_metric(stage, "FailedHeartbeats"),
            **_in_a_row(WITHOUT_HEARTBEAT),
        )
    else:
        why = f"There is no {HEARTBEAT_URL}: this alarm could never end."
        yield removed_alarm(stage, "heartbeat", why=why)


def _finding(
    stage: Stage, topic: str, *, metric: str, name: str, summary: str, why: str
) -> Requirement:
    """The alarm on a kind of finding whose beginning an audit cannot see, and so cannot mail."""
    return alarm(
        stage,
        topic,
        name=name,
        summary=summary,
        why=why,
        **own_metric(stage, metric),
        Statistic="Maximum",
        Period=AN_HOUR,
        Threshold=1.0,
        EvaluationPeriods=1,
        DatapointsToAlarm=1,
        TreatMissingData="ignore",
    )


def _no_audit(stage: Stage, topic: str) -> Requirement:
    """The alarm that goes off when no audit succeeds.

    With FILL it goes off after three hours, without it hours later (see the alarm `waiting`).
    """
    audits = {
        "Metric": own_metric(stage, "AuditSeconds"),
        "Period": AN_HOUR,
        "Stat": "SampleCount",
    }
    return alarm(
        stage,
        topic,
        name="no-audit",
        summary=f"alarm on no audit for {WITHOUT_AUDIT} hours",
        why=f"For {WITHOUT_AUDIT} hours, no audit has succeeded, so nobody would hear of a "
        "missing backup. The log of the function audit says why; without a log, it does not run. "
        "After the first deployment, the first audit at the next full hour ends this alarm.",
        needs_deployment=stage.function_name("audit"),
        Metrics=[
            {"Id": "audits", "MetricStat": audits, "ReturnData": False},
            {
                "Id": "or_none",
                "Expression": "FILL(audits, 0)",
                "Label": "Audits in an hour",
                "ReturnData": True,
            },
        ],
        ComparisonOperator="LessThanThreshold",
        Threshold=1.0,
        EvaluationPeriods=WITHOUT_AUDIT,
        DatapointsToAlarm=WITHOUT_AUDIT,
        TreatMissingData="breaching",
    )


def _in_a_row(hours: int) -> dict[str, Any]:
    """The alarm needs at least 1 in each of this many successive audits.

    Of two audits in one hour, the better counts.
    """
    return {
        "Statistic": "Minimum",
        "Period": AN_HOUR,
        "Threshold": 1.0,
        "EvaluationPeriods": hours,
        "DatapointsToAlarm": hours,
        "TreatMissingData": "ignore",
    }
