"""How a function is run, compared with what `chalice deploy` would make of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.check.deployed_function import Function
from admin.stage import as_chalice_reads

# Deployed by somebody with another Python: no harm.
SUPPORTED_RUNTIME = re.compile(r"python3\.1[1-9]")


@dataclass(frozen=True)
class Configuration:
    """What Lambda says of the function: `live` is GetFunction's Configuration."""

    of: Function
    live: dict[str, Any]

    def check(self) -> None:
        """Find what differs, and name the command that sets it."""
        self._check_environment()
        self._check_what_chalice_sets()
        self._check_what_chalice_leaves()
        self._check_concurrency()

    def _check_environment(self) -> None:
        there = self.live.get("Environment", {}).get("Variables", {})
        for variable in sorted(set(self.of.stage.environment) | set(there)):
            if there.get(variable) != self.of.stage.environment.get(variable):
                self.of.report.find(
                    f"{self.of.name} was deployed with {variable}={there.get(variable, '')}, and "
                    f".chalice/config.json says "
                    f"{self.of.stage.environment.get(variable, 'nothing')}",
                    why="It works on what it was deployed with.",
                    remedy=self.of.deploy,
                )

    def _check_what_chalice_sets(self) -> None:
        for what, there, wanted in self._set_by_chalice():
            if there != wanted:
                self.of.report.find(
                    f"The {what} of {self.of.name} is {there}, and {wanted} would be deployed",
                    why="It decides whether the function can do its work, and whose code runs.",
                    remedy=self.of.deploy,
                )

    def _check_what_chalice_leaves(self) -> None:
        for what, there, wanted, option in self._left_by_chalice():
            if there != wanted:
                self.of.report.find(
                    f"The {what} of {self.of.name} is {json.dumps(there)}, and should be "
                    f"{json.dumps(wanted)}",
                    why="It decides what runs, what else is needed for it, and who learns of it.",
                    remedy=self.of.aws(
                        "lambda",
                        "update-function-configuration",
                        function_name=self.of.name,
                        **option,
                    ),
                )

    def _set_by_chalice(self) -> Iterator[tuple[str, Any, Any]]:
        """Name, live value and wanted value of what every deployment sets."""
        config, live = as_chalice_reads(self.of.stage, self.of.function), self.live
        runtime = live.get("Runtime", "")
        as_wanted = SUPPORTED_RUNTIME.fullmatch(runtime)
        network = live.get("VpcConfig", {})
        yield "Role", live["Role"], f"arn:aws:iam::{self.of.account.id}:role/{self.of.name}"
        yield "Runtime", runtime, runtime if as_wanted else config.lambda_python_version
        yield "Timeout", live["Timeout"], config.lambda_timeout
        yield "MemorySize", live["MemorySize"], config.lambda_memory_size
        yield "Layers", [one["Arn"] for one in live.get("Layers", [])], config.layers or []
        yield "SubnetIds", sorted(network.get("SubnetIds", [])), sorted(config.subnet_ids or [])
        yield (
            "SecurityGroupIds",
            sorted(network.get("SecurityGroupIds", [])),
            sorted(config.security_group_ids or []),
        )

    def _left_by_chalice(self) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
        """Name, live and wanted value of what no deployment of an existing function sets.

        And what UpdateFunctionConfiguration is told for it, in which emptiness takes away.
        """
        live = self.live
        handler = f"app.{self.of.function}"
        # A filter of the log, or another place for it, would silence the alarms.
        log = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.of.name}"}
        yield "Handler", live.get("Handler"), handler, {"handler": handler}
        yield "KMSKeyArn", live.get("KMSKeyArn"), None, {"kms_key_arn": ""}
        yield (
            "DeadLetterConfig",
            live.get("DeadLetterConfig"),
            None,
            {"dead_letter_config": {"TargetArn": ""}},
        )
        yield (
            "FileSystemConfigs",
            live.get("FileSystemConfigs", []),
            [],
            {"file_system_configs": []},
        )
        yield "LoggingConfig", live.get("LoggingConfig", log), log, {"logging_config": log}

    def _check_concurrency(self) -> None:
        with self.of.report.seeing(f"how often {self.of.name} may run at a time"):
            answer = self.of.client("lambda").get_function_concurrency(FunctionName=self.of.name)
            there = answer.get("ReservedConcurrentExecutions")
            wanted = as_chalice_reads(self.of.stage, self.of.function).reserved_concurrency
            if there == wanted:
                return
            operation, option = (
                ("delete-function-concurrency", {})
                if wanted is None
                else ("put-function-concurrency", {"reserved_concurrent_executions": wanted})
            )
            self.of.report.find(
                f"The reserved concurrency of {self.of.name} is {_or_none(there)}, and "
                f"{_or_none(wanted)} in .chalice/config.json",
                why=self.of.stays_behind
                if there == 0
                else "It is what a flood of events can take of the account's runs.",
                remedy=self.of.aws("lambda", operation, function_name=self.of.name, **option),
            )


def _or_none(number: int | None) -> str:
    return "none" if number is None else str(number)
