"""Which statements of a bucket policy could deny a request that is only partly known."""

from typing import Any

import pytest

from admin.setup.adoption.denials import Request, could_deny

ROLE = "arn:aws:iam::123456789012:role/immutable-backups-prod-promote"
PUT = Request(
    principal=ROLE,
    action="PutObject",
    resource="arn:aws:s3:::vault/web1/2026-11-23.tar.gz.gpg",
    keys={
        "s3:if-none-match": "*",
        "s3:x-amz-server-side-encryption": "AES256",
        "aws:sourcevpce": None,
        "s3:x-amz-storage-class": None,
    },
)
DENY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "arn:aws:s3:::vault/*"}


def condition(operator: str, key: str, *values: Any) -> dict[str, Any]:
    return {"Condition": {operator: {key: [*values]}}}


@pytest.mark.parametrize(
    ("statement", "denies"),
    [
        pytest.param({}, True, id="everything"),
        pytest.param({"Principal": {"AWS": "*"}}, True, id="everybody, in other words"),
        pytest.param({"Principal": {"AWS": [ROLE]}}, True, id="the role"),
        pytest.param({"Principal": {"AWS": "123456789012"}}, True, id="its account"),
        pytest.param(
            {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}, True, id="its account's root"
        ),
        pytest.param({"Principal": {"AWS": "210987654321"}}, False, id="another account"),
        pytest.param({"Principal": {"CanonicalUser": "79a5"}}, True, id="perhaps its account"),
        pytest.param({"Principal": {"Service": "s3.amazonaws.com"}}, False, id="a service"),
        pytest.param({"Action": ["s3:Get*", "s3:PUTOBJECT"]}, True, id="the action in capitals"),
        pytest.param({"Action": "s3:Get*"}, False, id="other actions"),
        pytest.param({"Resource": "arn:aws:s3:::vault/WEB1/*"}, False, id="another prefix"),
        pytest.param({"Resource": "arn:aws:s3:::vault/web?/*.gpg"}, True, id="wildcards"),
        pytest.param(
            {"Resource": "arn:aws:s3:::vault/${aws:PrincipalTag/x, 'web1'}/*"}, True, id="a tag"
        ),
        pytest.param(condition("StringNotEquals", "aws:PrincipalArn", ROLE), False, id="excluded"),
        pytest.param(
            condition("ArnNotLike", "aws:PrincipalArn", "arn:aws:iam::*:role/ci"),
            True,
            id="all but another role",
        ),
        pytest.param(
            condition("StringNotEquals", "aws:PrincipalAccount", "123456789012"),
            False,
            id="other accounts",
        ),
        pytest.param(condition("Bool", "aws:SecureTransport", "false"), False, id="without TLS"),
        pytest.param(condition("NumericLessThan", "s3:TlsVersion", "1.2"), False, id="old TLS"),
        pytest.param(
            condition("StringNotEquals", "s3:x-amz-server-side-encryption", "aws:kms"),
            True,
            id="without KMS",
        ),
        pytest.param(
            condition("StringNotEquals", "s3:x-amz-server-side-encryption", "AES256"),
            False,
            id="without AES256",
        ),
        pytest.param(
            condition("StringNotEquals", "s3:x-amz-storage-class", "STANDARD"),
            True,
            id="a negated operator matches a missing key",
        ),
        pytest.param(
            condition("StringEquals", "s3:x-amz-storage-class", "GLACIER"),
            False,
            id="another storage class",
        ),
        pytest.param(
            condition("StringEqualsIfExists", "s3:x-amz-storage-class", "GLACIER"),
            True,
            id="if it exists",
        ),
        pytest.param(condition("Null", "s3:if-none-match", "true"), False, id="unconditional"),
        pytest.param(condition("Null", "s3:x-amz-acl", "true"), True, id="without a list"),
        pytest.param(
            condition("StringNotEquals", "aws:SourceVpce", "vpce-1"), True, id="outside a network"
        ),
        pytest.param(
            condition("NotIpAddress", "aws:SourceIp", "10.0.0.0/8"), True, id="an address"
        ),
        pytest.param(
            condition("StringNotEquals", "aws:PrincipalOrgID", "o-1"), True, id="a company"
        ),
        pytest.param(
            condition("StringEquals", "aws:PrincipalArn", "${aws:x}"),
            True,
            id="a variable",
        ),
        pytest.param(
            condition("Bool", "aws:MultiFactorAuthPresent", "false"),
            True,
            id="without a second factor",
        ),
    ],
)
def test_a_statement_that_could_deny_is_found(statement: dict[str, Any], *, denies: bool) -> None:
    assert could_deny({**DENY, **statement}, PUT) is denies


@pytest.mark.parametrize(
    ("statement", "denies"),
    [
        pytest.param(
            {"NotPrincipal": {"AWS": [ROLE, "123456789012"]}}, False, id="all but role and account"
        ),
        pytest.param({"NotPrincipal": {"AWS": ROLE}}, True, id="but its account"),
        pytest.param({"NotPrincipal": {"AWS": "123456789012"}}, True, id="but the role"),
        pytest.param({"NotPrincipal": {"AWS": "arn:aws:iam::1:role/x"}}, True, id="but another"),
        pytest.param({"NotAction": "s3:Get*"}, True, id="all but reading"),
        pytest.param({"NotAction": "s3:Put*"}, False, id="all but writing"),
        pytest.param({"NotResource": "arn:aws:s3:::vault/web1/*"}, False, id="other objects"),
        pytest.param({"NotResource": "arn:aws:s3:::vault/${aws:username}*"}, True, id="its own"),
        pytest.param({"NotPrincipal": {"CanonicalUser": "79a5"}}, True, id="but some account"),
    ],
)
def test_elements_that_exclude_names_are_judged(statement: dict[str, Any], *, denies: bool) -> None:
    [element] = statement
    rest = {name: value for name, value in DENY.items() if name != element.removeprefix("Not")}
    assert could_deny({**rest, **statement}, PUT) is denies
