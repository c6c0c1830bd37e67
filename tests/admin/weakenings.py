"""More than sixty ways to weaken a deployed stage, by kind, and changes that weaken nothing."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from tests.support.deployed_stage import HARMLESS, DeployedStage
from tests.support.past_the_door import past_the_door
from tests.support.project import STAGE

ACCOUNT, STRANGER = DEFAULT_ACCOUNT_ID, "210987654321"
PROMOTE, SWEEP, AUDIT, SERVER = (
    STAGE.function_name("promote"),
    STAGE.function_name("sweep"),
    STAGE.function_name("audit"),
    STAGE.server_user(None),
)
SUBSCRIBER = "you@example.org"
TOPIC = STAGE.topic_arn(account=ACCOUNT, region="us-east-1")
ALARM = f"{STAGE.topic}-waiting"
CONTESTED = f"{STAGE.topic}-contested"
LOG = f"/aws/lambda/{PROMOTE}"
RULE, AUDITS = STAGE.schedule_of("sweep"), STAGE.schedule_of("audit")
SIRENS = STAGE.sirens_arn(account=ACCOUNT, region="us-east-1")
TRAIL = f"arn:aws:cloudtrail:us-east-1:{ACCOUNT}:trail/immutable-backups"
INCOMING, VAULT = "arn:aws:s3:::backups1", "arn:aws:s3:::backups2"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{PROMOTE}"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/{PROMOTE}"
KEY = f"arn:aws:kms:us-east-1:{STRANGER}:key/1234"

Change = Callable[[DeployedStage], object]


class Kind(StrEnum):
    """The consequence of a weakening."""

    DELETION = "delayed deletion"
    STOPPED = "uploads or promotions stop"
    SILENCE = "nobody would be notified"
    MORE_RIGHTS = "more than a server's rights"
    STORE = "the store does not do what it should"


@dataclass(frozen=True)
class Weakening:
    """A change that `check` must find. The message of the finding contains this sentence."""

    kind: Kind
    name: str
    change: Change
    sentence: str


WEAKENINGS: list[Weakening] = []
HARMLESS_CHANGES: dict[str, Change] = {}


def weakening(kind: Kind, sentence: str) -> Callable[[Change], Change]:
    def note(change: Change) -> Change:
        name = change.__name__.removeprefix("_").replace("_", " ")
        WEAKENINGS.append(Weakening(kind, name, change, sentence))
        return change

    return note


def harmless(change: Change) -> Change:
    HARMLESS_CHANGES[change.__name__.removeprefix("_").replace("_", " ")] = change
    return change


def add(kind: Kind, name: str, change: Change, sentence: str) -> None:
    WEAKENINGS.append(Weakening(kind, name, change, sentence))


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource, **more}
    return {"Version": "2012-10-17", "Statement": [statement]}


def trusting(principal: Any, **more: Any) -> str:
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def give(living: DeployedStage, user: str, *policies: dict[str, Any]) -> None:
    """Create a user with these policies."""
    iam = living.client("iam")
    iam.create_user(UserName=user)
    for number, policy in enumerate(policies):
        iam.put_user_policy(
            UserName=user, PolicyName=f"rights-{number}", PolicyDocument=json.dumps(policy)
        )


@contextmanager
def open_door(living: DeployedStage) -> Iterator[Any]:
    """An S3 client that can change the vault, like an intruder who removes its policy first."""
    s3 = living.client("s3")
    with past_the_door(s3):
        yield s3


def rules_of(s3: Any, bucket: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    return rules


def put_rules(s3: Any, bucket: str, rules: list[dict[str, Any]]) -> None:
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def replicate(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=f"{bucket}-copy")
    s3.put_bucket_versioning(Bucket=f"{bucket}-copy", VersioningConfiguration={"Status": "Enabled"})
    rule = {
        "ID": "copy",
        "Priority": 1,
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{bucket}-copy"},
    }
    s3.put_bucket_replication(
        Bucket=bucket,
        ReplicationConfiguration={"Role": f"arn:aws:iam::{ACCOUNT}:role/copy", "Rules": [rule]},
    )


def add_statement(living: DeployedStage, **statement: Any) -> None:
    """Add a statement to the bucket policy of incoming."""
    s3 = living.client("s3")
    policy = json.loads(s3.get_bucket_policy(Bucket="backups1")["Policy"])
    policy["Statement"].append({"Sid": "Other", **statement})
    s3.put_bucket_policy(Bucket="backups1", Policy=json.dumps(policy))


# Delayed deletion


@weakening(Kind.DELETION, "The lifecycle rule one day of backups2 moves or expires objects")
def _a_lifecycle_of_one_day(living: DeployedStage) -> None:
    with open_door(living) as s3:
        day = {"ID": "one day", "Status": "Enabled", "Filter": {"Prefix": ""}}
        put_rules(s3, "backups2", [*rules_of(s3, "backups2"), {**day, "Expiration": {"Days": 1}}])


@weakening(Kind.DELETION, "immutable-backups-drill is missing or different")
def _the_drill_s_expiry_for_all_backups(living: DeployedStage) -> None:
    with open_door(living) as s3:
        rules = [
            {**rule, "Filter": {"Prefix": ""}} if rule["ID"].endswith("drill") else rule
            for rule in rules_of(s3, "backups2")
        ]
        put_rules(s3, "backups2", rules)


@weakening(Kind.DELETION, "immutable-backups-expire is missing or different")
def _an_expiry_that_looks_like_ours(living: DeployedStage) -> None:
    with open_door(living) as s3:
        rule = {"ID": "immutable-backups-expire", "Status": "Enabled", "Filter": {"Prefix": ""}}
        put_rules(s3, "backups2", [*rules_of(s3, "backups2"), {**rule, "Expiration": {"Days": 2}}])


@weakening(Kind.DELETION, "locks them for 1 day")
def _a_lock_of_one_day(living: DeployedStage) -> None:
    with open_door(living) as s3:
        lock = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
        s3.put_object_lock_configuration(
            Bucket="backups2",
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": lock},
        )


@weakening(Kind.DELETION, "should lock stored objects for 30 days (governance), but does not")
def _no_lock(living: DeployedStage) -> None:
    with open_door(living) as s3:
        s3.put_object_lock_configuration(
            Bucket="backups2", ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
        )


@weakening(Kind.DELETION, "backups2 should encrypt with S3's own keys, but has aws:kms")
def _another_default_key(living: DeployedStage) -> None:
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    with open_door(living) as s3:
        s3.put_bucket_encryption(
            Bucket="backups2", ServerSideEncryptionConfiguration={"Rules": [default]}
        )


@weakening(
    Kind.DELETION,
    "backups2 is replicated to arn:aws:s3:::backups2-copy",
)
def _replication_of_the_vault(living: DeployedStage) -> None:
    with open_door(living) as s3:
        replicate(s3, "backups2")


def _role_of_a_program(living: DeployedStage, policy: dict[str, Any], name: str) -> None:
    iam = living.client("iam")
    iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=trusting({"Service": "ec2.amazonaws.com"})
    )
    iam.put_role_policy(RoleName=name, PolicyName="x", PolicyDocument=json.dumps(policy))


@weakening(Kind.DELETION, "Role opener is allowed s3:DeleteBucketPolicy on backups2")
def _a_role_that_can_open_the_vault(living: DeployedStage) -> None:
    _role_of_a_program(living, allow("s3:DeleteBucketPolicy", VAULT), "opener")


# What others are allowed


def somebody(kind: Kind, action: str, resource: str, on: str) -> None:
    user = action.partition(":")[2]
    add(
        kind,
        f"somebody is allowed {action}",
        lambda living: give(living, f"with-{user}", allow(action, resource)),
        f"User with-{user} is allowed {action} on {on}",
    )


for _kind, _action, _resource, _on in [
    (Kind.DELETION, "s3:PutBucketPolicy", "arn:aws:s3:::backups?", "backups2"),
    (Kind.STOPPED, "s3:AbortMultipartUpload", f"{VAULT}/*", "backups2"),
    (Kind.STOPPED, "s3:PutBucketNotification", "*", "backups1"),
    (Kind.STOPPED, "s3:PutBucketVersioning", INCOMING, "backups1"),
    (Kind.STOPPED, "lambda:PutFunctionConcurrency", f"{FUNCTION}*", PROMOTE),
    (Kind.STOPPED, "lambda:RemovePermission", "*", PROMOTE),
    (Kind.STOPPED, "events:DisableRule", "*", RULE),
    (Kind.STOPPED, "iam:PutRolePermissionsBoundary", ROLE, PROMOTE),
    (Kind.STOPPED, "iam:DeleteAccessKey", "arn:aws:iam::*:user/*", SERVER),
    (Kind.SILENCE, "events:RemoveTargets", f"arn:aws:events:*:*:rule/{AUDITS}", AUDITS),
    (Kind.SILENCE, "lambda:DeleteFunction", f"arn:aws:lambda:*:*:function:{AUDIT}", AUDIT),
    (Kind.SILENCE, "iam:DeleteRole", f"arn:aws:iam::*:role/{AUDIT}", AUDIT),
    (Kind.SILENCE, "cloudwatch:DisableAlarmActions", "*", "the alarms"),
    (Kind.SILENCE, "cloudwatch:PutAlarmMuteRule", "*", "the alarms"),
    (Kind.SILENCE, "sns:Unsubscribe", TOPIC, STAGE.topic),
    (Kind.SILENCE, "sns:SetTopicAttributes", SIRENS, STAGE.sirens),
    (Kind.SILENCE, "events:PutTargets", "arn:aws:events:*:*:rule/*-sirens", STAGE.sirens),
    (Kind.SILENCE, "cloudtrail:StopLogging", TRAIL, "the trail"),
    (Kind.SILENCE, "logs:DeleteLogGroup", f"arn:aws:logs:*:*:log-group:{LOG}:*", LOG),
    (Kind.SILENCE, "logs:DeleteLogStream", f"arn:aws:logs:*:*:log-group:{LOG}:log-stream:*", LOG),
    (Kind.MORE_RIGHTS, "s3:PutObject", f"{INCOMING}/*.gz.gpg", "backups1"),
    (Kind.MORE_RIGHTS, "s3:DeleteObjectVersion", f"{INCOMING}/*", "backups1"),
    (Kind.MORE_RIGHTS, "lambda:UpdateFunctionCode", FUNCTION, PROMOTE),
    (Kind.MORE_RIGHTS, "lambda:AddPermission", f"{FUNCTION}:*", PROMOTE),
    (Kind.MORE_RIGHTS, "lambda:InvokeFunction", FUNCTION, PROMOTE),
    (Kind.MORE_RIGHTS, "iam:PassRole", ROLE, PROMOTE),
]:
    somebody(_kind, _action, _resource, _on)


@weakening(Kind.MORE_RIGHTS, f"The function other has the role {PROMOTE}")
def _another_function_with_the_promoter_s_role(living: DeployedStage) -> None:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as bundle:
        bundle.writestr("other.py", "")
    living.client("lambda").create_function(
        FunctionName="other",
        Runtime="python3.13",
        Role=ROLE,
        Handler="other.handler",
        Code={"ZipFile": code.getvalue()},
    )


@weakening(
    Kind.MORE_RIGHTS,
    "User power is allowed s3:PutBucketPolicy on backups2, and ",
)
def _somebody_with_all_rights_but_those_to_give_more(living: DeployedStage) -> None:
    policy = {"Effect": "Allow", "NotAction": ["iam:*", "sts:*"], "Resource": "*"}
    give(living, "power", {"Version": "2012-10-17", "Statement": [policy]})


# Uploads or promotions stop

STOPS = "The bucket policy of backups1 has a statement that backups setup did not write: "


@weakening(Kind.STOPPED, STOPS)
def _a_deny_that_hits_a_real_key(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Principal": "*", "Action": "s3:Put*"}
    add_statement(living, **denied, Resource=f"{INCOMING}/sql*")


@weakening(Kind.STOPPED, STOPS)
def _a_deny_for_the_server_alone(living: DeployedStage) -> None:
    server = {"AWS": [f"arn:aws:iam::{ACCOUNT}:user/{SERVER}"]}
    denied = {"Effect": "Deny", "Principal": server, "Action": "s3:PutObject"}
    add_statement(living, **denied, Resource=f"{INCOMING}/*")


@weakening(Kind.STOPPED, STOPS)
def _a_deny_of_removing_what_was_promoted(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "s3:Delete*"}
    add_statement(living, **denied, Resource=f"{INCOMING}/*")


def boundary(living: DeployedStage, name: str) -> str:
    iam = living.client("iam")
    made = iam.create_policy(PolicyName=name, PolicyDocument=HARMLESS)["Policy"]["Arn"]
    return str(made)


@weakening(Kind.STOPPED, f"The role {PROMOTE} has a permissions boundary, arn:aws:iam::")
def _a_boundary_on_the_role(living: DeployedStage) -> None:
    living.client("iam").put_role_permissions_boundary(
        RoleName=PROMOTE, PermissionsBoundary=boundary(living, "roles")
    )


@weakening(Kind.STOPPED, f"The user {SERVER} has a permissions boundary, arn:aws:iam::")
def _a_boundary_on_a_server(living: DeployedStage) -> None:
    living.client("iam").put_user_permissions_boundary(
        UserName=SERVER, PermissionsBoundary=boundary(living, "users")
    )


@weakening(Kind.STOPPED, f"Lambda cannot always assume the role {PROMOTE}")
def _a_condition_on_who_lambda_runs_for(living: DeployedStage) -> None:
    condition = {"StringEquals": {"aws:SourceAccount": STRANGER}}
    living.client("iam").update_assume_role_policy(
        RoleName=PROMOTE,
        PolicyDocument=trusting({"Service": "lambda.amazonaws.com"}, Condition=condition),
    )


@weakening(
    Kind.STOPPED, f"S3 is allowed lambda:GetFunction on {PROMOTE} for backups1, but not to invoke"
)
def _a_permission_for_another_action(living: DeployedStage) -> None:
    client = living.client("lambda")
    [permission] = json.loads(client.get_policy(FunctionName=PROMOTE)["Policy"])["Statement"]
    client.remove_permission(FunctionName=PROMOTE, StatementId=permission["Sid"])
    client.add_permission(
        FunctionName=PROMOTE,
        StatementId=permission["Sid"],
        Action="lambda:GetFunction",
        Principal="s3.amazonaws.com",
        SourceArn=INCOMING,
        SourceAccount=ACCOUNT,
    )


@weakening(Kind.STOPPED, f"The EventBridge rule {RULE} is disabled")
def _a_schedule_that_is_off(living: DeployedStage) -> None:
    living.client("events").disable_rule(Name=RULE)


@weakening(Kind.STOPPED, "backups1 should expire unfinished uploads after 7 days")
def _uploads_that_expire_before_they_are_promoted(living: DeployedStage) -> None:
    s3 = living.client("s3")
    rules = [
        {**rule, "Expiration": {"Days": 1}} if rule["ID"].endswith("forgotten") else rule
        for rule in rules_of(s3, "backups1")
    ]
    put_rules(s3, "backups1", rules)


@weakening(Kind.STOPPED, "backups1 has Requester Pays enabled")
def _uploads_that_servers_would_have_to_pay(living: DeployedStage) -> None:
    living.client("s3").put_bucket_request_payment(
        Bucket="backups1", RequestPaymentConfiguration={"Payer": "Requester"}
    )


# Nobody would be notified


def alarm(name: str, sentence: str, alarm_name: str = CONTESTED, **changes: Any) -> None:
    def change(living: DeployedStage) -> None:
        cloudwatch = living.client("cloudwatch")
        [actual] = cloudwatch.describe_alarms(AlarmNames=[alarm_name])["MetricAlarms"]
        known = cloudwatch.meta.service_model.shape_for("PutMetricAlarmInput").members
        kept = {member: value for member, value in actual.items() if member in known and value}
        cloudwatch.put_metric_alarm(**{**kept, **changes})

    add(Kind.SILENCE, name, change, sentence)


OTHER_TOPIC = f"arn:aws:sns:us-east-1:{STRANGER}:elsewhere"
alarm("an alarm without actions", "ActionsEnabled is False", ActionsEnabled=False)
alarm("an alarm that notifies a stranger", "AlarmActions is ['arn", AlarmActions=[OTHER_TOPIC])
alarm(
    "an alarm that also notifies a stranger",
    "AlarmActions is ['arn:aws:sns:us-east-1:123456789012",
    AlarmActions=[TOPIC, OTHER_TOPIC],
)
alarm(
    "an alarm that notifies a stranger of missing data",
    "InsufficientDataActions is ['arn",
    InsufficientDataActions=[OTHER_TOPIC],
)
alarm("an alarm that needs six hours in a row", "DatapointsToAlarm is 6", DatapointsToAlarm=6)
alarm("an alarm with another threshold", "Threshold is 1000", Threshold=1000.0)
alarm("an alarm on another statistic", "Statistic is Minimum", Statistic="Minimum")
alarm(
    "an alarm on another stage",
    "Dimensions is [{'Name': 'service'",
    Dimensions=[{"Name": "service", "Value": "immutable-backups-other"}],
)
alarm("an alarm on a unit that no metric has", "Unit is Bits", Unit="Bits")
alarm(
    "sirens that need a hundred messages",
    "Threshold is 100.0",
    f"{STAGE.topic}-sirens",
    Threshold=100.0,
)
alarm(
    "a dead sweep that sets off no alarm",
    "TreatMissingData is notBreaching",
    ALARM,
    TreatMissingData="notBreaching",
)


@weakening(Kind.SILENCE, "no sweep for 40 minutes is not as it should be: Metrics is [")
def _a_dead_sweep_whose_gaps_are_filled_with_0(living: DeployedStage) -> None:
    cloudwatch = living.client("cloudwatch")
    [actual] = cloudwatch.describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    known = cloudwatch.meta.service_model.shape_for("PutMetricAlarmInput").members
    kept = {member: value for member, value in actual.items() if member in known and value}
    source, filled = kept["Metrics"]
    cloudwatch.put_metric_alarm(
        **{**kept, "Metrics": [source, {**filled, "Expression": "FILL(oldest, 0)"}]}
    )


@weakening(Kind.SILENCE, f"Former alarm {STAGE.topic}-sweep-errors is still there")
def _an_alarm_of_an_earlier_version(living: DeployedStage) -> None:
    cloudwatch = living.client("cloudwatch")
    [actual] = cloudwatch.describe_alarms(AlarmNames=[CONTESTED])["MetricAlarms"]
    known = cloudwatch.meta.service_model.shape_for("PutMetricAlarmInput").members
    kept = {member: value for member, value in actual.items() if member in known and value}
    cloudwatch.put_metric_alarm(**{**kept, "AlarmName": f"{STAGE.topic}-sweep-errors"})


def mute(living: DeployedStage, name: str, *alarms: str) -> None:
    living.client("cloudwatch").put_alarm_mute_rule(
        Name=name,
        Rule={"Schedule": {"Expression": "cron(0 0 * * *)", "Duration": "P1D"}},
        MuteTargets={"AlarmNames": [*alarms]},
    )


@weakening(Kind.SILENCE, f"The rule quiet mutes {CONTESTED}, {ALARM}")
def _alarms_that_are_muted(living: DeployedStage) -> None:
    mute(living, "quiet", ALARM, CONTESTED)


def set_topic(living: DeployedStage, name: str, value: str, topic: str = TOPIC) -> None:
    living.client("sns").set_topic_attributes(
        TopicArn=topic, AttributeName=name, AttributeValue=value
    )


@weakening(Kind.SILENCE, f"Topic {STAGE.topic} for alerts is not as it should be: policy is [")
def _a_topic_that_alarms_cannot_use(living: DeployedStage) -> None:
    own = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    set_topic(
        living,
        "Policy",
        json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": own,
                        "Action": "sns:Publish",
                        "Resource": TOPIC,
                    }
                ],
            }
        ),
    )


@weakening(Kind.SILENCE, f"is not as it should be: key is {KEY}")
def _a_topic_with_a_key_that_alarms_cannot_use(living: DeployedStage) -> None:
    set_topic(living, "KmsMasterKeyId", KEY)


def without_publisher(living: DeployedStage, sid: str) -> None:
    """Remove a statement from the policy of the sirens' topic."""
    attributes = living.client("sns").get_topic_attributes(TopicArn=SIRENS)["Attributes"]
    policy = json.loads(attributes["Policy"])
    policy["Statement"] = [each for each in policy["Statement"] if each["Sid"] != sid]
    set_topic(living, "Policy", json.dumps(policy), SIRENS)


SIRENS_TOPIC = f"Topic {STAGE.sirens}, which nobody subscribes to is not as it should be: "
SIREN_RULE = "functions, rules, alarms and topics is not as it should be: "


@weakening(Kind.SILENCE, f"{SIRENS_TOPIC}policy is [")
def _a_topic_that_rules_cannot_use(living: DeployedStage) -> None:
    without_publisher(living, "RulesPublish")


@weakening(Kind.SILENCE, f"{SIRENS_TOPIC}policy is [")
def _a_topic_that_the_vault_cannot_use(living: DeployedStage) -> None:
    without_publisher(living, "VaultPublishes")


@weakening(Kind.SILENCE, f"{SIRENS_TOPIC}key is {KEY}")
def _a_topic_with_a_key_that_the_vault_cannot_use(living: DeployedStage) -> None:
    set_topic(living, "KmsMasterKeyId", KEY, SIRENS)


@weakening(Kind.SILENCE, f"{SIREN_RULE}State is DISABLED")
def _sirens_that_are_off(living: DeployedStage) -> None:
    living.client("events").disable_rule(Name=STAGE.sirens)


@weakening(Kind.SILENCE, f"{SIREN_RULE}Targets is []")
def _sirens_without_a_target(living: DeployedStage) -> None:
    living.client("events").remove_targets(Rule=STAGE.sirens, Ids=["sirens"])


@weakening(Kind.SILENCE, f"{SIREN_RULE}Targets is [{{'Id': 'sirens', 'Arn': 'arn:aws:sns:")
def _sirens_whose_target_is_another_topic(living: DeployedStage) -> None:
    target = {"Id": "sirens", "Arn": f"{SIRENS}-not"}
    living.client("events").put_targets(Rule=STAGE.sirens, Targets=[target])


@weakening(Kind.SILENCE, f"{SIREN_RULE}EventPattern is {{'source': ['nobody']}}")
def _sirens_that_nothing_sets_off(living: DeployedStage) -> None:
    pattern = json.dumps({"source": ["nobody"]})
    living.client("events").put_rule(Name=STAGE.sirens, EventPattern=pattern)


@weakening(Kind.SILENCE, "on changes to the vault's policy, functions, rules, alarms and topics is")
def _sirens_that_are_removed(living: DeployedStage) -> None:
    events = living.client("events")
    events.remove_targets(Rule=STAGE.sirens, Ids=["sirens"])
    events.delete_rule(Name=STAGE.sirens)


@weakening(Kind.SILENCE, f"backups2 should notify {STAGE.sirens} of removed, hidden and tagged ")
def _a_vault_that_notifies_nobody(living: DeployedStage) -> None:
    with open_door(living) as s3:
        s3.put_bucket_notification_configuration(Bucket="backups2", NotificationConfiguration={})


@weakening(Kind.SILENCE, "backups, but immutable-backups-sirens is missing or different")
def _a_vault_that_does_not_tell_of_removed_versions(living: DeployedStage) -> None:
    some = {
        "Id": "immutable-backups-sirens",
        "TopicArn": SIRENS,
        "Events": ["s3:ObjectRemoved:DeleteMarkerCreated"],
    }
    with open_door(living) as s3:
        s3.put_bucket_notification_configuration(
            Bucket="backups2", NotificationConfiguration={"TopicConfigurations": [some]}
        )


@weakening(Kind.SILENCE, "which logs API calls that change something is not as it should be: IsLog")
def _a_trail_that_is_stopped(living: DeployedStage) -> None:
    living.client("cloudtrail").stop_logging(Name="immutable-backups")


@weakening(Kind.SILENCE, "which logs API calls that change something is not as it should be: Event")
def _a_trail_that_logs_nothing_that_changes_something(living: DeployedStage) -> None:
    living.client("cloudtrail").put_event_selectors(
        TrailName="immutable-backups",
        EventSelectors=[{"ReadWriteType": "ReadOnly", "IncludeManagementEvents": True}],
    )


@weakening(Kind.SILENCE, "which logs API calls that change something is missing")
def _a_trail_that_is_deleted(living: DeployedStage) -> None:
    living.client("cloudtrail").delete_trail(Name="immutable-backups")


def subscription(living: DeployedStage, endpoint: str = SUBSCRIBER) -> str:
    listed = living.client("sns").list_subscriptions_by_topic(TopicArn=TOPIC)["Subscriptions"]
    [arn] = (each["SubscriptionArn"] for each in listed if each["Endpoint"] == endpoint)
    return str(arn)


def set_subscription(living: DeployedStage, name: str, value: Any) -> None:
    living.client("sns").set_subscription_attributes(
        SubscriptionArn=subscription(living), AttributeName=name, AttributeValue=value
    )


@weakening(Kind.SILENCE, f"The subscription of {SUBSCRIBER} has a FilterPolicy")
def _a_subscription_that_is_filtered(living: DeployedStage) -> None:
    set_subscription(living, "FilterPolicy", json.dumps({"never": ["this"]}))


@weakening(Kind.SILENCE, f"The subscription of {SUBSCRIBER} has a RedrivePolicy")
def _undelivered_alerts_that_go_to_a_stranger(living: DeployedStage) -> None:
    queue = f"arn:aws:sqs:us-east-1:{STRANGER}:x"
    set_subscription(living, "RedrivePolicy", json.dumps({"deadLetterTargetArn": queue}))


@weakening(Kind.SILENCE, f"Subscription of {SUBSCRIBER} to the alerts is missing")
def _a_subscriber_that_is_gone(living: DeployedStage) -> None:
    living.client("sns").unsubscribe(SubscriptionArn=subscription(living))


@weakening(Kind.SILENCE, "intruder@example.net (email) also receives the alerts")
def _a_stranger_s_subscription(living: DeployedStage) -> None:
    living.client("sns").subscribe(
        TopicArn=TOPIC, Protocol="email", Endpoint="intruder@example.net"
    )


@weakening(Kind.SILENCE, f"The log group {LOG} is encrypted with the key {KEY}")
def _a_log_with_a_stranger_s_key(living: DeployedStage) -> None:
    living.client("logs").associate_kms_key(logGroupName=LOG, kmsKeyId=KEY)


@weakening(Kind.SILENCE, f"The log group {LOG} is of the class INFREQUENT_ACCESS")
def _a_log_that_makes_no_metrics(living: DeployedStage) -> None:
    logs = living.client("logs")
    logs.delete_log_group(logGroupName=LOG)
    logs.create_log_group(logGroupName=LOG, logGroupClass="INFREQUENT_ACCESS")


@weakening(Kind.SILENCE, f"The log group {LOG} also sends its records to {FUNCTION}")
def _a_log_that_is_sent_elsewhere(living: DeployedStage) -> None:
    logs = living.client("logs")
    if not logs.describe_log_groups(logGroupNamePrefix=LOG)["logGroups"]:
        logs.create_log_group(logGroupName=LOG)
    logs.put_subscription_filter(
        logGroupName=LOG, filterName="copy", filterPattern="", destinationArn=FUNCTION
    )


# More than a server's rights


@weakening(Kind.MORE_RIGHTS, f"The user {SERVER} has two active access keys, ")
def _a_second_key_of_a_server(living: DeployedStage) -> None:
    living.client("iam").create_access_key(UserName=SERVER)


@weakening(Kind.MORE_RIGHTS, f"The user {SERVER} has the path /team/")
def _a_server_s_user_under_the_path_of_a_team(living: DeployedStage) -> None:
    living.client("iam").update_user(UserName=SERVER, NewPath="/team/")


@weakening(Kind.MORE_RIGHTS, "User narrow is allowed s3:PutObject on backups1, and 1 more action")
def _somebody_who_is_denied_everything_but_uploads(living: DeployedStage) -> None:
    elsewhere = {"Effect": "Deny", "Action": "s3:*", "NotResource": f"{INCOMING}/s*"}
    own = {"Version": "2012-10-17", "Statement": [elsewhere]}
    give(living, "narrow", allow(["S3:putobject", "s3:DELETE*Version"], f"{INCOMING}/s*"), own)


@weakening(Kind.MORE_RIGHTS, f"The user {SERVER} has a password")
def _a_password_of_a_server(living: DeployedStage) -> None:
    living.client("iam").create_login_profile(UserName=SERVER, Password="correct horse")


def notify(living: DeployedStage, **more: Any) -> None:
    s3 = living.client("s3")
    before = s3.get_bucket_notification_configuration(Bucket="backups1")
    del before["ResponseMetadata"]
    s3.put_bucket_notification_configuration(
        Bucket="backups1", NotificationConfiguration={**before, **more}
    )


@weakening(Kind.MORE_RIGHTS, f"backups1 also notifies arn:aws:sqs:us-east-1:{ACCOUNT}:names")
def _a_queue_that_learns_of_uploads(living: DeployedStage) -> None:
    living.client("sqs").create_queue(QueueName="names")
    queue = f"arn:aws:sqs:us-east-1:{ACCOUNT}:names"
    removed = {"QueueArn": queue, "Events": ["s3:ObjectRemoved:*"]}
    notify(living, QueueConfigurations=[removed])


@weakening(Kind.MORE_RIGHTS, "backups1 also notifies EventBridge")
def _rules_that_learn_of_uploads(living: DeployedStage) -> None:
    notify(living, EventBridgeConfiguration={})


@weakening(Kind.MORE_RIGHTS, "backups1 is replicated to arn:aws:s3:::backups1-copy")
def _replication_of_uploads(living: DeployedStage) -> None:
    replicate(living.client("s3"), "backups1")


@weakening(Kind.MORE_RIGHTS, f"Principals other than Lambda can assume the role {SWEEP}")
def _a_role_that_another_service_can_assume(living: DeployedStage) -> None:
    services = {"Service": ["lambda.amazonaws.com", "ec2.amazonaws.com"]}
    living.client("iam").update_assume_role_policy(
        RoleName=SWEEP, PolicyDocument=trusting(services)
    )


@weakening(Kind.MORE_RIGHTS, f'"{STRANGER}" is allowed lambda:UpdateFunctionCode on {PROMOTE}')
def _a_stranger_who_can_change_the_code(living: DeployedStage) -> None:
    living.client("lambda").add_permission(
        FunctionName=PROMOTE,
        StatementId="code",
        Action="lambda:UpdateFunctionCode",
        Principal=STRANGER,
    )


# What weakens nothing


@harmless
def _a_service_linked_role_with_every_right(_: DeployedStage) -> None:
    # IAM creates such roles only for services.
    backend = iam_backends[ACCOUNT]["aws"]
    role = backend.create_role(
        role_name="AWSServiceRoleForBackup",
        assume_role_policy_document=trusting({"Service": "backup.amazonaws.com"}),
        path="/aws-service-role/backup.amazonaws.com/",
        permissions_boundary="",
        description="",
        tags=[],
        max_session_duration="3600",
    )
    role.put_policy("x", json.dumps(allow("s3:*")))


@harmless
def _a_reader_of_identity_center(living: DeployedStage) -> None:
    iam = living.client("iam")
    name = "AWSReservedSSO_ReadOnly_0123456789abcdef"
    iam.create_role(
        RoleName=name,
        Path="/aws-reserved/sso.amazonaws.com/eu-west-1/",
        AssumeRolePolicyDocument=trusting({"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/x"}),
    )
    iam.put_role_policy(
        RoleName=name,
        PolicyName="x",
        PolicyDocument=json.dumps(allow(["s3:Get*", "s3:List*", "iam:Get*", "logs:*Query"])),
    )


@harmless
def _an_unrelated_bucket_with_a_policy(living: DeployedStage) -> None:
    s3 = living.client("s3")
    s3.create_bucket(Bucket="website")
    policy = allow("s3:GetObject", "arn:aws:s3:::website/*", Principal="*")
    s3.put_bucket_policy(Bucket="website", Policy=json.dumps(policy))


@harmless
def _every_right_on_another_bucket(living: DeployedStage) -> None:
    give(living, "webmaster", allow("s3:*", ["arn:aws:s3:::website", "arn:aws:s3:::website/*"]))


@harmless
def _rights_on_a_bucket_with_a_longer_name(living: DeployedStage) -> None:
    give(living, "archivist", allow("s3:*", [f"{VAULT}-old", f"{VAULT}-old/*", f"{INCOMING}0/*"]))


@harmless
def _a_job_that_writes_names_of_its_own_to_any_bucket(living: DeployedStage) -> None:
    """As AWS's own policy AWSGlueServiceRole does."""
    names = ["arn:aws:s3:::aws-glue-*/*", "arn:aws:s3:::*/*aws-glue-*/*"]
    actions = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    _role_of_a_program(living, allow(actions, names), "AWSGlueServiceRole")


@harmless
def _a_program_that_fetches_from_buckets_of_other_accounts(living: DeployedStage) -> None:
    """As the CDK's deployment role does."""
    elsewhere = {"StringNotEquals": {"s3:ResourceAccount": ACCOUNT}}
    actions = ["s3:GetObject*", "s3:Abort*", "s3:DeleteObject*", "s3:PutObject*"]
    _role_of_a_program(living, allow(actions, Condition=elsewhere), "cdk-deploy")
    other = {"StringNotEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}
    _role_of_a_program(living, allow("s3:Put*", Condition=other), "exporter")


@harmless
def _deleting_what_the_bucket_policy_protects(living: DeployedStage) -> None:
    give(living, "deleter", allow(["s3:DeleteObject", "s3:PutObjectTagging"], f"{VAULT}/*"))


@harmless
def _writing_what_only_the_promoter_can(living: DeployedStage) -> None:
    give(living, "writer", allow("s3:PutObject", f"{VAULT}/*"))


@harmless
def _rights_that_are_denied_again(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Action": "*", "Resource": "arn:aws:s3:::backups*"}
    own = {"Version": "2012-10-17", "Statement": denied}
    give(living, "careful", allow("s3:*"), own)


@harmless
def _rights_beyond_a_boundary(living: DeployedStage) -> None:
    give(living, "bounded", allow("lambda:*"))
    living.client("iam").put_user_permissions_boundary(
        UserName="bounded", PermissionsBoundary=boundary(living, "little")
    )


@harmless
def _somebody_who_manages_their_own_keys(living: DeployedStage) -> None:
    own = "arn:aws:iam::*:user/${aws:username}"
    give(living, "anna", allow(["iam:CreateAccessKey", "iam:DeleteAccessKey"], own))


@harmless
def _an_agent_that_writes_metrics_and_logs(living: DeployedStage) -> None:
    give(living, "agent", allow(["cloudwatch:PutMetricData", "logs:PutLogEvents"]))


@harmless
def _a_program_that_publishes_to_every_topic(living: DeployedStage) -> None:
    _role_of_a_program(living, allow("sns:Publish"), "AutoScalingNotificationAccess")


@harmless
def _a_developer_of_other_functions(living: DeployedStage) -> None:
    others = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:shop-*"
    give(living, "developer", allow("lambda:*", others), allow("iam:PassRole", f"{ROLE}-of-shop"))


@harmless
def _the_role_of_another_stage(living: DeployedStage) -> None:
    function = f"arn:aws:lambda:*:*:function:{STAGE.service}-2-promote"
    _role_of_a_program(living, allow("lambda:InvokeFunction", function), f"{STAGE.service}-2-sweep")


@harmless
def _the_server_of_another_stage(living: DeployedStage) -> None:
    keys = "arn:aws:s3:::backups1-of-2/sql.gz.gpg"
    give(living, f"{STAGE.service}-2-server", allow("s3:PutObject", keys))


@harmless
def _a_key_of_a_server_that_is_switched_off(living: DeployedStage) -> None:
    iam = living.client("iam")
    key = iam.create_access_key(UserName=SERVER)["AccessKey"]["AccessKeyId"]
    iam.update_access_key(UserName=SERVER, AccessKeyId=key, Status="Inactive")


@harmless
def _an_ssh_key_of_a_server(living: DeployedStage) -> None:
    living.client("iam").upload_ssh_public_key(UserName=SERVER, SSHPublicKeyBody="ssh-rsa AAAA")


@harmless
def _tags(living: DeployedStage) -> None:
    tag = [{"Key": "team", "Value": "ops"}]
    living.client("lambda").tag_resource(Resource=FUNCTION, Tags={"team": "ops"})
    living.client("iam").tag_role(RoleName=PROMOTE, Tags=tag)
    living.client("iam").tag_user(UserName=SERVER, Tags=tag)
    living.client("sns").tag_resource(ResourceArn=TOPIC, Tags=tag)
    living.client("s3").put_bucket_tagging(Bucket="backups1", Tagging={"TagSet": tag})


@harmless
def _another_retention_of_the_log(living: DeployedStage) -> None:
    logs = living.client("logs")
    logs.put_retention_policy(logGroupName=f"/aws/lambda/{SWEEP}", retentionInDays=3653)


@harmless
def _descriptions(living: DeployedStage) -> None:
    living.client("lambda").update_function_configuration(FunctionName=PROMOTE, Description="ours")
    living.client("iam").update_role_description(RoleName=PROMOTE, Description="ours")
    set_topic(living, "DisplayName", "backups")


@harmless
def _an_alarm_of_somebody_else(living: DeployedStage) -> None:
    living.client("cloudwatch").put_metric_alarm(
        AlarmName="shop-is-slow",
        Namespace="Shop",
        MetricName="Seconds",
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=2.0,
        ComparisonOperator="GreaterThanThreshold",
        AlarmActions=[OTHER_TOPIC],
        ActionsEnabled=False,
    )
    mute(living, "shop-at-night", "shop-is-slow")


@harmless
def _a_topic_of_somebody_else(living: DeployedStage) -> None:
    sns = living.client("sns")
    topic = sns.create_topic(Name="shop")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="email", Endpoint="shop@example.org")


@harmless
def _a_rule_of_somebody_else(living: DeployedStage) -> None:
    living.client("events").put_rule(Name="shop", ScheduleExpression="rate(1 day)")


@harmless
def _a_trail(living: DeployedStage) -> None:
    s3 = living.client("s3")
    s3.create_bucket(Bucket="trails")
    cloudtrail_writes = {
        "Effect": "Allow",
        "Principal": {"Service": "cloudtrail.amazonaws.com"},
        "Action": ["s3:GetBucketAcl", "s3:PutObject"],
        "Resource": ["arn:aws:s3:::trails", "arn:aws:s3:::trails/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [cloudtrail_writes]}
    s3.put_bucket_policy(Bucket="trails", Policy=json.dumps(policy))
    trails = living.client("cloudtrail")
    trails.create_trail(Name="all", S3BucketName="trails")
    trails.start_logging(Name="all")


@harmless
def _a_company_s_deny_without_tls(living: DeployedStage) -> None:
    add_statement(
        living,
        Effect="Deny",
        Principal="*",
        Action="s3:*",
        Resource=[INCOMING, f"{INCOMING}/*"],
        Condition={"Bool": {"aws:SecureTransport": "false"}},
    )


@harmless
def _a_deny_for_a_stranger(living: DeployedStage) -> None:
    stranger = {"AWS": f"arn:aws:iam::{STRANGER}:root"}
    add_statement(
        living,
        Sid="Stranger",
        Effect="Deny",
        Principal=stranger,
        Action="s3:PutObject",
        Resource=f"{INCOMING}/*",
    )


@harmless
def _another_format_of_the_alerts(living: DeployedStage) -> None:
    set_subscription(living, "RawMessageDelivery", "true")


@harmless
def _a_lifecycle_rule_that_only_tidies_up(living: DeployedStage) -> None:
    s3 = living.client("s3")
    tidy = {
        "ID": "tidy",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 30},
    }
    put_rules(s3, "backups1", [*rules_of(s3, "backups1"), tidy])


@harmless
def _a_role_s_trust_written_as_a_list(living: DeployedStage) -> None:
    living.client("iam").update_assume_role_policy(
        RoleName=SWEEP, PolicyDocument=trusting({"Service": ["lambda.amazonaws.com"]})
    )
