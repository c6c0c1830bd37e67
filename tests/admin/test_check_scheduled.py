"""Weakens the sweep and its schedule: `check` finds it, and its fix repairs it.

If the fix is a deployment, which takes long, the test restores the function itself; at the end,
everything of that kind is weakened at once and fixed by one deployment.
"""

import json
from functools import partial
from typing import Any

import pytest

from admin.check.function import EVERY_QUARTER_HOUR
from tests.admin.test_check_deployed import PutBack
from tests.support.deployed_stage import DEPLOY, HARMLESS, DeployedStage, Table, table_of

SWEEP, PROMOTE = "immutable-backups-dev-sweep", "immutable-backups-dev-promote"
RULE = f"{SWEEP}-event"
ARN = f"arn:aws:lambda:us-east-1:123456789012:function:{SWEEP}"
SOURCE = f"arn:aws:events:us-east-1:123456789012:rule/{RULE}"
WEAKENED: Table = {}
weakened = table_of(WEAKENED)
# Fixed by a deployment; each weakening returns a function that restores the original.
DEPLOYED_OVER: Table = {}
deployed_over = table_of(DEPLOYED_OVER)


@weakened(f"The EventBridge rule {RULE} does not exist")
def _no_rule(living: DeployedStage) -> None:
    events = living.client("events")
    events.remove_targets(Rule=RULE, Ids=["1"])
    events.delete_rule(Name=RULE)


@weakened(f"The EventBridge rule {RULE} is disabled")
def _a_rule_that_is_disabled(living: DeployedStage) -> None:
    living.client("events").disable_rule(Name=RULE)


@deployed_over(f"The schedule of {RULE} is rate(7 days), but should be {EVERY_QUARTER_HOUR}")
def _a_rule_that_seldom_fires(living: DeployedStage) -> PutBack:
    put = partial(living.client("events").put_rule, Name=RULE)
    put(ScheduleExpression="rate(7 days)")
    return partial(put, ScheduleExpression=EVERY_QUARTER_HOUR)


@deployed_over(f"The EventBridge rule {RULE} does not invoke {SWEEP} as deployed")
def _a_rule_without_a_target(living: DeployedStage) -> PutBack:
    living.client("events").remove_targets(Rule=RULE, Ids=["1"])
    return partial(target, living)


@deployed_over(f"The EventBridge rule {RULE} does not invoke {SWEEP} as deployed")
def _a_rule_that_invokes_a_version(living: DeployedStage) -> PutBack:
    target(living, Arn=f"{ARN}:1")
    return partial(target, living)


@deployed_over(f"The EventBridge rule {RULE} does not invoke {SWEEP} as deployed")
def _a_rule_that_tells_another_time(living: DeployedStage) -> PutBack:
    target(living, Input='{"time": "2020-01-01T00:00:00Z"}')
    return partial(target, living)


def target(living: DeployedStage, **changes: Any) -> None:
    """Set the rule's only target as Chalice does, apart from the changes."""
    target = {"Id": "1", "Arn": ARN, **changes}
    living.client("events").put_targets(Rule=RULE, Targets=[target])


@weakened(f"EventBridge cannot invoke {SWEEP} for the rule {RULE}")
def _eventbridge_cannot_invoke(living: DeployedStage) -> None:
    client = living.client("lambda")
    [permission] = json.loads(client.get_policy(FunctionName=SWEEP)["Policy"])["Statement"]
    client.remove_permission(FunctionName=SWEEP, StatementId=permission["Sid"])


@weakened(
    f"EventBridge can invoke {SWEEP} for the rule {RULE} under other conditions than deployed"
)
def _eventbridge_can_invoke_for_another_account(living: DeployedStage) -> None:
    _eventbridge_cannot_invoke(living)
    allow(living, "events.amazonaws.com", SourceArn=SOURCE, SourceAccount="210987654321")


@weakened(f'{{"Service": "events.amazonaws.com"}} can invoke {SWEEP}')
def _another_rule_can_invoke(living: DeployedStage) -> None:
    allow(living, "events.amazonaws.com", SourceArn=f"{SOURCE}-2")


@weakened(f'{{"Service": "s3.amazonaws.com"}} can invoke {SWEEP}')
def _s3_can_invoke_the_sweep(living: DeployedStage) -> None:
    allow(living, "s3.amazonaws.com", SourceArn="arn:aws:s3:::backups1")


@weakened(f'{{"Service": "events.amazonaws.com"}} can invoke {PROMOTE}')
def _the_rule_can_invoke_promote(living: DeployedStage) -> None:
    allow(living, "events.amazonaws.com", function=PROMOTE, SourceArn=SOURCE)


def allow(living: DeployedStage, principal: str, *, function: str = SWEEP, **source: str) -> None:
    living.client("lambda").add_permission(
        FunctionName=function,
        StatementId="loose",
        Action="lambda:InvokeFunction",
        Principal=principal,
        **source,
    )


@deployed_over(f"The role {SWEEP} does not have the IAM policy generated from your policy.toml")
def _a_sweep_with_the_rights_of_promote(living: DeployedStage) -> PutBack:
    iam = living.client("iam")
    own, of_promote = (
        json.dumps(iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"])
        for role in (SWEEP, PROMOTE)
    )
    put = partial(iam.put_role_policy, RoleName=SWEEP, PolicyName=SWEEP)
    put(PolicyDocument=of_promote)
    return partial(put, PolicyDocument=own)


@weakened(f"The role {SWEEP} has an additional IAM policy, more")
def _another_policy_of_its_role(living: DeployedStage) -> None:
    living.client("iam").put_role_policy(RoleName=SWEEP, PolicyName="more", PolicyDocument=HARMLESS)


@weakened(f"Principals other than Lambda can assume the role {SWEEP}")
def _a_role_for_others(living: DeployedStage) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    living.client("iam").update_assume_role_policy(
        RoleName=SWEEP,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@weakened(f"The reserved concurrency of {SWEEP} is 0, but none in .chalice/config.json")
def _a_sweep_that_is_stopped(living: DeployedStage) -> None:
    living.client("lambda").put_function_concurrency(
        FunctionName=SWEEP, ReservedConcurrentExecutions=0
    )


@weakened(f'The Handler of {SWEEP} is "app.promote", but should be "app.sweep"')
def _another_handler(living: DeployedStage) -> None:
    living.client("lambda").update_function_configuration(FunctionName=SWEEP, Handler="app.promote")


@weakened(f"{SWEEP} is not deployed")
def _no_sweep(living: DeployedStage) -> None:
    living.client("lambda").delete_function(FunctionName=SWEEP)


@pytest.mark.parametrize("name", WEAKENED)
def test_every_weakening_of_the_sweep_is_found_and_fixed_by_its_own_command(
    living: DeployedStage, name: str
) -> None:
    weaken, sentence = WEAKENED[name]
    weaken(living)
    living.mend(living.remedy_of(sentence))


@pytest.mark.parametrize("name", DEPLOYED_OVER)
def test_what_a_deployment_fixes_in_the_sweep_is_found(living: DeployedStage, name: str) -> None:
    weaken, sentence = DEPLOYED_OVER[name]
    put_back = weaken(living)
    assert living.remedy_of(sentence) == DEPLOY
    put_back()


def test_one_deployment_fixes_the_sweep_and_its_schedule(living: DeployedStage) -> None:
    for weaken, _ in DEPLOYED_OVER.values():
        weaken(living)
    living.mend(DEPLOY)
    assert living.check().exit_code == 0
