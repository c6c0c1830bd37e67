"""Checks a function's configuration against what `chalice deploy` would set."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from admin.check.deployed_function import DeployedFunction
from admin.stage import as_chalice_reads

# Any supported runtime will do: it depends on the Python of whoever deployed.
SUPPORTED_RUNTIME = re.compile(r"python3\.1[1-9]")


@dataclass(frozen=True)
class Configuration:
    """A function's configuration: `live` is the Configuration that GetFunction returns."""

    deployed: DeployedFunction
    live: dict[str, Any]

    def check(self) -> None:
        """Find every difference, each with the command that fixes it."""
        self._check_environment()
        self._check_what_chalice_sets()
        self._check_what_chalice_leaves()
        self._check_concurrency()

    def _check_environment(self) -> None:
        actual = self.live.get("Environment", {}).get("Variables", {})
        desired = self.deployed.target.stage.environment
        for variable in sorted({*desired, *actual}):
            if actual.get(variable) != desired.get(variable):
                self.deployed.report.find(
                    f"{self.deployed.name} was deployed with "
                    f"{variable}={actual.get(variable, '')}, but "
                    f".chalice/config.json has {desired.get(variable, 'no such variable')}",
                    why="The function uses the value that it was deployed with.",
                    remedy=self.deployed.deploy,
                )

    def _check_what_chalice_sets(self) -> None:
        for what, actual, desired in self._set_by_chalice():
            if actual != desired:
                self.deployed.report.find(
                    f"The {what} of {self.deployed.name} is {actual}, but should be {desired}",
                    why="It decides whether the function works, and whose code runs.",
                    remedy=self.deployed.deploy,
                )

    def _check_what_chalice_leaves(self) -> None:
        for what, actual, desired, option in self._left_by_chalice():
            if actual != desired:
                self.deployed.report.find(
                    f"The {what} of {self.deployed.name} is {json.dumps(actual)}, but should be "
                    f"{json.dumps(desired)}",
                    why="It decides which code runs, what that depends on, and where its log goes.",
                    remedy=self.deployed.aws(
                        "lambda",
                        "update-function-configuration",
                        function_name=self.deployed.name,
                        **option,
                    ),
                )

    def _set_by_chalice(self) -> Iterator[tuple[str, Any, Any]]:
        """Name, actual and desired value of everything that each deployment sets."""
        config, live = (
            as_chalice_reads(self.deployed.target.stage, self.deployed.function),
            self.live,
        )
        runtime = live.get("Runtime", "")
        is_supported = SUPPORTED_RUNTIME.fullmatch(runtime)
        network = live.get("VpcConfig", {})
        yield (
            "Role",
            live["Role"],
            f"arn:aws:iam::{self.deployed.target.account.id}:role/{self.deployed.name}",
        )
        yield "Runtime", runtime, runtime if is_supported else config.lambda_python_version
        yield "Timeout", live["Timeout"], config.lambda_timeout
        yield "MemorySize", live["MemorySize"], config.lambda_memory_size
        yield "Layers", [layer["Arn"] for layer in live.get("Layers", [])], config.layers or []
        yield "SubnetIds", sorted(network.get("SubnetIds", [])), sorted(config.subnet_ids or [])
        yield (
            "SecurityGroupIds",
            sorted(network.get("SecurityGroupIds", [])),
            sorted(config.security_group_ids or []),
        )

    def _left_by_chalice(self) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
        """Name, actual and desired value of everything that deploying an existing function leaves.

        And the argument of UpdateFunctionConfiguration that sets it; an empty value removes it.
        """
        live = self.live
        handler = f"app.{self.deployed.function}"
        # With a log filter or another log group the alarms would never go off.
        log = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.deployed.name}"}
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
        with self.deployed.report.checking(f"the reserved concurrency of {self.deployed.name}"):
            answer = self.deployed.client("lambda").get_function_concurrency(
                FunctionName=self.deployed.name
            )
            actual = answer.get("ReservedConcurrentExecutions")
            desired = as_chalice_reads(
                self.deployed.target.stage, self.deployed.function
            ).reserved_concurrency
            if actual == desired:
                return
            operation, option = (
                ("delete-function-concurrency", {})
                if desired is None
                else ("put-function-concurrency", {"reserved_concurrent_executions": desired})
            )
            self.deployed.report.find(
                f"The reserved concurrency of {self.deployed.name} is {_or_none(actual)}, but "
                f"{_or_none(desired)} in .chalice/config.json",
                why=self.deployed.stays_behind
                if actual == 0
                else "It limits how much of the account's concurrency a flood of events can use.",
                remedy=self.deployed.aws(
                    "lambda", operation, function_name=self.deployed.name, **option
                ),
            )


def _or_none(number: int | None) -> str:
    return "none" if number is None else str(number)
