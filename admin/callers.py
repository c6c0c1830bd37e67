"""Who may invoke a function of ours: S3, for uploads to incoming, and nobody else."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.account import absent_if
from admin.function import STAYS_BEHIND, Function

WHY = "It is for S3 alone to say what was uploaded."


@dataclass(frozen=True)
class Callers:
    """What leads to a function."""

    of: Function

    def check(self) -> None:
        """Find everybody who may invoke it besides S3, and S3 if it may not."""
        with self.of.report.seeing(f"who may invoke {self.of.name}"):
            self._check_policy()
        with self.of.report.seeing(f"who may invoke versions of {self.of.name}"):
            self._check_policies_of_versions()
        with self.of.report.seeing(f"the addresses of {self.of.name}"):
            self._check_addresses()
        with self.of.report.seeing(f"the queues and streams that {self.of.name} reads"):
            self._check_sources()

    def _check_policy(self) -> None:
        statements = self._statements()
        ours = [one for one in statements if self._is_ours(one)]
        if not any(self._names_incoming(one) for one in statements):
            self.of.report.find(
                f"S3 may not invoke {self.of.name} for {self.of.stage.settings.incoming_bucket}",
                why=STAYS_BEHIND,
                remedy=self.of.deploy,
            )
        for statement in statements:
            if statement in ours:
                continue
            remove = self._remove(statement)
            if not self._names_incoming(statement):
                self._find_caller(statement, what=self.of.name, remedy=remove)
                continue
            self.of.report.find(
                f"S3 may invoke {self.of.name} for a bucket "
                f"{self.of.stage.settings.incoming_bucket} of other accounts than {self._owner}",
                why="Should the bucket ever be somebody else's, so are its events.",
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

    def _is_ours(self, statement: dict[str, Any]) -> bool:
        account = statement.get("Condition", {}).get("StringEquals", {}).get("AWS:SourceAccount")
        return self._names_incoming(statement) and account == self._owner

    def _names_incoming(self, statement: dict[str, Any]) -> bool:
        source = statement.get("Condition", {}).get("ArnLike", {}).get("AWS:SourceArn")
        return (
            statement.get("Principal") == {"Service": "s3.amazonaws.com"}
            and source == f"arn:aws:s3:::{self.of.stage.settings.incoming_bucket}"
        )

    @property
    def _owner(self) -> str:
        return self.of.stage.settings.incoming_owner or self.of.account.id
