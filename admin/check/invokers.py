"""Checks who can invoke a function: only the AWS service that it is for.

S3 invokes `promote`, and so does the sweep's role; EventBridge invokes the sweep. This module reads
the functions' resource policies, which can let in other accounts and services; `role` checks the
roles' own IAM policies.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.account import none_if
from admin.check.deployed_function import DeployedFunction

WHY = "Only S3 should report uploads, and only the schedule should start the sweep."


@dataclass(frozen=True, kw_only=True)
class Source:
    """The service that invokes a function, as `chalice deploy` writes it into the resource policy.

    `otherwise` describes what the service can do under other conditions than those.
    """

    who: str
    service: str
    arn: str
    what: str
    otherwise: str
    account: str | None = None

    @property
    def condition(self) -> dict[str, Any]:
        """The condition of the statement that lets it in."""
        account = {"StringEquals": {"AWS:SourceAccount": self.account}} if self.account else {}
        return {"ArnLike": {"AWS:SourceArn": self.arn}, **account}


def source_of(deployed: DeployedFunction) -> Source:
    """The source that should invoke the function."""
    if deployed.function == "sweep":
        return Source(
            who="EventBridge",
            service="events.amazonaws.com",
            arn=f"arn:aws:events:{deployed.target.account.region}:{deployed.target.account.id}:rule/{deployed.schedule}",
            what=f"the rule {deployed.schedule}",
            otherwise=f"the rule {deployed.schedule} under other conditions than deployed",
        )
    bucket = deployed.target.incoming
    owner = deployed.target.stage.settings.incoming_owner or deployed.target.account.id
    return Source(
        who="S3",
        service="s3.amazonaws.com",
        arn=f"arn:aws:s3:::{bucket}",
        what=bucket,
        otherwise=f"a bucket {bucket} of an account other than {owner}",
        # A bucket's name does not tell whose it is.
        account=owner,
    )


@dataclass(frozen=True)
class Invokers:
    """The ways to invoke a function."""

    deployed: DeployedFunction

    def check(self) -> None:
        """Find everyone other than its source who can invoke it, and its source if it cannot."""
        with self.deployed.report.checking(f"who can invoke {self.deployed.name}"):
            self._check_policy()
        with self.deployed.report.checking(f"who can invoke versions of {self.deployed.name}"):
            self._check_policies_of_versions()
        with self.deployed.report.checking(f"the function URLs of {self.deployed.name}"):
            self._check_addresses()
        with self.deployed.report.checking(f"the event source mappings of {self.deployed.name}"):
            self._check_sources()

    def _check_policy(self) -> None:
        source, statements = source_of(self.deployed), self._statements()
        from_source = [statement for statement in statements if _is_for(source, statement)]
        ours = [
            statement for statement in from_source if statement["Condition"] == source.condition
        ]
        if not from_source:
            self.deployed.report.find(
                f"{source.who} cannot invoke {self.deployed.name} for {source.what}",
                why=self.deployed.stays_behind,
                remedy=self.deployed.deploy,
            )
        for statement in statements:
            if statement in ours:
                continue
            remove = self._remove(statement)
            if statement not in from_source:
                self._find_caller(statement, what=self.deployed.name, remedy=remove)
                continue
            self.deployed.report.find(
                f"{source.who} can invoke {self.deployed.name} for {source.otherwise}",
                why="If that ever belongs to somebody else, so do its events.",
                remedy=remove if ours else f"{remove} && {self.deployed.deploy}",
            )

    def _check_policies_of_versions(self) -> None:
        versions = self._pages("list_versions_by_function", "Versions")
        aliases = self._pages("list_aliases", "Aliases")
        qualifiers = [version["Version"] for version in versions if version["Version"] != "$LATEST"]
        for qualifier in [*qualifiers, *(alias["Name"] for alias in aliases)]:
            for statement in self._statements(Qualifier=qualifier):
                self._find_caller(
                    statement,
                    what=f"{self.deployed.name}:{qualifier}",
                    remedy=self._remove(statement, qualifier=qualifier),
                )

    def _check_addresses(self) -> None:
        for address in self._pages("list_function_url_configs", "FunctionUrlConfigs"):
            qualifier = address["FunctionArn"].split(":")[7:]
            self.deployed.report.find(
                f"{self.deployed.name} can be invoked at {address['FunctionUrl']} "
                + ("by anybody" if address["AuthType"] == "NONE" else "by anyone whom IAM allows"),
                why=WHY,
                remedy=self.deployed.aws(
                    "lambda",
                    "delete-function-url-config",
                    function_name=self.deployed.name,
                    **({"qualifier": qualifier[0]} if qualifier else {}),
                ),
            )

    def _check_sources(self) -> None:
        for mapping in self._pages("list_event_source_mappings", "EventSourceMappings"):
            self.deployed.report.find(
                f"{self.deployed.name} gets events from "
                f"{mapping.get('EventSourceArn', 'another source')}",
                why=WHY,
                remedy=self.deployed.aws(
                    "lambda", "delete-event-source-mapping", uuid=mapping["UUID"]
                ),
            )

    def _find_caller(self, statement: dict[str, Any], *, what: str, remedy: str) -> None:
        who = json.dumps(statement.get("Principal"))
        self.deployed.report.find(f"{who} can invoke {what}", why=WHY, remedy=remedy)

    def _remove(self, statement: dict[str, Any], **qualifier: str) -> str:
        return self.deployed.aws(
            "lambda",
            "remove-permission",
            function_name=self.deployed.name,
            statement_id=statement["Sid"],
            **qualifier,
        )

    def _statements(self, **qualifier: str) -> list[dict[str, Any]]:
        answer = none_if(
            "ResourceNotFoundException",
            lambda: self.deployed.client("lambda").get_policy(
                FunctionName=self.deployed.name, **qualifier
            ),
        )
        return list(json.loads(answer["Policy"])["Statement"]) if answer else []

    def _pages(self, operation: str, member: str) -> Iterator[dict[str, Any]]:
        pages = self.deployed.client("lambda").get_paginator(operation)
        for page in pages.paginate(FunctionName=self.deployed.name):
            yield from page[member]


def _is_for(source: Source, statement: dict[str, Any]) -> bool:
    arn = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
    return statement.get("Principal") == {"Service": source.service} and arn == source.arn
