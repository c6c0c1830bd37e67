"""The statements of a bucket policy that apply to a role."""

from typing import Any

import pytest

from admin.account import AccountError
from admin.desired.bucket_policies import vault_policy
from admin.drill.iam_simulation import binding
from tests.support.project import STAGE

ROLE = "arn:aws:iam::123456789012:role/promoter"
ACCOUNT = "arn:aws:iam::123456789012:root"


@pytest.mark.parametrize(
    ("effect", "principal", "meant"),
    [
        pytest.param("Deny", "*", True, id="everybody is denied"),
        pytest.param("Allow", "*", True, id="everybody is allowed"),
        pytest.param("Deny", {"AWS": "*"}, True, id="everybody, written longer"),
        pytest.param("Deny", {"AWS": [f"{ROLE}2", ROLE]}, True, id="the role among others"),
        pytest.param("Deny", {"AWS": f"{ROLE}2"}, False, id="another role"),
        pytest.param("Deny", {"Service": "s3.amazonaws.com"}, False, id="a service"),
        pytest.param("Deny", {"AWS": ACCOUNT}, True, id="the whole account is denied"),
        pytest.param("Deny", {"AWS": "123456789012"}, True, id="the account by its number"),
        # An Allow for a whole account leaves the decision to the IAM policies in that account.
        pytest.param("Allow", {"AWS": ACCOUNT}, False, id="the account as such is allowed"),
        pytest.param("Deny", {"AWS": "999999999999"}, False, id="another account"),
    ],
)
def test_a_statement_applies_to_the_principals_it_names(
    effect: str, principal: Any, *, meant: bool
) -> None:
    rights = {"Effect": effect, "Action": "s3:*", "Resource": "*"}
    statement = {"Sid": "With spaces", "Principal": principal, **rights}
    for statements in ([statement], statement):
        policy = {"Version": "2012-10-17", "Id": "x", "Statement": statements}
        assert binding(policy, ROLE) == ([rights] if meant else [])


def test_the_vault_s_whole_bucket_policy_applies_to_the_promoter() -> None:
    policy = vault_policy(STAGE, account="123456789012")
    assert [statement["Action"] for statement in binding(policy, ROLE)] == [
        statement["Action"] for statement in policy["Statement"]
    ]


def test_a_not_principal_cannot_be_simulated() -> None:
    statement = {"Effect": "Deny", "NotPrincipal": {"AWS": ROLE}, "Action": "*", "Resource": "*"}
    with pytest.raises(AccountError, match=r"cannot be simulated; write it with a condition"):
        binding({"Statement": [statement]}, ROLE)
