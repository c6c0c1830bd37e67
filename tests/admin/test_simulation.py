"""What the drill requests from IAM's simulator, and how it interprets the responses."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from admin.desired.bucket_policies import incoming_policy, vault_policy
from admin.drill.iam_simulation import NotDecidedError, SimulatedPrincipal, binding, simulate
from admin.drill.simulated_requests import (
    act,
    promote,
    write,
    write_under_kms_key,
    write_under_own_key,
    write_with_empty_condition,
    write_without_tls,
)
from tests.support.project import STAGE

ROLE = "arn:aws:iam::123456789012:role/promoter"
ACCOUNT = "arn:aws:iam::123456789012:root"
SECURE = "aws:SecureTransport"


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
        # An Allow for a whole account leaves the decision to that account's IAM policies.
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
    with pytest.raises(NotDecidedError, match=r"cannot be simulated; write it with a condition"):
        binding({"Statement": [statement]}, ROLE)


# Responses of IAM, in the shapes that its API reference describes.

SLOTS = ("arn:aws:s3:::backups2/one", "arn:aws:s3:::backups2/two")


def specific(slot: str, decision: str, *missing: str) -> dict[str, Any]:
    return {
        "EvalResourceName": slot,
        "EvalResourceDecision": decision,
        "MissingContextValues": [*missing],
    }


def answer(decision: str, *specific: dict[str, Any], name: str = "arn:${Partition}") -> Any:
    result = {
        "EvalActionName": "s3:PutObject",
        "EvalResourceName": name,
        "EvalDecision": decision,
        "ResourceSpecificResults": [*specific],
    }
    return {"EvaluationResults": [result], "IsTruncated": False}


def ask(
    answers: list[Any],
    *,
    principal: str = ROLE,
    policy: Any = None,
    watch: Callable[..., None] = lambda **_: None,
) -> list[str]:
    """The effects that result from these responses; a response can also be an error code.

    `watch` receives the parameters of each request.
    """
    iam = boto3.client("iam", region_name="us-east-1")
    iam.meta.events.register("provide-client-params.iam.SimulatePrincipalPolicy", watch)
    stubber = Stubber(iam)
    for one in answers:
        if isinstance(one, str):
            stubber.add_client_error("simulate_principal_policy", one)
        else:
            stubber.add_response("simulate_principal_policy", one)
    account: Any = SimpleNamespace(client=lambda _: iam, id="123456789012", region="eu-west-1")
    request = write(*SLOTS)
    with stubber:
        decisions = simulate(account, SimulatedPrincipal(principal), request, bucket_policy=policy)
        stubber.assert_no_pending_responses()
    return [decision.effect for decision in decisions]


def test_a_request_is_simulated_in_the_stage_s_region_and_without_what_it_omits() -> None:
    """IAM would assume us-east-1, and report missing values."""
    context: dict[str, str] = {}

    def watch(params: dict[str, Any], **_: Any) -> None:
        entries = params["ContextEntries"]
        context.update({one["ContextKeyName"]: one["ContextKeyValues"][0] for one in entries})

    ask([answer("allowed", *(specific(slot, "allowed") for slot in SLOTS))], watch=watch)
    assert context == {
        "aws:PrincipalAccount": "123456789012",
        "aws:PrincipalArn": ROLE,
        "aws:RequestedRegion": "eu-west-1",
        "aws:ResourceAccount": "123456789012",
        "aws:SecureTransport": "true",
        "s3:ObjectCreationOperation": "true",
    }


def test_each_resource_has_its_own_decision() -> None:
    both = specific(SLOTS[0], "explicitDeny"), specific(SLOTS[1], "allowed")
    assert ask([answer("explicitDeny", *both)]) == ["explicitDeny", "allowed"]


def test_a_decision_on_all_resources_together_counts_if_it_differs() -> None:
    both = specific(SLOTS[0], "explicitDeny"), specific(SLOTS[1], "explicitDeny")
    assert "allowed" in ask([answer("allowed", *both)])


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param(
            [
                answer(
                    "allowed",
                    specific(SLOTS[0], "allowed"),
                    specific(SLOTS[1], "allowed", "aws:SourceIp"),
                )
            ],
            id="a value is missing for one resource",
        ),
        pytest.param(
            [answer("allowed", specific(SLOTS[0], "allowed"))], id="one resource has no decision"
        ),
        pytest.param(["InvalidInput"], id="IAM does not know an action"),
    ],
)
def test_what_iam_does_not_decide_is_no_decision(answers: list[Any]) -> None:
    with pytest.raises(NotDecidedError):
        ask(answers)


def test_what_a_request_leaves_out_on_purpose_is_not_missing() -> None:
    both = [specific(slot, "explicitDeny", "S3:If-None-Match") for slot in SLOTS]
    assert ask([answer("explicitDeny", *both)]) == ["explicitDeny"] * 2


def test_a_bucket_policy_is_simulated_in_two_ways_one_of_which_suffices_for_a_role() -> None:
    policy = vault_policy(STAGE, account="123456789012")
    denied = answer("explicitDeny", *(specific(slot, "explicitDeny") for slot in SLOTS))
    allowed = answer("allowed", *(specific(slot, "allowed") for slot in SLOTS))
    user = "arn:aws:iam::123456789012:user/web1"
    for principal in (ROLE, user):
        effects = ask([denied, allowed], principal=principal, policy=policy)
        assert effects == ["explicitDeny"] * 2 + ["allowed"] * 2
    assert ask([denied, "InvalidInput"], policy=policy) == ["explicitDeny"] * 2
    with pytest.raises(ClientError):
        ask([denied, "InvalidInput"], principal=user, policy=policy)


def test_the_simulated_requests_name_all_condition_keys_of_our_bucket_policies() -> None:
    """A key neither in the request nor omitted on purpose would leave the result undecided."""
    keys = {
        key
        for policy in (vault_policy(STAGE, account="123456789012"), incoming_policy(STAGE))
        for statement in policy["Statement"]
        for condition in statement.get("Condition", {}).values()
        for key in condition
    }
    for ask_for in (
        write,
        write_with_empty_condition,
        promote,
        write_under_kms_key,
        write_under_own_key,
        write_without_tls,
        partial(act, ("s3:GetObject",)),
    ):
        request = ask_for("*")
        assert keys <= {*request.context, *request.omitted, "aws:PrincipalArn", SECURE}
