"""What each principal can do, evaluated from the generated IAM policies; the files match them."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from admin.config.reading import FUNCTIONS
from admin.desired.bucket_policies import vault_policy
from admin.desired.buckets import vault_lifecycle
from admin.desired.permissions import (
    DENY_EVERYTHING,
    Document,
    auditor_policy,
    function_policies,
    promoter_policy,
    server_policy,
    sweeper_policy,
)
from admin.setup.files import stage_files
from admin.stage import PROJECT, Stage, StageError, read_stage
from chalicelib.policy.file import parse_policy, read_policy
from chalicelib.policy.policy import Policy
from localcloud.iam.evaluation import Effect, Request, evaluate
from tests.support.project import POLICY, STAGE

PROMOTER, SWEEPER = promoter_policy(POLICY, STAGE), sweeper_policy(POLICY, STAGE)
AUDITOR = auditor_policy(STAGE)
FLEET = replace(POLICY, servers=("web1", "db1"))
INCOMING, VAULT = "arn:aws:s3:::backups1", "arn:aws:s3:::backups2"
UPLOAD, SLOT = f"{INCOMING}/backup.tar.gz.gpg", f"{VAULT}/2026-11-23.tar.gz.gpg"
LOGS = "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/immutable-backups-"

FUNCTION = "arn:aws:lambda:eu-west-1:123456789012:function:immutable-backups-dev-"
TOPIC = "arn:aws:sns:us-east-1:123456789012:immutable-backups-dev-alerts"

CREATES = {"s3:ObjectCreationOperation": "true"}
ONLY_IF_FREE = CREATES | {"s3:if-none-match": "*"}
EMPTY = CREATES | {"s3:if-none-match": ""}
STEP = {"s3:ObjectCreationOperation": "false"}
# A request that meets every condition of the promoter's policy.
IN_ANY_WAY = STEP | {"s3:if-none-match": "*"}

NOBODY_ELSE_MAY = [
    "s3:BypassGovernanceRetention",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:DeleteObjectVersionTagging",
    "s3:GetObjectVersion",
    "s3:PutBucketAcl",
    "s3:PutBucketNotification",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketPolicy",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
    "s3:PutObjectAcl",
    "s3:PutObjectAnnotation",
    "s3:PutObjectLegalHold",
    "s3:PutObjectRetention",
    "s3:PutObjectTagging",
    "s3:PutObjectVersionAcl",
    "s3:PutObjectVersionTagging",
    "s3:PutReplicationConfiguration",
    "s3:ReplicateDelete",
    "s3:ReplicateObject",
    "s3:ReplicateTags",
    "s3:RestoreObject",
    "s3:UpdateObjectEncryption",
]


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        pytest.param("s3:GetObject", UPLOAD, {}, id="look at an upload"),
        pytest.param("s3:GetObjectVersion", UPLOAD, {}, id="look at a version of it"),
        pytest.param("s3:DeleteObject", UPLOAD, {}, id="remove an upload"),
        pytest.param("s3:DeleteObjectVersion", UPLOAD, {}, id="remove a version of it"),
        pytest.param("s3:ListBucket", INCOMING, {}, id="tell a missing upload"),
        pytest.param("s3:ListBucketVersions", INCOMING, {}, id="find older uploads"),
        pytest.param("s3:ListBucket", VAULT, {}, id="tell a free slot"),
        pytest.param("s3:GetObject", SLOT, {}, id="look at a slot"),
        pytest.param("s3:PutObject", SLOT, ONLY_IF_FREE, id="fill a free slot"),
        pytest.param("s3:PutObject", SLOT, STEP, id="copy a part"),
        pytest.param("s3:AbortMultipartUpload", SLOT, {}, id="abort a copy"),
        pytest.param("s3:ListBucketMultipartUploads", VAULT, {}, id="find unfinished copies"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-promote:log-stream:x", {}, id="log"),
    ],
)
def test_the_promoter_can(action: str, resource: str, context: dict[str, str]) -> None:
    assert judge(PROMOTER, action, resource, context) is Effect.ALLOW


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        pytest.param("s3:PutObject", SLOT, CREATES, id="write a slot unconditionally"),
        pytest.param("s3:PutObject", SLOT, EMPTY, id="write a slot with an empty condition"),
        pytest.param("s3:PutObject", SLOT, CREATES | {"s3:if-match": "x"}, id="replace a slot"),
        pytest.param("s3:PutObject", SLOT, {}, id="write in an unknown way"),
        pytest.param("s3:PutObject", UPLOAD, ONLY_IF_FREE, id="upload"),
        pytest.param("s3:GetObject", f"{INCOMING}/holiday.jpg", {}, id="read other uploads"),
        pytest.param("s3:DeleteObject", f"{INCOMING}/holiday.jpg", {}, id="remove other uploads"),
        pytest.param("s3:DeleteObject", f"{UPLOAD}.old", {}, id="remove what begins alike"),
        pytest.param("s3:ListBucketVersions", VAULT, {}, id="list versions"),
        pytest.param("s3:ListAllMyBuckets", "*", {}, id="list buckets"),
        pytest.param("s3:GetObject", "arn:aws:s3:::other/x", {}, id="read another bucket"),
        pytest.param("s3:PutObject", "arn:aws:s3:::other/x", ONLY_IF_FREE, id="write elsewhere"),
        pytest.param("s3:PutObject", f"{VAULT}x/y", ONLY_IF_FREE, id="a bucket that begins alike"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-audit:x", {}, id="write another's log"),
        pytest.param("logs:PutLogEvents", f"{LOGS}prod-promote:x", {}, id="another stage's log"),
        pytest.param("logs:DeleteLogGroup", f"{LOGS}dev-promote", {}, id="remove its log"),
        pytest.param("sns:Publish", TOPIC, {}, id="send alerts"),
        pytest.param("s3:ListMultipartUploadParts", UPLOAD, {}, id="see what is uploaded"),
        pytest.param("s3:ListMultipartUploadParts", SLOT, {}, id="see what is copied"),
        pytest.param("lambda:InvokeFunction", f"{FUNCTION}promote", {}, id="invoke itself"),
        pytest.param("lambda:InvokeFunction", f"{FUNCTION}sweep", {}, id="invoke the sweep"),
        pytest.param("lambda:UpdateFunctionCode", f"{FUNCTION}promote", {}, id="change itself"),
        pytest.param("iam:PassRole", "arn:aws:iam::123456789012:role/x", {}, id="pass a role"),
        pytest.param("kms:Decrypt", "*", {}, id="decrypt"),
        *(
            pytest.param(action, resource, ONLY_IF_FREE, id=f"{action} on the vault's {what}")
            for action in NOBODY_ELSE_MAY
            for what, resource in (("objects", SLOT), ("bucket", VAULT))
        ),
    ],
)
def test_the_promoter_cannot(action: str, resource: str, context: dict[str, str]) -> None:
    assert judge(PROMOTER, action, resource, context) is Effect.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        pytest.param("s3:ListBucket", INCOMING, id="tell a missing upload"),
        pytest.param("s3:ListBucketVersions", INCOMING, id="list what waits"),
        pytest.param("s3:GetObject", UPLOAD, id="look at an upload"),
        pytest.param("s3:GetObjectVersion", UPLOAD, id="look at a version of it"),
        pytest.param("s3:ListBucket", VAULT, id="tell a free slot"),
        pytest.param("s3:GetObject", SLOT, id="look at a slot"),
        pytest.param("s3:ListBucketMultipartUploads", VAULT, id="find running copies"),
        pytest.param("lambda:InvokeFunction", f"{FUNCTION}promote", id="invoke promote"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-sweep:log-stream:x", id="log"),
    ],
)
def test_the_sweep_can(action: str, resource: str) -> None:
    assert judge(SWEEPER, action, resource, by="sweep") is Effect.ALLOW


OTHER_FUNCTIONS = {
    "itself": f"{FUNCTION}sweep",
    "the audit": f"{FUNCTION}audit",
    "one that begins alike": f"{FUNCTION}promote2",
    "an old version of promote": f"{FUNCTION}promote:1",
    "another stage's": f"{FUNCTION.replace('-dev-', '-prod-')}promote",
}


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        *(
            pytest.param(action, resource, IN_ANY_WAY, id=f"{action} {what}")
            for action in ("s3:PutObject", *NOBODY_ELSE_MAY, "s3:AbortMultipartUpload")
            for what, resource in (
                ("on a slot", SLOT),
                ("on the vault", VAULT),
                ("on incoming", INCOMING),
            )
        ),
        *(
            pytest.param(action, UPLOAD, IN_ANY_WAY, id=f"{action} on an upload")
            for action in ("s3:PutObject", "s3:AbortMultipartUpload", *NOBODY_ELSE_MAY)
            if action != "s3:GetObjectVersion"
        ),
        *(
            pytest.param("lambda:InvokeFunction", arn, {}, id=f"invoke {which}")
            for which, arn in OTHER_FUNCTIONS.items()
        ),
        pytest.param("lambda:UpdateFunctionCode", f"{FUNCTION}promote", {}, id="change promote"),
        pytest.param("s3:GetObject", f"{INCOMING}/holiday.jpg", {}, id="read other uploads"),
        pytest.param("s3:ListBucketVersions", VAULT, {}, id="list the vault's versions"),
        pytest.param("s3:ListMultipartUploadParts", SLOT, {}, id="see what is copied"),
        pytest.param("sns:Publish", TOPIC, {}, id="send alerts"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-promote:x", {}, id="write another's log"),
    ],
)
def test_the_sweep_cannot(action: str, resource: str, context: dict[str, str]) -> None:
    assert judge(SWEEPER, action, resource, context, by="sweep") is Effect.IMPLICIT_DENY


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        pytest.param("s3:ListBucketVersions", INCOMING, id="list uploads"),
        pytest.param("s3:ListBucketVersions", VAULT, id="list backups with their versions"),
        pytest.param("s3:ListBucket", VAULT, id="tell a free slot"),
        pytest.param("s3:GetObject", SLOT, id="look at a slot"),
        pytest.param("s3:GetObjectRetention", SLOT, id="see its lock"),
        pytest.param("s3:ListBucketMultipartUploads", VAULT, id="find unfinished copies"),
        *(
            pytest.param(f"s3:Get{setting}", VAULT, id=f"read the vault's {what}")
            for setting, what in {
                "BucketPolicy": "bucket policy",
                "BucketVersioning": "versioning",
                "BucketObjectLockConfiguration": "default lock",
                "LifecycleConfiguration": "lifecycle",
                "EncryptionConfiguration": "encryption",
                "BucketPublicAccessBlock": "public access block",
                "BucketOwnershipControls": "ownership",
                "BucketNotification": "notifications",
                "ReplicationConfiguration": "replication",
            }.items()
        ),
        pytest.param("sns:Publish", TOPIC, id="send alerts"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-audit:log-stream:x", id="log"),
    ],
)
def test_the_audit_can(action: str, resource: str) -> None:
    assert judge(AUDITOR, action, resource, by="audit") is Effect.ALLOW


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        *(
            pytest.param(action, resource, IN_ANY_WAY, id=f"{action} {what}")
            for action in ("s3:PutObject", *NOBODY_ELSE_MAY, "s3:AbortMultipartUpload")
            for what, resource in (
                ("on a slot", SLOT),
                ("on the vault", VAULT),
                ("on an upload", UPLOAD),
                ("on incoming", INCOMING),
            )
        ),
        *(
            pytest.param("lambda:InvokeFunction", f"{FUNCTION}{name}", {}, id=f"invoke {name}")
            for name in FUNCTIONS
        ),
        pytest.param("s3:GetObject", UPLOAD, {}, id="read an upload"),
        pytest.param("s3:GetBucketPolicy", INCOMING, {}, id="read the settings of incoming"),
        pytest.param("s3:GetBucketAcl", VAULT, {}, id="read another setting of the vault"),
        pytest.param("s3:ListAllMyBuckets", "*", {}, id="list buckets"),
        pytest.param("sns:Publish", f"{TOPIC}-2", {}, id="publish to another topic"),
        pytest.param(
            "sns:Publish", TOPIC.replace("-dev-", "-prod-"), {}, id="alert in another stage's name"
        ),
        pytest.param("sns:Publish", "*", {}, id="publish anywhere"),
        *(
            pytest.param(f"sns:{action}", TOPIC, {}, id=f"{action} of the alerts")
            for action in ("Subscribe", "Unsubscribe", "SetTopicAttributes", "DeleteTopic")
        ),
        pytest.param("cloudwatch:DisableAlarmActions", "*", {}, id="silence the alarms"),
        pytest.param("logs:PutLogEvents", f"{LOGS}dev-promote:x", {}, id="write another's log"),
        pytest.param("logs:DeleteLogGroup", f"{LOGS}dev-audit", {}, id="remove its log"),
    ],
)
def test_the_audit_cannot(action: str, resource: str, context: dict[str, str]) -> None:
    assert judge(AUDITOR, action, resource, context, by="audit") is Effect.IMPLICIT_DENY


# The vault's policy alone: the promoter's role would allow everything.
AES256 = {"s3:x-amz-server-side-encryption": "AES256"}
KMS = {"s3:x-amz-server-side-encryption": "aws:kms"}
OWN_KEY = {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}


@pytest.mark.parametrize(
    ("context", "effect"),
    [
        pytest.param(ONLY_IF_FREE, Effect.ALLOW, id="if it is free"),
        pytest.param(ONLY_IF_FREE | AES256, Effect.ALLOW, id="if it is free, under AES256"),
        pytest.param(STEP, Effect.ALLOW, id="a part"),
        pytest.param(STEP | AES256, Effect.ALLOW, id="the begin of a copy, under AES256"),
        pytest.param(CREATES, Effect.EXPLICIT_DENY, id="unconditionally"),
        pytest.param(EMPTY, Effect.EXPLICIT_DENY, id="with an empty condition"),
        pytest.param(EMPTY | AES256, Effect.EXPLICIT_DENY, id="with an empty one, under AES256"),
        pytest.param({}, Effect.EXPLICIT_DENY, id="in a way that S3 does not name"),
        pytest.param(
            {"s3:if-none-match": ""}, Effect.EXPLICIT_DENY, id="in such a way, with an empty one"
        ),
        pytest.param(ONLY_IF_FREE | KMS, Effect.EXPLICIT_DENY, id="under a KMS key"),
        pytest.param(STEP | KMS, Effect.EXPLICIT_DENY, id="the begin of a copy, under a KMS key"),
        pytest.param(ONLY_IF_FREE | OWN_KEY, Effect.EXPLICIT_DENY, id="under the writer's key"),
        pytest.param(STEP | OWN_KEY, Effect.EXPLICIT_DENY, id="a part under the writer's key"),
    ],
)
def test_the_vault_lets_the_promoter_write(context: dict[str, str], effect: Effect) -> None:
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    request = Request(
        principal=ROLE.format("promote"),
        action="s3:PutObject",
        resource=SLOT,
        context={**context, "aws:PrincipalArn": ROLE.format("promote")},
    )
    assert effect is evaluate(
        request,
        identity=[{"Version": "2012-10-17", "Statement": [everything]}],
        resource=vault_policy(STAGE, account="123456789012"),
    )


SERVER = server_policy(POLICY, incoming="backups1")
WEB1 = server_policy(FLEET, incoming="backups1", server="web1")


@pytest.mark.parametrize(
    ("policy", "action", "resource"),
    [
        pytest.param(SERVER, "s3:PutObject", UPLOAD, id="upload its backup"),
        pytest.param(SERVER, "s3:PutObject", f"{INCOMING}/sql.gz.gpg", id="upload its dump"),
        pytest.param(SERVER, "s3:AbortMultipartUpload", UPLOAD, id="abort its upload"),
        pytest.param(SERVER, "s3:ListMultipartUploadParts", UPLOAD, id="list its parts"),
        pytest.param(WEB1, "s3:PutObject", f"{INCOMING}/web1/sql.gz.gpg", id="upload as web1"),
    ],
)
def test_a_server_can(policy: dict[str, object], action: str, resource: str) -> None:
    assert judge(policy, action, resource, CREATES) is Effect.ALLOW


@pytest.mark.parametrize(
    ("policy", "action", "resource"),
    [
        pytest.param(SERVER, "s3:GetObject", UPLOAD, id="read its upload"),
        pytest.param(SERVER, "s3:DeleteObject", UPLOAD, id="remove its upload"),
        pytest.param(SERVER, "s3:PutObjectTagging", UPLOAD, id="tag its upload"),
        pytest.param(SERVER, "s3:PutObject", f"{INCOMING}/x", id="upload something else"),
        pytest.param(SERVER, "s3:PutObject", f"{UPLOAD}.2", id="upload more of it"),
        pytest.param(SERVER, "s3:ListBucket", INCOMING, id="list incoming"),
        pytest.param(SERVER, "s3:PutObject", SLOT, id="write the vault"),
        pytest.param(SERVER, "s3:GetObject", SLOT, id="read the vault"),
        pytest.param(SERVER, "s3:DeleteObject", SLOT, id="delete in the vault"),
        pytest.param(SERVER, "s3:ListBucket", VAULT, id="list the vault"),
        pytest.param(WEB1, "s3:PutObject", f"{INCOMING}/db1/sql.gz.gpg", id="upload as db1"),
        pytest.param(WEB1, "s3:PutObject", f"{INCOMING}/sql.gz.gpg", id="upload bare names"),
        pytest.param(
            WEB1, "s3:AbortMultipartUpload", f"{INCOMING}/db1/sql.gz.gpg", id="abort another's"
        ),
    ],
)
def test_a_server_cannot(policy: dict[str, object], action: str, resource: str) -> None:
    assert judge(policy, action, resource, ONLY_IF_FREE) is Effect.IMPLICIT_DENY


def test_no_policy_has_a_wildcard_for_an_action_or_for_everything() -> None:
    for policy in (PROMOTER, SWEEPER, AUDITOR, SERVER, WEB1):
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            assert all("*" not in action for action in statement["Action"])
            for resource in statement["Resource"]:
                assert resource.startswith(f"{VAULT}/") or "*" not in resource.split(":", 5)[5][:-1]
                assert resource != "*"


@pytest.mark.parametrize("stage", ["dev", "prod"])
def test_the_policy_files_are_up_to_date(stage: str) -> None:
    """If this fails: make policies STAGE=..."""
    for path, text in stage_files(read_policy(), read_stage(stage)).items():
        assert path.read_text() == text, f"{path.name} is stale: make policies STAGE={stage}"


def test_the_local_cloud_s_settings_are_recorded_as_they_are() -> None:
    """If this fails: `make local`, and in another terminal `.venv/bin/backups setup --apply`.

    Only your choices for the vault change them: keep_days, archive, accept_within_hours, the lock
    and the names. The digests for your own choices are recorded in what `make local` deploys.
    """
    stage, recorded = read_stage("dev"), STAGE.settings.vault_settings
    ours = replace(stage.settings, vault_settings=recorded), stage.lock
    if (*ours, vault_lifecycle(read_policy())) != (
        STAGE.settings,
        STAGE.lock,
        vault_lifecycle(POLICY),
    ):
        pytest.skip("this project has a vault of your own choice")
    assert stage.settings.vault_settings == recorded


def test_chalice_deploys_these_files_and_generates_none() -> None:
    config = json.loads((PROJECT / ".chalice" / "config.json").read_text())
    assert config["autogen_policy"] is False
    for stage, settings in config["stages"].items():
        files = {path.name for path in stage_files(read_policy(), read_stage(stage))}
        functions = settings["lambda_functions"].values()
        assert {function["iam_policy_file"] for function in functions} == files


def test_every_function_has_a_policy() -> None:
    assert tuple(function_policies(POLICY, STAGE)) == FUNCTIONS


@pytest.mark.parametrize("made", [promoter_policy, sweeper_policy])
def test_the_uploads_of_a_function_are_those_of_the_policy(
    made: Callable[[Policy, Stage], Document],
) -> None:
    policy = made(FLEET, STAGE)
    assert judge(policy, "s3:GetObject", f"{INCOMING}/web1/sql.gz.gpg") is Effect.ALLOW
    assert judge(policy, "s3:GetObject", f"{INCOMING}/drill/rehearsal") is Effect.ALLOW
    for other in ("sql.gz.gpg", "web1/other.gpg", "web1/sql.gz.gpg.old", "drill/other"):
        assert judge(policy, "s3:GetObject", f"{INCOMING}/{other}") is Effect.IMPLICIT_DENY


ROLE = "arn:aws:iam::123456789012:role/immutable-backups-dev-{}"


def judge(
    policy: object,
    action: str,
    resource: str,
    context: dict[str, str] | None = None,
    *,
    by: str = "promote",
) -> Effect:
    request = Request(
        principal=ROLE.format(by), action=action, resource=resource, context=context or {}
    )
    return evaluate(request, identity=[policy])


def test_the_policies_of_the_functions_do_not_grow_with_the_servers() -> None:
    servers = tuple(f"web{number:03}" for number in range(500))
    many = function_policies(replace(with_rules(20), servers=servers), STAGE)
    few = function_policies(replace(with_rules(20), servers=("web1",)), STAGE)
    assert many == few


def test_a_policy_too_large_for_iam_is_refused() -> None:
    with pytest.raises(StageError, match="too many rules"):
        function_policies(with_rules(200), STAGE)


def with_rules(count: int) -> Policy:
    rule = """
        [[rule]]
        upload   = "backup{0:02}.tar.gz.gpg"
        store_as = "%Y-%m-%d.{0:02}.tar.gz.gpg"
    """
    rules = "".join(rule.format(number) for number in range(count))
    return parse_policy(f'timezone = "Etc/UTC"\n{rules}')


def test_many_rules_fit_into_a_user_s_policy_and_its_revocation_beside_it() -> None:
    policy = server_policy(with_rules(24), incoming="backups1")
    both = [json.dumps(document, separators=(",", ":")) for document in (policy, DENY_EVERYTHING)]
    assert sum(map(len, both)) <= 2048
    assert judge(policy, "s3:PutObject", f"{INCOMING}/backup23.tar.gz.gpg") is Effect.ALLOW


def test_too_many_rules_for_a_user_are_refused() -> None:
    with pytest.raises(StageError, match="too many rules for one server"):
        server_policy(with_rules(50), incoming="backups1")


def test_an_unknown_server_has_no_policy() -> None:
    with pytest.raises(ValueError, match="no server None"):
        server_policy(FLEET, incoming="backups1")
