"""A name that AWS would refuse is reported when the policy is read for a stage."""

from dataclasses import replace

import botocore.session
import pytest

from admin.choices import SetupOptions
from admin.config.reading import SCHEDULES
from admin.desired.buckets import desired_settings
from admin.desired.names import refuse_names
from admin.desired.permissions import SERVER_POLICY_NAME
from admin.desired.requirement import Kind
from admin.stage import Stage, StageError
from chalicelib.settings import Settings
from tests.support.project import POLICY, stage_named

PROD = stage_named("prod")
LONGEST_SERVER = "db-primary-01.prod.eu-central-1.ex"
LONGEST_STAGE = "s" * 34


def with_buckets(incoming: str, vault: str = "vault") -> Stage:
    return replace(PROD, settings=Settings(incoming_bucket=incoming, vault_bucket=vault))


def refusal(stage: Stage, *servers: str) -> str:
    with pytest.raises(StageError) as refused:
        refuse_names(replace(POLICY, servers=servers), stage)
    return str(refused.value)


def test_a_server_whose_user_would_have_a_name_too_long_is_refused() -> None:
    server = "db-primary-01.prod.eu-central-1.example.org"
    assert refusal(PROD, "web1", server) == (
        f'the server "{server}" would get the IAM user immutable-backups-prod-server-{server}, '
        "which has 73 characters, but IAM accepts 64; shorten the server's name in policy.toml by "
        "9"
    )


def test_a_server_s_name_that_is_too_long_by_a_character_is_refused() -> None:
    assert "which has 65 characters" in refusal(PROD, LONGEST_SERVER + "a")


def test_servers_that_differ_only_by_case_are_refused() -> None:
    assert refusal(PROD, "web1", "db1", "WEB1") == (
        'the servers "web1" and "WEB1" would have the same IAM user, because IAM ignores case; '
        "rename one of them in policy.toml"
    )


def test_a_stage_whose_names_would_be_too_long_is_refused() -> None:
    stage = replace(PROD, name=LONGEST_STAGE + "st")
    assert refusal(stage) == (
        f'the stage "{stage.name}" makes the name of its schedule for sweep 66 characters '
        "long, but AWS accepts 64; shorten the stage's name by 2"
    )


@pytest.mark.parametrize("name", ["prod.eu", "pr/od", "pröd", "prod 2"])
def test_a_stage_with_characters_that_lambda_refuses_is_refused(name: str) -> None:
    assert refusal(replace(PROD, name=name)) == (
        f'"{name}" cannot be the name of a stage, because Lambda accepts only letters, digits, - '
        "and _ in the names of functions; rename it in .chalice/config.json"
    )


@pytest.mark.parametrize(
    ("bucket", "reason"),
    [
        ("my..backups", "has two dots in a row"),
        ("192.168.5.4", "looks like an IP address"),
        ("xn--backups", "begins or ends with a string that S3 reserves"),
        ("sthree-backups", "begins or ends with a string that S3 reserves"),
        ("amzn-s3-demo-backups", "begins or ends with a string that S3 reserves"),
        ("backups-s3alias", "begins or ends with a string that S3 reserves"),
        ("backups--ol-s3", "begins or ends with a string that S3 reserves"),
        ("backups.mrap", "begins or ends with a string that S3 reserves"),
        ("backups--usw2-az1--x-s3", "begins or ends with a string that S3 reserves"),
        ("backups--table-s3", "begins or ends with a string that S3 reserves"),
    ],
)
def test_a_bucket_that_s3_refuses_is_refused(bucket: str, reason: str) -> None:
    for stage in (with_buckets(bucket), with_buckets("incoming", vault=bucket)):
        assert refusal(stage) == (
            f"S3 accepts no bucket named {bucket}, which {reason}; choose another in "
            ".chalice/config.json"
        )


@pytest.mark.parametrize(
    ("stage", "servers"),
    [
        pytest.param(PROD, (), id="no servers"),
        pytest.param(PROD, (LONGEST_SERVER, "web1"), id="the longest server"),
        pytest.param(replace(PROD, name=LONGEST_STAGE), (), id="the longest stage"),
        pytest.param(with_buckets("a.b.example-backups"), (), id="a bucket with dots"),
    ],
)
def test_names_that_aws_accepts_pass(stage: Stage, servers: tuple[str, ...]) -> None:
    policy = replace(POLICY, servers=servers)
    refuse_names(policy, stage)
    # The longest name that boto3 accepts for each resource that `setup` and Chalice create.
    longest = longest_names()
    for requirement in desired_settings(
        policy, stage, SetupOptions(), account="123456789012", region="eu-west-1"
    ):
        match requirement.kind:
            case Kind.USER:
                assert len(requirement.resource) <= longest["user"]
            case Kind.MANAGED_POLICY:
                name = requirement.resource.rpartition("/")[2]
                assert len(name) <= longest["policy"]
            case Kind.ALARM:
                assert len(requirement.resource) <= longest["alarm"]
            case Kind.ASYNCHRONOUS:
                # Chalice names the role and its policy after the function.
                assert len(requirement.resource) <= min(
                    longest["role"], longest["policy"], longest["function"]
                )
    for function in SCHEDULES:
        assert len(stage.schedule_of(function)) <= longest["rule"]
    assert len(stage.drill_user) <= longest["user"]
    assert len(SERVER_POLICY_NAME) <= longest["policy"]


def longest_names() -> dict[str, int]:
    shapes = {
        "user": ("iam", "userNameType"),
        "role": ("iam", "roleNameType"),
        "policy": ("iam", "policyNameType"),
        "alarm": ("cloudwatch", "AlarmName"),
        "rule": ("events", "RuleName"),
    }
    session = botocore.session.get_session()
    longest = {
        name: session.get_service_model(service).shape_for(shape).metadata["max"]
        for name, (service, shape) in shapes.items()
    }
    # The limit of the name alone; boto3 has the limit of the ARN, 140 (Lambda API reference,
    # CreateFunction).
    return {**longest, "function": 64}
