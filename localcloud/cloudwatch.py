"""Operations of CloudWatch and of its logs that moto lacks."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from moto.cloudwatch.models import CloudWatchBackend
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult
from moto.logs.models import LogGroup
from moto.logs.responses import LogsResponse


@contextmanager
def serving_observation() -> Iterator[None]:
    """Add these operations to the APIs until the block ends.

    PutAlarmMuteRule, GetAlarmMuteRule, ListAlarmMuteRules and DeleteAlarmMuteRule (no rule ever
    expires, and no alarm is muted); AssociateKmsKey and DisassociateKmsKey. CreateLogGroup keeps
    the class of a log group, which DescribeLogGroups shows.
    """
    with (
        mock.patch.multiple(
            CloudWatchResponse,
            create=True,
            put_alarm_mute_rule=_put_mute_rule,
            get_alarm_mute_rule=_get_mute_rule,
            list_alarm_mute_rules=_list_mute_rules,
            delete_alarm_mute_rule=_delete_mute_rule,
        ),
        mock.patch.multiple(
            LogsResponse,
            create=True,
            create_log_group=_keeping_class(LogsResponse.create_log_group),
            associate_kms_key=_set_key,
            disassociate_kms_key=_set_key,
        ),
        mock.patch.object(LogGroup, "to_describe_dict", _with_class(LogGroup.to_describe_dict)),
    ):
        yield


def _mute_rules(request: CloudWatchResponse) -> dict[str, dict[str, Any]]:
    backend: CloudWatchBackend = request.cloudwatch_backend
    rules: dict[str, dict[str, Any]] = vars(backend).setdefault("mute_rules", {})
    return rules


def _put_mute_rule(request: CloudWatchResponse) -> EmptyResult:
    name = request._get_param("Name")
    arn = f"arn:aws:cloudwatch:{request.region}:{request.current_account}:alarm-mute-rule:{name}"
    _mute_rules(request)[name] = {
        "Name": name,
        "AlarmMuteRuleArn": arn,
        "Rule": request._get_param("Rule"),
        "MuteTargets": request._get_param("MuteTargets"),
        "Status": "ACTIVE",
    }
    return EmptyResult()


def _get_mute_rule(request: CloudWatchResponse) -> ActionResult:
    return ActionResult(_mute_rules(request)[request._get_param("AlarmMuteRuleName")])


def _list_mute_rules(request: CloudWatchResponse) -> ActionResult:
    return ActionResult({"AlarmMuteRuleSummaries": list(_mute_rules(request).values())})


def _delete_mute_rule(request: CloudWatchResponse) -> EmptyResult:
    _mute_rules(request).pop(request._get_param("AlarmMuteRuleName"), None)
    return EmptyResult()


def _set_key(request: LogsResponse) -> str:
    group: LogGroup = request.logs_backend.groups[request._get_param("logGroupName")]
    group.kms_key_id = request._get_param("kmsKeyId")
    return "{}"


def _keeping_class(original: Any) -> Any:
    def create_log_group(request: LogsResponse) -> str:
        answer: str = original(request)
        group = request.logs_backend.groups[request._get_param("logGroupName")]
        vars(group)["log_group_class"] = request._get_param("logGroupClass") or "STANDARD"
        return answer

    return create_log_group


def _with_class(original: Any) -> Any:
    def to_describe_dict(group: LogGroup) -> dict[str, Any]:
        shown = vars(group).get("log_group_class", "STANDARD")
        return {**original(group), "logGroupClass": shown}

    return to_describe_dict
