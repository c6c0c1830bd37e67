"""The digests of the vault's settings: each weakening changes one, and no spelling of S3's does."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from admin.desired.bucket_policies import vault_policy
from admin.desired.buckets import vault_lifecycle
from admin.desired.door import EVERYONE, opened_to
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.vault_settings import SETTINGS, digest, read_setting
from localcloud.s3.backend import corrected
from tests.support.project import POLICY, STAGE
from tests.support.remembered import as_if_new

TOPIC = "arn:aws:sns:us-east-1:123456789012:sirens"
Answers = dict[str, Any]
Edit = Callable[[Answers], object]


class Answering:
    """An S3 client with these responses; None: S3 reports that the setting does not exist."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers

    def __getattr__(self, method: str) -> Callable[..., Any]:
        [name] = [name for name, setting in SETTINGS.items() if setting.method == method]

        def answer(**_: Any) -> Any:
            if self.answers[name] is None:
                raise ClientError({"Error": {"Code": str(SETTINGS[name].absent)}}, method)
            return self.answers[name]

        return answer


def digests(s3: Any) -> dict[str, str]:
    vault = Vault(s3=s3, name="backups2")
    return {name: digest(read_setting(vault, name)) for name in SETTINGS}


def changed(before: Answers, edit: Edit) -> list[str]:
    """The settings whose digests differ after the edit."""
    after = deepcopy(before)
    edit(after)
    assert str(after) != str(before)
    old, new = digests(Answering(before)), digests(Answering(after))
    return [name for name in SETTINGS if old[name] != new[name]]


@pytest.fixture(scope="module")
def described(only_client: Any) -> Answers:
    with mock_aws(), corrected(), as_if_new(only_client) as s3:
        return describe_vault(s3)


@pytest.fixture
def answers(described: Answers) -> Answers:
    """S3's responses about a vault that `setup` has set up."""
    return deepcopy(described)


def describe_vault(s3: Any) -> Answers:
    """Set up a vault, and read its settings. (Notification and replication: as documented.)"""
    bucket = {"Bucket": "backups2"}
    s3.create_bucket(**bucket, ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(
        **bucket,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 30}},
        },
    )
    s3.put_bucket_lifecycle_configuration(
        **bucket, LifecycleConfiguration={"Rules": vault_lifecycle(POLICY)}
    )
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(**bucket, ServerSideEncryptionConfiguration={"Rules": [default]})
    blocks = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(**bucket, PublicAccessBlockConfiguration=dict.fromkeys(blocks, True))
    s3.put_bucket_ownership_controls(
        **bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    )
    policy = vault_policy(STAGE, account="123456789012")
    s3.put_bucket_policy(**bucket, Policy=json.dumps(policy))
    answers: Answers = {"notification": {}, "replication": None}
    for name, setting in SETTINGS.items():
        if name not in answers:
            answers[name] = getattr(s3, setting.method)(**bucket)
    answers["notification"] = {
        "TopicConfigurations": [
            {
                "Id": "sirens",
                "TopicArn": TOPIC,
                "Events": ["s3:ObjectRemoved:*", "s3:ObjectTagging:*"],
                "Filter": {"Key": {"FilterRules": [{"Name": "Prefix", "Value": "a"}]}},
            }
        ]
    }
    answers["replication"] = {
        "ReplicationConfiguration": {
            "Role": "arn:aws:iam::123456789012:role/copy",
            "Rules": [
                {
                    "ID": "copy",
                    "Priority": 1,
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "DeleteMarkerReplication": {"Status": "Disabled"},
                    "Destination": {"Bucket": "arn:aws:s3:::accepted"},
                }
            ],
        }
    }
    return answers


def of_policy(edit: Callable[[Any], object]) -> Edit:
    """An edit of the bucket policy's document."""

    def edit_text(answers: Answers) -> None:
        policy = json.loads(answers["policy"]["Policy"])
        edit(policy)
        answers["policy"] = {**answers["policy"], "Policy": json.dumps(policy)}

    return edit_text


def statement_of(policy: Any, sid: str) -> Any:
    [statement] = [each for each in policy["Statement"] if each["Sid"] == sid]
    return statement


def open_the_door(policy: Any) -> None:
    policy["Statement"] = opened_to(EVERYONE, policy["Statement"])


def a_rule(answers: Answers, name: str) -> Any:
    rules = answers["lifecycle"]["Rules"]
    [rule] = [each for each in rules if each["ID"] == f"immutable-backups-{name}"]
    return rule


def add_rule(**rule: Any) -> Edit:
    added = {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": ""}, **rule}
    return lambda answers: answers["lifecycle"]["Rules"].append(added)


def default_lock(**changes: Any) -> Edit:
    def edit(answers: Answers) -> None:
        rule = answers["lock"]["ObjectLockConfiguration"]["Rule"]
        kept = {**rule["DefaultRetention"], **changes}
        rule["DefaultRetention"] = {name: value for name, value in kept.items() if value}

    return edit


def encryption(**default: Any) -> Edit:
    def edit(answers: Answers) -> None:
        [rule] = answers["encryption"]["ServerSideEncryptionConfiguration"]["Rules"]
        rule["ApplyServerSideEncryptionByDefault"] = default

    return edit


def topic(**changes: Any) -> Edit:
    def edit(answers: Answers) -> None:
        [notified] = answers["notification"]["TopicConfigurations"]
        notified |= changes

    return edit


def replica(**changes: Any) -> Edit:
    def edit(answers: Answers) -> None:
        [rule] = answers["replication"]["ReplicationConfiguration"]["Rules"]
        rule |= changes

    return edit


def gone(name: str) -> Edit:
    return lambda answers: answers.update({name: None})


EXTERNAL = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject"}
QUEUE = {"QueueArn": "arn:aws:sqs:us-east-1:210987654321:names", "Events": ["s3:ObjectCreated:*"]}
DATE = "2026-12-01T00:00:00+00:00"
WEAKENINGS: list[tuple[str, str, Edit]] = [
    ("policy", "removed", gone("policy")),
    ("policy", "its door is open", of_policy(open_the_door)),
    ("policy", "a statement less", of_policy(lambda policy: policy["Statement"].pop())),
    (
        "policy",
        "a statement of somebody else",
        of_policy(lambda policy: policy["Statement"].append(EXTERNAL)),
    ),
    (
        "policy",
        "a Deny that does not hit everybody",
        of_policy(
            lambda policy: statement_of(policy, "NothingStoredIsChanged").update(
                Principal={"AWS": "arn:aws:iam::123456789012:root"}
            )
        ),
    ),
    (
        "policy",
        "a Deny without one of its actions",
        of_policy(lambda policy: statement_of(policy, "NothingStoredIsChanged")["Action"].pop()),
    ),
    (
        "policy",
        "a Deny with another condition",
        of_policy(
            lambda policy: statement_of(policy, "OnlyWhatIsNew").update(
                Condition={"StringNotLike": {"s3:if-none-match": "*"}}
            )
        ),
    ),
    (
        "policy",
        "an Allow instead of a Deny",
        of_policy(lambda policy: statement_of(policy, "OnlyTls").update(Effect="Allow")),
    ),
    ("policy", "an older language", of_policy(lambda policy: policy.update(Version="2008-10-17"))),
    ("versioning", "suspended", lambda answers: answers["versioning"].update(Status="Suspended")),
    ("versioning", "never on", lambda answers: answers["versioning"].pop("Status")),
    ("lock", "shorter", default_lock(Days=1)),
    ("lock", "days instead of years", default_lock(Years=30, Days=None)),
    ("lock", "another mode", default_lock(Mode="COMPLIANCE")),
    ("lock", "until somebody releases it", default_lock(DefaultEventHold={"Days": 1})),
    (
        "lock",
        "no default lock",
        lambda answers: answers["lock"]["ObjectLockConfiguration"].pop("Rule"),
    ),
    ("lock", "no Object Lock", gone("lock")),
    ("lifecycle", "removed", gone("lifecycle")),
    ("lifecycle", "a rule less", lambda answers: answers["lifecycle"]["Rules"].pop()),
    ("lifecycle", "an expiry", add_rule(Expiration={"Days": 1})),
    ("lifecycle", "an expiry on a day", add_rule(Expiration={"Date": DATE})),
    (
        "lifecycle",
        "an expiry of older versions",
        add_rule(NoncurrentVersionExpiration={"NoncurrentDays": 1}),
    ),
    (
        "lifecycle",
        "a slow storage class",
        add_rule(Transitions=[{"Days": 0, "StorageClass": "DEEP_ARCHIVE"}]),
    ),
    (
        "lifecycle",
        "a slow storage class for older versions",
        add_rule(
            NoncurrentVersionTransitions=[{"NoncurrentDays": 1, "StorageClass": "DEEP_ARCHIVE"}]
        ),
    ),
    (
        "lifecycle",
        "the drill's expiry for all backups",
        lambda answers: a_rule(answers, "drill").update(Filter={"Prefix": ""}),
    ),
    (
        "lifecycle",
        "the drill's expiry for all backups, in the older format",
        lambda answers: [
            a_rule(answers, "drill").pop("Filter"),
            a_rule(answers, "drill").update(Prefix=""),
        ],
    ),
    (
        "lifecycle",
        "a rule that is off",
        lambda answers: a_rule(answers, "unfinished").update(Status="Disabled"),
    ),
    (
        "lifecycle",
        "a rule that acts sooner",
        lambda answers: a_rule(answers, "unfinished").update(
            AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}
        ),
    ),
    ("encryption", "a key that can be deleted", encryption(SSEAlgorithm="aws:kms")),
    (
        "encryption",
        "a stranger's key",
        encryption(SSEAlgorithm="AES256", KMSMasterKeyID="arn:aws:kms:us-east-1:2:key/1"),
    ),
    ("encryption", "removed", gone("encryption")),
    (
        "public-access",
        "a block less",
        lambda answers: answers["public-access"]["PublicAccessBlockConfiguration"].update(
            BlockPublicPolicy=False
        ),
    ),
    ("public-access", "removed", gone("public-access")),
    (
        "ownership",
        "access control lists",
        lambda answers: answers["ownership"]["OwnershipControls"].update(
            Rules=[{"ObjectOwnership": "ObjectWriter"}]
        ),
    ),
    ("ownership", "removed", gone("ownership")),
    ("notification", "removed", lambda answers: answers["notification"].clear()),
    ("notification", "to another topic", topic(TopicArn=f"{TOPIC}-of-others")),
    ("notification", "of fewer events", topic(Events=["s3:ObjectTagging:*"])),
    ("notification", "of fewer keys", topic(Filter={"Key": {"FilterRules": []}})),
    (
        "notification",
        "to a stranger's queue too",
        lambda answers: answers["notification"].update(QueueConfigurations=[QUEUE]),
    ),
    (
        "notification",
        "to EventBridge too",
        lambda answers: answers["notification"].update(EventBridgeConfiguration={}),
    ),
    (
        "replication",
        "to another bucket",
        replica(Destination={"Bucket": "arn:aws:s3:::of-a-stranger"}),
    ),
    (
        "replication",
        "to another account",
        replica(Destination={"Bucket": "arn:aws:s3:::accepted", "Account": "210987654321"}),
    ),
    ("replication", "of other backups", replica(Filter={"Prefix": "x"})),
    (
        "replication",
        "by another role",
        lambda answers: answers["replication"]["ReplicationConfiguration"].update(Role="x"),
    ),
    ("replication", "removed", gone("replication")),
]


@pytest.mark.parametrize(
    ("name", "edit"),
    [pytest.param(name, edit, id=f"{name}: {what}") for name, what, edit in WEAKENINGS],
)
def test_a_weakening_changes_the_digest_of_its_setting_alone(
    answers: Answers, name: str, edit: Edit
) -> None:
    assert changed(answers, edit) == [name]


def test_every_setting_is_among_the_weakenings() -> None:
    assert {name for name, _, _ in WEAKENINGS} == set(SETTINGS)


def everywhere(change: Callable[[Any], Any], value: Any) -> Any:
    """The value with each part of it changed in turn, innermost first."""
    if isinstance(value, dict):
        return change({name: everywhere(change, member) for name, member in value.items()})
    if isinstance(value, list):
        return change([everywhere(change, item) for item in value])
    return change(value)


def reversed_lists(value: Any) -> Any:
    return value[::-1] if isinstance(value, list) else value


def reversed_members(value: Any) -> Any:
    return dict(reversed(value.items())) if isinstance(value, dict) else value


def text_as_a_list(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: [v] if isinstance(v, str) and k != "Version" else v for k, v in value.items()}
    return value


def whole(change: Callable[[Any], Any]) -> Edit:
    """An edit of every response."""
    return lambda answers: answers.update(everywhere(change, answers))


def of_document(change: Callable[[Any], Any]) -> Edit:
    return of_policy(lambda policy: policy.update(everywhere(change, policy)))


def add_what_aws_adds(answers: Answers) -> None:
    """As S3 did with SSE-C in 2026, and with bucket keys before."""
    for answer in answers.values():
        answer["AddedIn"] = 2027
    [rule] = answers["encryption"]["ServerSideEncryptionConfiguration"]["Rules"]
    rule |= {"BucketKeyEnabled": False, "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]}}
    answers["lifecycle"]["TransitionDefaultMinimumObjectSize"] = "all_storage_classes_128K"
    for rule in answers["lifecycle"]["Rules"]:
        rule["AddedIn"] = 2027
    answers["public-access"]["PublicAccessBlockConfiguration"]["AddedIn"] = 2027
    answers["lock"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]["AddedIn"] = 2027
    answers["ownership"]["OwnershipControls"]["AddedIn"] = 2027
    answers["replication"]["ReplicationConfiguration"]["Rules"][0]["AddedIn"] = 2027
    answers["notification"]["TopicConfigurations"][0]["Id"] = "of S3's choice"
    answers["versioning"]["MFADelete"] = "Disabled"


def rewritten(answers: Answers) -> None:
    policy = json.loads(answers["policy"]["Policy"])
    answers["policy"]["Policy"] = json.dumps({"Id": "S3's", **policy}, indent=4)


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(whole(reversed_lists), id="lists in another order"),
        pytest.param(whole(reversed_members), id="fields in another order"),
        pytest.param(of_document(reversed_lists), id="the policy's lists in another order"),
        pytest.param(of_document(reversed_members), id="the policy's members in another order"),
        pytest.param(of_document(text_as_a_list), id="one item in a list"),
        pytest.param(rewritten, id="the policy in another spelling"),
        pytest.param(add_what_aws_adds, id="fields that AWS has added"),
    ],
)
def test_what_s3_changes_by_itself_changes_no_digest(answers: Answers, edit: Edit) -> None:
    assert changed(answers, edit) == []


def test_a_single_statement_can_be_without_its_list(answers: Answers) -> None:
    of_policy(lambda policy: policy.update(Statement=policy["Statement"][:1]))(answers)
    alone = of_policy(lambda policy: policy.update(Statement=policy["Statement"][0]))
    assert changed(answers, alone) == []


def test_true_in_a_policy_is_the_same_as_a_string(answers: Answers) -> None:
    def condition(*, value: Any) -> Edit:
        return of_policy(
            lambda policy: statement_of(policy, "OnlyTls").update(Condition={"Bool": {"x": value}})
        )

    condition(value=True)(answers)
    assert changed(answers, condition(value="true")) == []
    assert changed(answers, condition(value="false")) == ["policy"]


def test_digests_are_the_same_from_every_client(s3: Any) -> None:
    """botocore's responses are unchanged by JSON, except for dates."""
    answers = describe_vault(s3)
    kept = json.loads(json.dumps(answers, default=str))
    assert digests(Answering(kept)) == digests(Answering(answers))
    assert digests(s3) == digests(Answering(answers | {"notification": {}, "replication": None}))


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchBucket", "MethodNotAllowed", ""])
def test_no_other_error_says_that_a_setting_is_absent(
    answers: Answers, name: str, code: str
) -> None:
    s3 = Answering(answers)

    def fail(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code}} if code else {}, "Get")

    setattr(s3, SETTINGS[name].method, fail)
    with pytest.raises(ClientError):
        read_setting(Vault(s3=s3, name="backups2"), name)  # type: ignore[arg-type]


def test_all_digests_fit_into_the_environment_of_a_function(answers: Answers) -> None:
    """Lambda allows 4 KB for all variables together."""
    text = ",".join("=".join(item) for item in digests(Answering(answers)).items())
    assert len(text) < 400
