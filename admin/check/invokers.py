"""Who may invoke a function of ours: the one service of AWS that it is for, and nobody else.

`promote` is for S3, and its role's policy lets the sweep invoke it; the sweep is for EventBridge.
What is read here are the functions' own policies, which let in other accounts and services too;
what a role of ours may invoke is in its policy, which `role` compares.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.account import absent_if
from admin.check.deployed_function import Function

WHY = "It is for S3 to say what was uploaded, and for the schedule to say when to sweep."


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a function is invoked for, and what `chalice deploy` makes of it in its policy.

    `otherwise` says what else that service may do, should it be under other conditions.
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


def source_of(of: Function) -> Source:
    """What leads to a function."""
    if of.function == "sweep":
        return Source(
            who="EventBridge",
            service="events.amazonaws.com",
            arn=f"arn:aws:events:{of.account.region}:{of.account.id}:rule/{of.schedule}",
            what=f"the rule {of.schedule}",
            otherwise=f"the rule {of.schedule}, on other conditions than deployed",
        )
    bucket = of.stage.settings.incoming_bucket
    owner = of.stage.settings.incoming_owner or of.account.id
    return Source(
        who="S3",
        service="s3.amazonaws.com",
        arn=f"arn:aws:s3:::{bucket}",
        what=bucket,
        otherwise=f"a bucket {bucket} of other accounts than {owner}",
        # The name of a bucket does not say whose it is.
        account=owner,
    )


@dataclass(frozen=True)
class Callers:
    """What leads to a function."""

    of: Function

    def check(self) -> None:
        """Find everybody who may invoke it besides its source, and its source if it may not."""
        with self.of.report.seeing(f"who may invoke {self.of.name}"):
            self._check_policy()
        with self.of.report.seeing(f"who may invoke versions of {self.of.name}"):
            self._check_policies_of_versions()
        with self.of.report.seeing(f"the addresses of {self.of.name}"):
            self._check_addresses()
        with self.of.report.seeing(f"the queues and streams that {self.of.name} reads"):
            self._check_sources()

    def _check_policy(self) -> None:
        source, statements = source_of(self.of), self._statements()
        from_source = [one for one in statements if _is_for(source, one)]
        ours = [one for one in from_source if one["Condition"] == source.condition]
        if not from_source:
            self.of.report.find(
                f"{source.who} may not invoke {self.of.name} for {source.what}",
                why=self.of.stays_behind,
                remedy=self.of.deploy,
            )
        for statement in statements:
            if statement in ours:
                continue
            remove = self._remove(statement)
            if statement not in from_source:
                self._find_caller(statement, what=self.of.name, remedy=remove)
                continue
            self.of.report.find(
                f"{source.who} may invoke {self.of.name} for {source.otherwise}",
                why="Should it ever be somebody else's, so are its events.",
                remedy=remove if ours else f"{remove} && {self.of.deploy}",
            )

    def _check_policies_of_versions(self) -> None:
        versions = self._pages("list_versions_by_function", "Versions")
        aliases = self._pages("list_aliases", "Aliases")
        qualifiers = [one["Version"] for one in versions if one["Version"] != "$LATEST"]
        for qualifier in [*qualifiers, *(one["Name"] for one in aliases)]:
            for statement in self._statements(Qualifier=qualifier):
                self._find_caller(
                    statement,
                    what=f"{self.of.name}:{qualifier}",
                    remedy=self._remove(statement, qualifier=qualifier),
                )

    def _check_addresses(self) -> None:
        for one in self._pages("list_function_url_configs", "FunctionUrlConfigs"):
            qualifier = one["FunctionArn"].split(":")[7:]
            self.of.report.find(
                f"{self.of.name} can be invoked at {one['FunctionUrl']} "
                + ("by anybody" if one["AuthType"] == "NONE" else "by whom IAM lets"),
                why=WHY,
                remedy=self.of.aws(
                    "lambda",
                    "delete-function-url-config",
                    function_name=self.of.name,
                    **({"qualifier": qualifier[0]} if qualifier else {}),
                ),
            )

    def _check_sources(self) -> None:
        for one in self._pages("list_event_source_mappings", "EventSourceMappings"):
            self.of.report.find(
                f"{self.of.name} gets events from {one.get('EventSourceArn', 'elsewhere')}",
                why=WHY,
                remedy=self.of.aws("lambda", "delete-event-source-mapping", uuid=one["UUID"]),
            )

    def _find_caller(self, statement: dict[str, Any], *, what: str, remedy: str) -> None:
        who = json.dumps(statement.get("Principal"))
        self.of.report.find(f"{who} may invoke {what}", why=WHY, remedy=remedy)

    def _remove(self, statement: dict[str, Any], **of: str) -> str:
        return self.of.aws(
            "lambda",
            "remove-permission",
            function_name=self.of.name,
            statement_id=statement["Sid"],
            **of,
        )

    def _statements(self, **of: str) -> list[dict[str, Any]]:
        answer = absent_if(
            "ResourceNotFoundException",
            lambda: self.of.client("lambda").get_policy(FunctionName=self.of.name, **of),
        )
        return list(json.loads(answer["Policy"])["Statement"]) if answer else []

    def _pages(self, operation: str, member: str) -> Iterator[dict[str, Any]]:
        pages = self.of.client("lambda").get_paginator(operation)
        for page in pages.paginate(FunctionName=self.of.name):
            yield from page[member]


def _is_for(source: Source, statement: dict[str, Any]) -> bool:
    arn = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
    return statement.get("Principal") == {"Service": source.service} and arn == source.arn
