"""Which bucket policies are accepted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.localcloud.conformance.bucket import (
    Store,
    refused,
)

PUBLIC = {"Effect": "Allow", "Action": "s3:GetObject"}


def put_policy(store: Store, *, on: str = "{bucket}/*", **changes: Any) -> None:
    """Put a policy of a single Deny that matches nobody, with these changes; None removes a key."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{on.format(bucket=store.bucket)}",
        "Condition": {"StringEquals": {"aws:PrincipalAccount": "000000000000"}},
        **changes,
    }
    kept = {element: value for element, value in statement.items() if value is not None}
    store.put_bucket_policy(Policy=json.dumps({"Version": "2012-10-17", "Statement": [kept]}))


@pytest.mark.parametrize(
    "policy",
    [
        pytest.param({}, id="as it is"),
        pytest.param({"Action": ["s3:*Object", "S3:deleteobject*"]}, id="patterns"),
        pytest.param({"Action": "s3:*", "on": "{bucket}"}, id="every action, on the bucket"),
        pytest.param({"Action": "s3:ListBucket", "on": "{bucket}"}, id="of buckets"),
        pytest.param(
            {"Condition": {"StringEquals": {"s3:if-match": "a", "AWS:principalaccount": "0"}}},
            id="key of the action",
        ),
    ],
)
def test_a_policy_is_kept(store: Store, policy: dict[str, Any]) -> None:
    put_policy(store, **policy)
    assert "Statement" in json.loads(store.get_bucket_policy()["Policy"])


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        pytest.param({"Action": "s3:PutObjects"}, "Policy has invalid action", id="action"),
        pytest.param({"Action": "s3:Copy*"}, "Policy has invalid action", id="empty pattern"),
        pytest.param({"Action": "iam:GetUser"}, "Policy has invalid action", id="service"),
        pytest.param({"on": "another-bucket/*"}, "Policy has invalid resource", id="resource"),
        pytest.param(
            {"on": "{bucket}"}, "Action does not apply to any resource(s) in statement", id="bucket"
        ),
        pytest.param(
            {"Action": "s3:ListBucket"},
            "Action does not apply to any resource(s) in statement",
            id="objects",
        ),
        pytest.param(
            {"Condition": {"Null": {"s3:if-nonematch": "true"}}},
            "Policy has an invalid condition key",
            id="key",
        ),
        pytest.param(
            {"Condition": {"Null": {"aws:TransportSecure": "true"}}},
            "Policy has an invalid condition key",
            id="global key",
        ),
        pytest.param(
            {
                "Action": ["s3:PutObject", "s3:DeleteObject"],
                "Condition": {"Null": {"s3:if-none-match": "true"}},
            },
            "Conditions do not apply to combination of actions and resources in statement",
            id="key of another action",
        ),
        pytest.param(
            {"Condition": {"StringEqual": {"aws:PrincipalAccount": "0"}}},
            "Invalid Condition type : StringEqual",
            id="operator",
        ),
        pytest.param({"Effect": "deny"}, "Invalid effect: deny", id="effect"),
        pytest.param({"Action": None}, "Missing required field Action", id="no action"),
        pytest.param({"Principal": None}, "Missing required field Principal", id="no principal"),
        pytest.param({"Resource": None}, "Missing required field Resource", id="no resource"),
        pytest.param({"Actions": "s3:*"}, "Unknown field Actions", id="element"),
        pytest.param(
            {"Principal": {"AWS": "arn:aws:iam::123456789012:role/nobody"}},
            "Invalid principal in policy",
            id="principal",
        ),
    ],
)
def test_a_malformed_policy_is_refused(store: Store, policy: dict[str, Any], message: str) -> None:
    with refused(400, "MalformedPolicy") as error:
        put_policy(store, **policy)
    assert error.value.response["Error"]["Message"] == message  # type: ignore[attr-defined]
    with refused(404, "NoSuchBucketPolicy"):
        store.get_bucket_policy()


@pytest.mark.parametrize("policy", ["", "[]", "{}", '{"Version":"2012-10-17"', '{"Version":"2"}'])
def test_what_is_not_a_policy_is_refused(store: Store, policy: str) -> None:
    with refused(400, "MalformedPolicy"):
        store.put_bucket_policy(Policy=policy)


@pytest.mark.parametrize(
    ("changes", "is_public"),
    [
        pytest.param({"Condition": None}, True, id="everybody"),
        pytest.param({"Condition": None, "Principal": {"AWS": "*"}}, True, id="every account"),
        pytest.param(
            {"Condition": {"StringLike": {"aws:PrincipalAccount": "*"}}}, True, id="a pattern"
        ),
        pytest.param(
            {"Condition": {"StringNotEquals": {"aws:PrincipalAccount": "0"}}}, True, id="all but"
        ),
        pytest.param(
            {"Condition": {"Bool": {"aws:SecureTransport": "true"}}}, True, id="with any key"
        ),
        pytest.param({}, False, id="an account"),
        pytest.param({"Effect": "Deny", "Condition": None}, False, id="a denial"),
    ],
)
def test_a_public_policy_is_denied_if_the_bucket_blocks_them(
    store: Store, changes: dict[str, Any], is_public: bool
) -> None:
    store.put_public_access_block(PublicAccessBlockConfiguration={"BlockPublicPolicy": True})
    if is_public:
        with refused(403, "AccessDenied"):
            put_policy(store, **{**PUBLIC, **changes})
    else:
        put_policy(store, **{**PUBLIC, **changes})
        assert store.get_bucket_policy_status()["PolicyStatus"]["IsPublic"] is False
        store.delete_bucket_policy()
