"""Weakens a scheduled function and its schedule: `check` finds it, and its fix repairs it.

If the fix is a deployment, which is slow, the test restores the function itself; at the end,
everything of that kind is weakened at once, in all scheduled functions, and fixed by one
deployment. If the fix is other commands and then a deployment, the test runs the others, and checks
that only a deployment is still needed.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from admin.config.reading import SCHEDULES
from tests.admin.test_check_deployed import PutBack
from tests.support.deployed_stage import DEPLOY, HARMLESS, DeployedStage

PROMOTE = "immutable-backups-dev-promote"


@dataclass(frozen=True)
class Scheduled:
    """A scheduled function of a deployed stage."""

    living: DeployedStage
    handler: str

    @property
    def name(self) -> str:
        return self.living.stage.function_name(self.handler)

    @property
    def rule(self) -> str:
        return self.living.stage.schedule_of(self.handler)

    @property
    def source(self) -> str:
        return f"arn:aws:events:us-east-1:123456789012:rule/{self.rule}"

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:us-east-1:123456789012:function:{self.name}"

    def client(self, service: str) -> Any:
        return self.living.client(service)

    def set_target(self, **changes: Any) -> None:
        """Set the rule's only target as Chalice does, with these changes."""
        target = {"Id": "1", "Arn": self.arn, **changes}
        self.client("events").put_targets(Rule=self.rule, Targets=[target])

    def allow(self, principal: str, *, function: str | None = None, **source: str) -> None:
        self.client("lambda").add_permission(
            FunctionName=function or self.name,
            StatementId="loose",
            Action="lambda:InvokeFunction",
            Principal=principal,
            **source,
        )

    def sentence(self, template: str) -> str:
        """The message of a finding about this function."""
        handler, schedule = self.handler, SCHEDULES[self.handler]
        return template.format(name=self.name, rule=self.rule, handler=handler, schedule=schedule)


Weaken = Callable[[Scheduled], Any]
Table = dict[str, tuple[Weaken, str]]
WEAKENED: Table = {}
# Fixed by a deployment; each weakening returns a function that restores the original.
DEPLOYED_OVER: Table = {}
# Fixed by a deployment after other commands, or by deploying a missing resource again.
GONE: Table = {}


def table_of(rows: Table) -> Callable[[str], Callable[[Weaken], Weaken]]:
    def weakened(sentence: str) -> Callable[[Weaken], Weaken]:
        def note(weaken: Weaken) -> Weaken:
            rows[weaken.__name__.removeprefix("_").replace("_", " ")] = (weaken, sentence)
            return weaken

        return note

    return weakened


weakened, deployed_over = table_of(WEAKENED), table_of(DEPLOYED_OVER)
gone = table_of(GONE)


@weakened("The EventBridge rule {rule} is disabled")
def _a_rule_that_is_disabled(one: Scheduled) -> None:
    one.client("events").disable_rule(Name=one.rule)


@weakened("The EventBridge rule {rule} also has an event pattern")
def _a_rule_that_anybody_s_event_starts(one: Scheduled) -> None:
    one.client("events").put_rule(
        Name=one.rule,
        ScheduleExpression=SCHEDULES[one.handler],
        EventPattern=json.dumps({"source": ["anybody"]}),
    )


@weakened("The EventBridge rule {rule} has 1 more target: ")
def _a_second_target_with_a_false_time(one: Scheduled) -> None:
    false = {"Id": "false", "Arn": one.arn, "Input": '{"time": "2020-01-01T00:00:00Z"}'}
    one.client("events").put_targets(Rule=one.rule, Targets=[false])


@deployed_over("The EventBridge rule {rule} does not exist")
def _no_rule(one: Scheduled) -> PutBack:
    events = one.client("events")
    events.remove_targets(Rule=one.rule, Ids=["1"])
    events.delete_rule(Name=one.rule)

    def put_back() -> None:
        events.put_rule(Name=one.rule, ScheduleExpression=SCHEDULES[one.handler])
        one.set_target()

    return put_back


@deployed_over("The schedule of {rule} is rate(7 days), but should be {schedule}")
def _a_rule_that_seldom_fires(one: Scheduled) -> PutBack:
    put = partial(one.client("events").put_rule, Name=one.rule)
    put(ScheduleExpression="rate(7 days)")
    return partial(put, ScheduleExpression=SCHEDULES[one.handler])


@deployed_over("The EventBridge rule {rule} does not invoke {name} as deployed")
def _a_rule_without_a_target(one: Scheduled) -> PutBack:
    one.client("events").remove_targets(Rule=one.rule, Ids=["1"])
    return one.set_target


@deployed_over("The EventBridge rule {rule} does not invoke {name} as deployed")
def _a_rule_that_invokes_a_version(one: Scheduled) -> PutBack:
    one.set_target(Arn=f"{one.arn}:1")
    return one.set_target


@deployed_over("The EventBridge rule {rule} does not invoke {name} as deployed")
def _a_rule_that_tells_another_time(one: Scheduled) -> PutBack:
    one.set_target(Input='{"time": "2020-01-01T00:00:00Z"}')
    return one.set_target


@deployed_over("EventBridge cannot invoke {name} for the rule {rule}")
def _eventbridge_cannot_invoke(one: Scheduled) -> PutBack:
    client = one.client("lambda")
    [permission] = json.loads(client.get_policy(FunctionName=one.name)["Policy"])["Statement"]
    client.remove_permission(FunctionName=one.name, StatementId=permission["Sid"])
    return partial(one.allow, "events.amazonaws.com", SourceArn=one.source)


@gone("EventBridge can invoke {name} for the rule {rule} under other conditions than deployed")
def _eventbridge_can_invoke_for_another_account(one: Scheduled) -> None:
    _eventbridge_cannot_invoke(one)
    one.allow("events.amazonaws.com", SourceArn=one.source, SourceAccount="210987654321")


@weakened('{{"Service": "events.amazonaws.com"}} can invoke {name}')
def _another_rule_can_invoke(one: Scheduled) -> None:
    one.allow("events.amazonaws.com", SourceArn=f"{one.source}-2")


@weakened('{{"Service": "s3.amazonaws.com"}} can invoke {name}')
def _s3_can_invoke_it(one: Scheduled) -> None:
    one.allow("s3.amazonaws.com", SourceArn="arn:aws:s3:::backups1")


@weakened(f'{{{{"Service": "events.amazonaws.com"}}}} can invoke {PROMOTE}')
def _the_rule_can_invoke_promote(one: Scheduled) -> None:
    one.allow("events.amazonaws.com", function=PROMOTE, SourceArn=one.source)


@deployed_over("The role {name} does not have the IAM policy generated from your policy.toml")
def _the_rights_of_promote(one: Scheduled) -> PutBack:
    iam = one.client("iam")
    own, of_promote = (
        json.dumps(iam.get_role_policy(RoleName=role, PolicyName=role)["PolicyDocument"])
        for role in (one.name, PROMOTE)
    )
    put = partial(iam.put_role_policy, RoleName=one.name, PolicyName=one.name)
    put(PolicyDocument=of_promote)
    return partial(put, PolicyDocument=own)


@weakened("The role {name} has an additional IAM policy, more")
def _another_policy_of_its_role(one: Scheduled) -> None:
    one.client("iam").put_role_policy(RoleName=one.name, PolicyName="more", PolicyDocument=HARMLESS)


@weakened("Principals other than Lambda can assume the role {name}")
def _a_role_for_others(one: Scheduled) -> None:
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": "arn:aws:iam::123456789012:root"},
        "Action": "sts:AssumeRole",
    }
    one.client("iam").update_assume_role_policy(
        RoleName=one.name,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )


@weakened("The reserved concurrency of {name} is 0, but none in .chalice/config.json")
def _a_function_that_is_stopped(one: Scheduled) -> None:
    one.client("lambda").put_function_concurrency(
        FunctionName=one.name, ReservedConcurrentExecutions=0
    )


@weakened('The Handler of {name} is "app.promote", but should be "app.{handler}"')
def _another_handler(one: Scheduled) -> None:
    one.client("lambda").update_function_configuration(FunctionName=one.name, Handler="app.promote")


@gone("{name} is not deployed")
def _no_function(one: Scheduled) -> None:
    one.client("lambda").delete_function(FunctionName=one.name)


@pytest.mark.parametrize("handler", SCHEDULES)
@pytest.mark.parametrize("name", WEAKENED)
def test_every_weakening_of_a_scheduled_function_is_found_and_fixed_by_its_own_command(
    living: DeployedStage, handler: str, name: str
) -> None:
    weaken, sentence = WEAKENED[name]
    one = Scheduled(living, handler)
    weaken(one)
    living.mend(living.remedy_of(one.sentence(sentence)))


@pytest.mark.parametrize("handler", SCHEDULES)
@pytest.mark.parametrize("name", DEPLOYED_OVER)
def test_what_a_deployment_fixes_in_a_scheduled_function_is_found(
    living: DeployedStage, handler: str, name: str
) -> None:
    weaken, sentence = DEPLOYED_OVER[name]
    one = Scheduled(living, handler)
    put_back = weaken(one)
    assert living.remedy_of(one.sentence(sentence)) == DEPLOY
    put_back()


@pytest.mark.parametrize("handler", SCHEDULES)
@pytest.mark.parametrize("name", GONE)
def test_what_a_deployment_fixes_after_other_commands_is_found(
    living: DeployedStage, handler: str, name: str
) -> None:
    weaken, sentence = GONE[name]
    one = Scheduled(living, handler)
    with living.kept():
        weaken(one)
        living.mend_until_deployment(living.remedy_of(one.sentence(sentence)))


def test_one_deployment_creates_the_scheduled_functions_again(living: DeployedStage) -> None:
    for handler in SCHEDULES:
        _no_function(Scheduled(living, handler))
    living.mend(DEPLOY)
    assert living.check().exit_code == 0


def test_one_deployment_fixes_all_scheduled_functions_and_their_schedules(
    living: DeployedStage,
) -> None:
    for handler in SCHEDULES:
        for weaken, _ in DEPLOYED_OVER.values():
            weaken(Scheduled(living, handler))
    _no_rule(Scheduled(living, "audit"))
    living.mend(DEPLOY)
    assert living.check().exit_code == 0
