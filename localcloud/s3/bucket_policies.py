"""S3's checks of a bucket policy, and what happens to its principals when they are deleted."""

from __future__ import annotations

import json
import re
from fnmatch import fnmatchcase
from functools import cache
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends
from moto.s3.exceptions import S3ClientError

from localcloud.s3.permissions import ACTIONS, BUCKET_ACTIONS, OBJECT_ACTIONS, actions_of_key

if TYPE_CHECKING:
    from moto.s3.models import FakeBucket

_ELEMENTS = {
    "Sid",
    "Effect",
    "Principal",
    "NotPrincipal",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
}
_OPERATORS = re.compile(
    r"(For(All|Any)Values:)?("
    r"String(Not)?Equals(IgnoreCase)?|String(Not)?Like|Arn(Not)?(Equals|Like)"
    r"|(Numeric|Date)((Not)?Equals|(Less|Greater)Than(Equals)?)"
    r"|Bool|BinaryEquals|(Not)?IpAddress)(IfExists)?|Null"
)
# A fixed value of any of these keys makes a statement for everyone not public: S3 user guide,
# "Blocking public access to your Amazon S3 storage", The meaning of "public".
_CLOSING_KEYS = frozenset(
    {
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:principalorgpaths",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceip",
        "aws:sourceorgid",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    }
)
_CLOSING_OPERATORS = re.compile(
    r"(ForAnyValue:)?(StringEquals(IgnoreCase)?|StringLike|Arn(Equals|Like)|IpAddress)"
)
_ANY_ADDRESS = {"0.0.0.0/0", "::/0"}


def read_policy(bucket: FakeBucket, body: bytes) -> dict[str, Any]:
    """The bucket policy in the body. Raises S3's error unless S3 would accept it for the bucket."""
    try:
        policy = json.loads(body)
    except ValueError:
        policy = None
    if not isinstance(policy, dict):
        raise _malformed("Policies must be valid JSON and the first byte must be '{'")
    if policy.get("Version", "2008-10-17") not in ("2008-10-17", "2012-10-17"):
        raise _malformed("The policy must contain a valid version string")
    if not policy.get("Statement"):
        raise _malformed("Missing required field Statement")
    statements = _items(policy["Statement"])
    for statement in statements:
        _refuse_malformed(statement, bucket)
    block = bucket.public_access_block
    blocks_public = block is not None and str(block.block_public_policy).lower() == "true"
    if blocks_public and is_public(policy):
        raise S3ClientError(
            "AccessDenied",
            f'Access to s3:PutBucketPolicy on resource: "{bucket.arn}" is denied because public '
            "policies are prevented by the BlockPublicPolicy setting in S3 Block Public Access.",
        )
    return policy


def is_public(policy: dict[str, Any]) -> bool:
    """Whether S3 considers the policy public."""
    return any(_lets_everybody_in(statement) for statement in _items(policy["Statement"]))


def remember_principals(bucket: FakeBucket) -> None:
    """Keep the unique IDs of the users and roles that the bucket's policy names now."""
    policy = json.loads(bucket.policy)  # type: ignore[arg-type]
    names = [name for s in _items(policy["Statement"]) for name in _principal_names(s)]
    ids = {name: _unique_id(name) for name in names}
    bucket.principal_ids = ids  # type: ignore[attr-defined]


def current_policy(bucket: FakeBucket) -> dict[str, Any] | None:
    """The bucket's policy, with the unique ID in place of each user or role that was deleted.

    A new user or role of the same name is not the one in the policy.
    """
    if not bucket.policy:
        return None
    policy: dict[str, Any] = json.loads(bucket.policy)
    kept = vars(bucket).get("principal_ids", {})
    deleted = {name: id_ for name, id_ in kept.items() if id_ != _unique_id(name)}
    for statement in _items(policy["Statement"]) if deleted else []:
        for principals in (statement.get("Principal"), statement.get("NotPrincipal")):
            if isinstance(principals, dict) and "AWS" in principals:
                names = [deleted.get(name, name) for name in _items(principals["AWS"])]
                principals["AWS"] = names if len(names) > 1 else names[0]
    return policy


def _refuse_malformed(statement: Any, bucket: FakeBucket) -> None:
    if not isinstance(statement, dict):
        raise _malformed("Statement must be a JSON object")
    for element in statement.keys() - _ELEMENTS:
        raise _malformed(f"Unknown field {element}")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(f"Invalid effect: {statement.get('Effect')}")
    for element in ("Principal", "Action", "Resource"):
        if not (statement.get(element) or statement.get(f"Not{element}")):
            raise _malformed(f"Missing required field {element}")
    for name in _principal_names(statement):
        _refuse_unknown_principal(name)
    actions = _named_actions(statement, bucket)
    for operator, keys in statement.get("Condition", {}).items():
        if not _OPERATORS.fullmatch(operator):
            raise _malformed(f"Invalid Condition type : {operator}")
        for key in keys:
            _refuse_key(key, actions)


def _named_actions(statement: dict[str, Any], bucket: FakeBucket) -> list[frozenset[str]]:
    """The actions that each pattern of Action matches; NotAction accepts any condition key."""
    resources = _items(statement.get("Resource", statement.get("NotResource")))
    if not all(_is_of(bucket, resource) for resource in resources):
        raise _malformed("Policy has invalid resource")
    patterns = _items(statement.get("Action", statement.get("NotAction")))
    actions = [_matching(str(pattern)) for pattern in patterns]
    if not all(actions):
        raise _malformed("Policy has invalid action")
    if "Action" not in statement:
        return []
    if "Resource" in statement:
        possible = frozenset[str]().union(*map(_actions_on, resources))
        if any(possible.isdisjoint(names) for names in actions):
            raise _malformed("Action does not apply to any resource(s) in statement")
    return actions


def _refuse_key(key: str, actions: list[frozenset[str]]) -> None:
    combinable = actions_of_key(key)
    if combinable is None:
        raise _malformed("Policy has an invalid condition key")
    if any(combinable.isdisjoint(names) for names in actions):
        raise _malformed(
            "Conditions do not apply to combination of actions and resources in statement"
        )


@cache
def _matching(pattern: str) -> frozenset[str]:
    """The actions that the pattern matches: s3:*, s3:Get*, s3:PutObject."""
    service, _, name = pattern.lower().partition(":")
    if service == "*" and not name:
        return ACTIONS
    if service != "s3":
        return frozenset()
    return frozenset(action for action in ACTIONS if _matches(action.lower(), name))


def _is_of(bucket: FakeBucket, resource: Any) -> bool:
    """Whether the resource is the bucket, or objects in it; for a pattern, a match is enough."""
    bucket_pattern, _, _ = str(resource).partition("/")
    return _matches(bucket.arn, bucket_pattern)


def _actions_on(resource: str) -> frozenset[str]:
    bucket_pattern, slash, _ = resource.partition("/")
    if slash:
        return OBJECT_ACTIONS
    return ACTIONS if bucket_pattern.endswith("*") else BUCKET_ACTIONS


def _lets_everybody_in(statement: dict[str, Any]) -> bool:
    if statement["Effect"] != "Allow":
        return False
    if "NotPrincipal" not in statement and "*" not in _principal_names(statement):
        return False
    return not any(
        _CLOSING_OPERATORS.fullmatch(operator)
        and key.lower() in _CLOSING_KEYS
        and not any("*" in str(v) or "?" in str(v) or v in _ANY_ADDRESS for v in _items(values))
        for operator, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    )


def _principal_names(statement: dict[str, Any]) -> list[str]:
    """The accounts, users and roles that the statement names, in any spelling."""
    principal = statement.get("Principal", statement.get("NotPrincipal"))
    return _items(principal.get("AWS", [])) if isinstance(principal, dict) else [str(principal)]


def _refuse_unknown_principal(name: str) -> None:
    if not re.fullmatch(r"\*|\d{12}|arn:aws:iam::\d{12}:root", name) and not _unique_id(name):
        raise _malformed("Invalid principal in policy")


def _unique_id(name: str) -> str | None:
    """The unique id of the user or role with this ARN, if it exists."""
    user_or_role = re.fullmatch(r"arn:aws:iam::(\d{12}):(?:user|role)/.+", name)
    if user_or_role is None:
        return None
    iam = iam_backends[user_or_role[1]]["aws"]
    users = {user.arn: f"AIDA{user.id.upper()}" for user in list(iam.users.values())}
    roles = {role.arn: role.id for role in list(iam.roles.values())}
    return (users | roles).get(name)


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _malformed(message: str) -> S3ClientError:
    return S3ClientError("MalformedPolicy", message)
