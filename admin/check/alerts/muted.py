"""Checks whether the alarms are muted."""

from collections.abc import Iterator

from admin.check.people.places import alarms_of
from admin.check.report import Finding
from admin.target import Target


def check_mute_rules(target: Target) -> Iterator[Finding]:
    """Find every rule that mutes alarms of the stage, now or later."""
    alarms = set(alarms_of(target))
    cloudwatch = target.account.client("cloudwatch")
    pages = cloudwatch.get_paginator("list_alarm_mute_rules")
    for page in pages.paginate(Statuses=["ACTIVE", "SCHEDULED"]):
        for summary in page["AlarmMuteRuleSummaries"]:
            # GetAlarmMuteRule needs the name, which is the part after the last colon.
            name = summary["AlarmMuteRuleArn"].rsplit(":", 1)[1]
            rule = cloudwatch.get_alarm_mute_rule(AlarmMuteRuleName=name)
            muted = set(rule.get("MuteTargets", {}).get("AlarmNames", ()))
            if ours := sorted(muted & alarms):
                yield Finding(
                    what=f"The rule {name} mutes {', '.join(ours)}",
                    why="Nobody is notified when a muted alarm goes off.",
                    remedy=target.fix_aws(
                        "cloudwatch", "delete-alarm-mute-rule", alarm_mute_rule_name=name
                    )
                    if muted <= alarms
                    else f"remove {', '.join(ours)} from the mute rule {name} (its other alarms "
                    "do not belong to this stage)",
                )
