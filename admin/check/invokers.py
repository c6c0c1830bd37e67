"""Checks who can invoke a function: only the AWS service that triggers it should.

S3 invokes `promote`, and so does the sweep's role; EventBridge invokes the sweep and the audit.
This module reads the functions' resource policies, which can allow other accounts and services;
`role` checks the IAM policies of the roles.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.account import none_if
from admin.check.deployed_function import DeployedFunction
from admin.check.report import Finding
from admin.config.reading import SCHEDULES
from admin.desired.permissions import statements

WHY = "Only S3 should report uploads, and only their schedules should start sweep and audit."


@dataclass(frozen=True, kw_only=True)
class Source:
    """The service that should invoke a function, as `chalice deploy` names it in its policy.

    `otherwise` describes what the service could do under other conditions.
    """

    who: str
    service: str
    arn: str
    what: str
    otherwise: str
    account: str | None = None

    @property
    def condition(self) -> dict[str, Any]:
        """The condition of the statement that allows the source."""
        account = {"StringEquals": {"AWS:SourceAccount": self.account}} if self.account else {}
        return {"ArnLike": {"AWS:SourceArn": self.arn}, **account}

    @property
    def statement(self) -> dict[str, Any]:
        """That statement without its ID and the function, which Lambda adds."""
        return {
            "Effect": "Allow",
            "Principal": {"Service": self.service},
            "Action": "lambda:InvokeFunction",
            "Condition": self.condition,
        }


def source_of(function: DeployedFunction) -> Source:
    """The source that should invoke the function."""
    account, schedule = function.target.account, function.schedule
    if function.handler in SCHEDULES:
        return Source(
            who="EventBridge",
            service="events.amazonaws.com",
            arn=f"arn:aws:events:{account.region}:{account.id}:rule/{schedule}",
            what=f"the rule {schedule}",
            otherwise=f"the rule {schedule} under other conditions than deployed",
        )
    bucket = function.target.incoming
    owner = function.target.stage.settings.incoming_owner or account.id
    return Source(
        who="S3",
        service="s3.amazonaws.com",
        arn=f"arn:aws:s3:::{bucket}",
        what=bucket,
        otherwise=f"a bucket {bucket} of an account other than {owner}",
        # A bucket's name does not say which account owns it.
        account=owner,
    )


def check_invokers(function: DeployedFunction) -> Iterator[Finding]:
    """Find everyone who can invoke the function besides its source; report a source that cannot."""
    source, actual = source_of(function), _statements(function)
    from_source = [statement for statement in actual if _is_for(source, statement)]
    ours = [statement for statement in from_source if _is_as_deployed(source, statement)]
    if not from_source:
        yield Finding(
            what=f"{source.who} cannot invoke {function.name} for {source.what}",
            why=function.stays_behind,
            remedy=function.target.fix_deploy(),
        )
    for statement in actual:
        if statement in ours:
            continue
        if statement not in from_source:
            yield _invoker(function, statement)
            continue
        remove = _remove(function, statement)
        remedy = remove if ours else f"{remove} && {function.target.fix_deploy()}"
        if (action := statement["Action"]) != source.statement["Action"]:
            yield Finding(
                what=f"{source.who} is allowed {action} on {function.name} for {source.what}"
                + ("" if ours else ", but not to invoke it"),
                why=WHY if ours else function.stays_behind,
                remedy=remedy,
            )
            continue
        yield Finding(
            what=f"{source.who} can invoke {function.name} for {source.otherwise}",
            why="If somebody else ever owns it, they can invoke the function.",
            remedy=remedy,
        )


def check_invokers_of_versions(function: DeployedFunction) -> Iterator[Finding]:
    """Find everyone who can invoke a version or an alias: nobody should."""
    versions = _pages(function, "list_versions_by_function", "Versions")
    aliases = _pages(function, "list_aliases", "Aliases")
    qualifiers = [version["Version"] for version in versions if version["Version"] != "$LATEST"]
    for qualifier in [*qualifiers, *(alias["Name"] for alias in aliases)]:
        for statement in _statements(function, Qualifier=qualifier):
            yield _invoker(function, statement, qualifier=qualifier)


def check_urls(function: DeployedFunction) -> Iterator[Finding]:
    """Find every URL that invokes the function."""
    for url in _pages(function, "list_function_url_configs", "FunctionUrlConfigs"):
        qualifier = url["FunctionArn"].split(":")[7:]
        yield Finding(
            what=f"{function.name} can be invoked at {url['FunctionUrl']} "
            + ("by anyone" if url["AuthType"] == "NONE" else "by anyone whom IAM allows"),
            why=WHY,
            remedy=function.target.fix_aws(
                "lambda",
                "delete-function-url-config",
                function_name=function.name,
                **({"qualifier": qualifier[0]} if qualifier else {}),
            ),
        )


def check_event_sources(function: DeployedFunction) -> Iterator[Finding]:
    """Find every queue or stream that the function gets events from."""
    for mapping in _pages(function, "list_event_source_mappings", "EventSourceMappings"):
        source = mapping.get("EventSourceArn", "another source")
        yield Finding(
            what=f"{function.name} gets events from {source}",
            why=WHY,
            remedy=function.target.fix_aws(
                "lambda", "delete-event-source-mapping", uuid=mapping["UUID"]
            ),
        )


def _invoker(function: DeployedFunction, statement: dict[str, Any], **qualifier: str) -> Finding:
    """The finding for a superfluous statement."""
    who = json.dumps(statement.get("Principal"))
    name = ":".join([function.name, *qualifier.values()])
    action = statement["Action"]
    invokes = action.startswith(("lambda:Invoke", "lambda:*"))
    return Finding(
        what=f"{who} can invoke {name}" if invokes else f"{who} is allowed {action} on {name}",
        why=WHY,
        remedy=_remove(function, statement, **qualifier),
    )


def _remove(function: DeployedFunction, statement: dict[str, Any], **qualifier: str) -> str:
    return function.target.fix_aws(
        "lambda",
        "remove-permission",
        function_name=function.name,
        statement_id=statement["Sid"],
        **qualifier,
    )


def _statements(function: DeployedFunction, **qualifier: str) -> list[dict[str, Any]]:
    """The statements of the function's resource policy, or of a version's or an alias's."""
    answer = none_if(
        "ResourceNotFoundException",
        lambda: function.client("lambda").get_policy(FunctionName=function.name, **qualifier),
    )
    return statements(json.loads(answer["Policy"])) if answer else []


def _pages(function: DeployedFunction, operation: str, member: str) -> Iterator[dict[str, Any]]:
    pages = function.client("lambda").get_paginator(operation)
    for page in pages.paginate(FunctionName=function.name):
        yield from page[member]


def _is_for(source: Source, statement: dict[str, Any]) -> bool:
    arn = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
    return statement.get("Principal") == {"Service": source.service} and arn == source.arn


def _is_as_deployed(source: Source, statement: dict[str, Any]) -> bool:
    return {name: statement.get(name) for name in source.statement} == source.statement
