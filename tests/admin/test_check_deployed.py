"""Weakens the deployed functions in every way: `check` finds it, and its fix repairs it.

If the fix is a deployment, which is slow, the test restores the function itself; at the end,
everything of that kind is weakened at once and fixed by one deployment. If the fix is other
commands and then a deployment, the test runs the others, and checks that only a deployment is still
needed.
"""

import base64
import gzip
import hashlib
import io
import json
import re
import shutil
import warnings
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from admin.account import AccountError
from admin.check.code import differences
from tests.support.deployed_stage import DEPLOY, HARMLESS, DeployedStage, Table, table_of
from tests.support.project import STAGE, VAULT_SETTINGS

FUNCTION = "immutable-backups-dev-promote"
Change = Callable[[bytes], bytes | None]
PutBack = Callable[[], object]
WEAKENED: Table = {}
weakened = table_of(WEAKENED)
# Fixed by a deployment; each weakening returns a function that restores the original.
DEPLOYED_OVER: Table = {}
deployed_over = table_of(DEPLOYED_OVER)
CHANGED_BUNDLES: Table = {}
changed_bundle = table_of(CHANGED_BUNDLES)
# Fixed by a deployment after other commands, or by deploying a missing resource again.
GONE: Table = {}
gone = table_of(GONE)


@gone(f"{FUNCTION} is not deployed")
def _no_function(living: DeployedStage) -> None:
    living.client("lambda").delete_function(FunctionName=FUNCTION)


@gone(f"The role {FUNCTION} does not exist")
def _no_role(living: DeployedStage) -> None:
    iam = living.client("iam")
    for name in iam.list_role_policies(RoleName=FUNCTION)["PolicyNames"]:
        iam.delete_role_policy(RoleName=FUNCTION, PolicyName=name)
    iam.delete_role(RoleName=FUNCTION)


@gone(f"{FUNCTION} runs a container image")
def _an_image_instead_of_a_bundle(living: DeployedStage) -> None:
    client = living.client("lambda")
    role = client.get_function_configuration(FunctionName=FUNCTION)["Role"]
    client.delete_function(FunctionName=FUNCTION)
    client.create_function(
        FunctionName=FUNCTION,
        Role=role,
        PackageType="Image",
        Code={"ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/x:latest"},
    )


# The values of settings that a function lacks.
UNSET: dict[str, Any] = {"Layers": [], "VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}}


def configure(living: DeployedStage, **changes: Any) -> PutBack:
    client = living.client("lambda")
    before = client.get_function_configuration(FunctionName=FUNCTION)
    update = partial(client.update_function_configuration, FunctionName=FUNCTION)
    update(**changes)
    return lambda: update(**{name: before.get(name) or UNSET[name] for name in changes})


@deployed_over("was deployed with VAULT_BUCKET=elsewhere, but .chalice/config.json has backups2")
def _another_environment(living: DeployedStage) -> PutBack:
    elsewhere = {**living.stage.environment, "VAULT_BUCKET": "elsewhere"}
    return configure(living, Environment={"Variables": elsewhere})


@deployed_over("was deployed with another HEARTBEAT_URL than in .chalice/config.json")
def _another_heartbeat(living: DeployedStage) -> PutBack:
    """The message ends there: the URL is a secret."""
    elsewhere = {**living.stage.environment, "HEARTBEAT_URL": "https://hc-ping.com/secret"}
    return configure(living, Environment={"Variables": elsewhere})


@deployed_over(
    "was deployed with other digests in VAULT_SETTINGS than in .chalice/config.json: lock"
)
def _digests_of_older_settings(living: DeployedStage) -> PutBack:
    older = re.sub("lock=[0-9a-f]+", f"lock={'0' * 24}", VAULT_SETTINGS)
    environment = {**living.stage.environment, "VAULT_SETTINGS": older}
    return configure(living, Environment={"Variables": environment})


def upload_bundle(living: DeployedStage, bundle: bytes) -> PutBack:
    upload = partial(living.client("lambda").update_function_code, FunctionName=FUNCTION)
    upload(ZipFile=bundle)
    return partial(upload, ZipFile=bundle_of(living))


def change_bundle(living: DeployedStage, member: str, change: Change) -> PutBack:
    return change_bundle_members(living, {member: change})


def change_bundle_members(living: DeployedStage, changes: dict[str, Change]) -> PutBack:
    out = io.BytesIO(bundle_of(living))
    with zipfile.ZipFile(out, "a") as bundle:
        for name, change in changes.items():
            content = change(bundle.read(name))
            # The member's bytes stay in the file, but the directory of the zip file no longer lists
            # it.
            bundle.filelist.remove(bundle.NameToInfo.pop(name))
            bundle._didModify = True
            if content is not None:
                bundle.writestr(name, content)
    return upload_bundle(living, out.getvalue())


@changed_bundle("differs from this clone: chalicelib/policy.toml")
def _a_bundle_of_an_older_policy(living: DeployedStage) -> PutBack:
    return change_bundle(living, "chalicelib/policy.toml", lambda text: text + b"# of last year\n")


@changed_bundle("differs from this clone: chalicelib/promotion/copying.py")
def _a_bundle_without_a_module(living: DeployedStage) -> PutBack:
    return change_bundle(living, "chalicelib/promotion/copying.py", lambda _: None)


def _forget(argument: str) -> Callable[[bytes], bytes]:
    def change(zipped: bytes) -> bytes:
        model = json.loads(gzip.decompress(zipped))
        del model["shapes"]["CopyObjectRequest"]["members"][argument]
        return gzip.compress(json.dumps(model).encode(), 1)

    return change


MODEL = "botocore/data/s3/2006-03-01/service-2.json.gz"


@changed_bundle(f"The botocore deployed with {FUNCTION} does not support IfNoneMatch in CopyObject")
def _a_bundle_with_an_old_botocore(living: DeployedStage) -> PutBack:
    return change_bundle(living, MODEL, _forget("IfNoneMatch"))


@changed_bundle(
    "does not support IfNoneMatch, AnnotationDirective, CopySourceIfMatch in CopyObject"
)
def _a_bundle_without_botocore(living: DeployedStage) -> PutBack:
    return change_bundle(living, MODEL, lambda _: None)


@deployed_over(f"The role {FUNCTION} does not have the IAM policy generated from your policy.toml")
def _a_role_s_policy_widened(living: DeployedStage) -> PutBack:
    iam, policy = living.client("iam"), {"RoleName": FUNCTION, "PolicyName": FUNCTION}
    before = json.dumps(iam.get_role_policy(**policy)["PolicyDocument"])
    iam.put_role_policy(**policy, PolicyDocument=HARMLESS)
    return partial(iam.put_role_policy, **policy, PolicyDocument=before)


@weakened(f"The role {FUNCTION} has an additional IAM policy, more")
def _another_policy_of_the_role(living: DeployedStage) -> None:
    living.client("iam").put_role_policy(
        RoleName=FUNCTION, PolicyName="more", PolicyDocument=HARMLESS
    )


@weakened(f"{FUNCTION} has an additional IAM policy, arn:aws:iam::123456789012:policy/for-roles")
def _a_policy_attached_to_the_role(living: DeployedStage) -> None:
    iam = living.client("iam")
    made = iam.create_policy(PolicyName="for-roles", PolicyDocument=HARMLESS)["Policy"]
    iam.attach_role_policy(RoleName=FUNCTION, PolicyArn=made["Arn"])


@weakened(f"Principals other than Lambda can assume the role {FUNCTION}")
def _a_role_for_others(living: DeployedStage) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    living.client("iam").update_assume_role_policy(
        RoleName=FUNCTION,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@deployed_over(f"S3 cannot invoke {FUNCTION} for backups1")
def _s3_cannot_invoke(living: DeployedStage) -> PutBack:
    client = living.client("lambda")
    [permission] = json.loads(client.get_policy(FunctionName=FUNCTION)["Policy"])["Statement"]
    client.remove_permission(FunctionName=FUNCTION, StatementId=permission["Sid"])
    return partial(allow_s3, living, StatementId=permission["Sid"], SourceAccount="123456789012")


@weakened("210987654321")
def _a_stranger_can_invoke(living: DeployedStage) -> None:
    allow(living, "210987654321")


def notify(living: DeployedStage, **configuration: Any) -> PutBack:
    s3 = living.client("s3")
    put = partial(s3.put_bucket_notification_configuration, Bucket="backups1")
    before = s3.get_bucket_notification_configuration(Bucket="backups1")
    del before["ResponseMetadata"]
    put(NotificationConfiguration=configuration)
    return partial(put, NotificationConfiguration=before)


@deployed_over("backups1 does not notify immutable-backups-dev-promote of uploads")
def _no_notification(living: DeployedStage) -> PutBack:
    return notify(living)


@deployed_over("backups1 does not notify immutable-backups-dev-promote of uploads")
def _a_notification_of_some_keys_only(living: DeployedStage) -> PutBack:
    function = living.client("lambda").get_function_configuration(FunctionName=FUNCTION)
    some = {
        "LambdaFunctionArn": function["FunctionArn"],
        "Events": ["s3:ObjectCreated:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "web1/"}]}},
    }
    return notify(living, LambdaFunctionConfigurations=[some])


OTHER_KEY = "arn:aws:kms:us-east-1:210987654321:key/1234"
OTHER_LOG = {"LogFormat": "JSON", "ApplicationLogLevel": "FATAL", "LogGroup": "/elsewhere"}
OTHER_FILES = {
    "Arn": "arn:aws:elasticfilesystem:us-east-1:123456789012:access-point/fsap-1",
    "LocalMountPath": "/mnt/x",
}
Configurations = dict[str, tuple[dict[str, Any], str]]
DEPLOYED: Configurations = {
    "runtime": ({"Runtime": "python3.9"}, "The Runtime of"),
    "timeout": ({"Timeout": 3}, f"The Timeout of {FUNCTION} is 3, but should be 900"),
    "memory": ({"MemorySize": 128}, f"The MemorySize of {FUNCTION} is 128, but should be 1024"),
    "role": (
        # Lambda does not accept a role that does not trust it, or does not exist.
        {"Role": f"arn:aws:iam::123456789012:role/{STAGE.function_name('sweep')}"},
        f"role/{STAGE.function_name('sweep')}, but should be arn:aws:iam::",
    ),
    "network": ({"VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []}}, "SubnetIds"),
    "firewall": ({"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": ["sg-1"]}}, "SecurityGroup"),
}
NOT_DEPLOYED: Configurations = {
    "handler": (
        {"Handler": "sitecustomize.promote"},
        'is "sitecustomize.promote", but should be "app.promote"',
    ),
    "key": ({"KMSKeyArn": OTHER_KEY}, f'The KMSKeyArn of {FUNCTION} is "{OTHER_KEY}"'),
    "dead letters": (
        {"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:210987654321:x"}},
        "The DeadLetterConfig of",
    ),
    "files": ({"FileSystemConfigs": [OTHER_FILES]}, "The FileSystemConfigs of"),
    "log": ({"LoggingConfig": OTHER_LOG}, "The LoggingConfig of"),
}
for rows, configurations in ((DEPLOYED_OVER, DEPLOYED), (WEAKENED, NOT_DEPLOYED)):
    for what, (changes, sentence) in configurations.items():
        rows[f"another {what}"] = (
            lambda living, changes=changes: configure(living, **changes),  # type: ignore[misc]
            sentence,
        )


@deployed_over("The Layers of")
def _a_layer(living: DeployedStage) -> PutBack:
    layer = living.client("lambda").publish_layer_version(
        LayerName="more", Content={"ZipFile": bundle_of(living)}
    )
    return configure(living, Layers=[layer["LayerVersionArn"]])


@weakened(f"The reserved concurrency of {FUNCTION} is 0, but none in .chalice/config.json")
def _stopped_after_a_break_in(living: DeployedStage) -> None:
    living.client("lambda").put_function_concurrency(
        FunctionName=FUNCTION, ReservedConcurrentExecutions=0
    )


def bundle_of(living: DeployedStage) -> bytes:
    [zipped] = living.packages.glob("*-python*.zip")
    return zipped.read_bytes()


def with_member(bundle: bytes, name: str) -> bytes:
    out = io.BytesIO(bundle)
    with zipfile.ZipFile(out, "a") as added, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a second member with the same name
        added.writestr(name, added.read(name) if name in added.namelist() else b"import os")
    return out.getvalue()


@changed_bundle("differs from this clone: sitecustomize.py")
def _a_module_that_python_runs_first(living: DeployedStage) -> PutBack:
    return upload_bundle(living, with_member(bundle_of(living), "sitecustomize.py"))


@pytest.mark.parametrize(
    "member",
    [
        pytest.param("app.py", id="a second one of a name"),
        pytest.param("chalicelib/__pycache__/policy.cpython-313.pyc", id="ours, compiled"),
        pytest.param("botocore/__pycache__/client.cpython-313.pyc", id="a package's, compiled"),
        pytest.param("botocore/more.py", id="in a package"),
        pytest.param("evil-1.0.dist-info/RECORD", id="another package's list"),
        pytest.param("evil-1.0.data/scripts/evil", id="another package's script"),
        pytest.param("../../opt/python/evil.py", id="outside"),
    ],
)
def test_every_addition_to_a_bundle_is_found(living: DeployedStage, member: str) -> None:
    bundle = zipfile.ZipFile(io.BytesIO(with_member(bundle_of(living), member)))
    assert differences(bundle, living.project) == [member]


def test_packages_other_than_those_installed_here_cannot_be_compared(
    living: DeployedStage, tmp_path: Path
) -> None:
    shutil.copytree(living.project, tmp_path, dirs_exist_ok=True)
    pins = tmp_path / "requirements.txt"
    pins.write_text(re.sub(r"botocore==\S+", "botocore==1.0.0", pins.read_text()))
    bundle = zipfile.ZipFile(io.BytesIO(bundle_of(living)))
    with pytest.raises(
        AccountError, match=r"botocore 1\.0\.0 .* is not installed here; run `make setup`"
    ):
        differences(bundle, tmp_path)


@changed_bundle("differs from this clone: botocore/__init__.py")
def _a_package_that_was_tampered_with(living: DeployedStage) -> PutBack:
    return change_bundle(living, "botocore/__init__.py", lambda text: text + b"import os\n")


@changed_bundle("differs from this clone: chalice/app.py")
def _a_chalice_that_was_tampered_with(living: DeployedStage) -> PutBack:
    return change_bundle(living, "chalice/app.py", lambda text: text + b"import os\n")


@changed_bundle("differs from this clone: botocore/__init__.py")
def _a_package_that_was_tampered_with_and_its_own_list_too(living: DeployedStage) -> PutBack:
    [zipped] = living.packages.glob("*-python*.zip")
    [record] = [
        name
        for name in zipfile.ZipFile(zipped).namelist()
        if name.startswith("botocore-") and name.endswith("/RECORD")
    ]
    new = b"import os"
    digest = base64.urlsafe_b64encode(hashlib.sha256(new).digest()).rstrip(b"=")
    line = b"botocore/__init__.py,sha256=%s,%d" % (digest, len(new))
    return change_bundle_members(
        living,
        {
            "botocore/__init__.py": lambda _: new,
            record: lambda text: re.sub(rb"botocore/__init__\.py,.*", line, text),
        },
    )


@gone(f"S3 can invoke {FUNCTION} for a bucket backups1 of an account other than 123456789012")
def _s3_can_invoke_for_anybody_s_bucket(living: DeployedStage) -> None:
    _s3_cannot_invoke(living)
    allow_s3(living)


@weakened(f"S3 can invoke {FUNCTION} for a bucket backups1 of an account other than 123456789012")
def _s3_can_invoke_for_anybody_s_bucket_too(living: DeployedStage) -> None:
    allow_s3(living)


@weakened(f"S3 can invoke {FUNCTION} for a bucket backups1 of an account other than 123456789012")
def _s3_can_invoke_for_a_stranger_s_bucket(living: DeployedStage) -> None:
    allow_s3(living, SourceAccount="210987654321")


def allow_s3(living: DeployedStage, **more: str) -> None:
    allow(living, "s3.amazonaws.com", SourceArn="arn:aws:s3:::backups1", **more)


def allow(living: DeployedStage, principal: str, **more: str) -> None:
    permission = {"StatementId": "loose", "Action": "lambda:InvokeFunction", **more}
    living.client("lambda").add_permission(FunctionName=FUNCTION, Principal=principal, **permission)


@weakened(f"The reserved concurrency of {FUNCTION} is 7, but none")
def _another_concurrency(living: DeployedStage) -> None:
    living.client("lambda").put_function_concurrency(
        FunctionName=FUNCTION, ReservedConcurrentExecutions=7
    )


@weakened(f'"210987654321" can invoke {FUNCTION}:1')
def _a_stranger_can_invoke_a_version(living: DeployedStage) -> None:
    client = living.client("lambda")
    version = client.publish_version(FunctionName=FUNCTION)["Version"]
    assert version == "1"
    allow(living, "210987654321", Qualifier=version)


@weakened(f'"210987654321" can invoke {FUNCTION}:now')
def _a_stranger_can_invoke_an_alias(living: DeployedStage) -> None:
    living.client("lambda").create_alias(
        FunctionName=FUNCTION, Name="now", FunctionVersion="$LATEST"
    )
    allow(living, "210987654321", Qualifier="now")


@weakened(f"{FUNCTION} can be invoked at https://")
def _an_address_for_everybody(living: DeployedStage) -> None:
    living.client("lambda").create_function_url_config(FunctionName=FUNCTION, AuthType="NONE")


@weakened(f"{FUNCTION} gets events from arn:aws:sqs:us-east-1:123456789012:more")
def _a_queue_that_is_read(living: DeployedStage) -> None:
    sqs = living.client("sqs")
    queue = sqs.create_queue(QueueName="more")["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    living.client("lambda").create_event_source_mapping(
        FunctionName=FUNCTION, EventSourceArn=attributes["Attributes"]["QueueArn"]
    )


# Each row also proves the fix of the previous row, so adjacent rows weaken different things.
@pytest.mark.parametrize("name", WEAKENED)
def test_every_weakening_is_found_and_fixed_by_its_own_command(
    living: DeployedStage, name: str
) -> None:
    weaken, sentence = WEAKENED[name]
    weaken(living)
    living.mend(living.remedy_of(sentence))


@pytest.mark.parametrize("name", DEPLOYED_OVER | CHANGED_BUNDLES)
def test_what_a_deployment_fixes_is_found(living: DeployedStage, name: str) -> None:
    weaken, sentence = (DEPLOYED_OVER | CHANGED_BUNDLES)[name]
    put_back = weaken(living)
    assert living.remedy_of(sentence) == DEPLOY
    put_back()


@pytest.mark.parametrize("name", GONE)
def test_what_a_deployment_fixes_after_other_commands_is_found(
    living: DeployedStage, name: str
) -> None:
    weaken, sentence = GONE[name]
    with living.kept():
        weaken(living)
        living.mend_until_deployment(living.remedy_of(sentence))


@pytest.mark.parametrize("order", [1, -1], ids=["the last of two", "the first of two"])
def test_one_deployment_fixes_everything_at_once(living: DeployedStage, order: int) -> None:
    """Only the last of two weakenings of the same thing counts, so both orders are tried."""
    weakenings = [weaken for weaken, _ in [*DEPLOYED_OVER.values()][::order]]
    # S3 rejects a notification to a function that it cannot invoke: this row is always the last.
    for weaken in sorted(weakenings, key=lambda weaken: weaken is _s3_cannot_invoke):
        weaken(living)
    _a_module_that_python_runs_first(living)  # a bundle is replaced as a whole
    living.mend(DEPLOY)
    assert living.check().exit_code == 0


def test_one_deployment_creates_a_function_and_its_role_again(living: DeployedStage) -> None:
    """Deleting the function also deletes S3's permission to invoke it."""
    _no_role(living)
    _no_function(living)
    living.mend(DEPLOY)
    assert living.check().exit_code == 0
