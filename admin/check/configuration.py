"""Checks a function's configuration against what `chalice deploy` would set."""

import json
import re
from collections.abc import Iterator
from typing import Any

from admin.check.deployed_function import DeployedFunction
from admin.check.report import Finding
from admin.desired.audit import HEARTBEAT_URL
from admin.setup.recorded import VARIABLE
from admin.stage import as_chalice_reads

# What GetFunction returns but is not compared, each with the reason.
MAY_DIFFER = {
    "FunctionName": "it is the function in the request",
    "FunctionArn": "it follows from the name",
    "Version": "it is always $LATEST",
    "MasterArn": "only copies at the edge have it",
    "PackageType": "it is compared first of all",
    "ImageConfigResponse": "only container images have it",
    "CodeSize": "the code is compared file by file",
    "CodeSha256": "the code is compared file by file",
    "ConfigSha256": "the configuration itself is compared",
    "RevisionId": "it changes with every change",
    "LastModified": "it changes with every change",
    "Description": "nothing reads it",
    "Architectures": "the code is pure Python",
    "RuntimeVersionConfig": "AWS keeps the runtime up to date",
    "EphemeralStorage": "the functions write no files",
    "SnapStart": "only published versions have it, and nothing invokes those",
    "TracingConfig": "it only measures",
    "SigningProfileVersionArn": "the code is compared file by file",
    "SigningJobArn": "the code is compared file by file",
    "State": "a function that cannot run is found by the uploads that wait",
    "StateReason": "it explains the state",
    "StateReasonCode": "it explains the state",
    "LastUpdateStatus": "it describes an update whose result is compared",
    "LastUpdateStatusReason": "it explains the status",
    "LastUpdateStatusReasonCode": "it explains the status",
}
# What is compared below, each with its own message.
COMPARED = frozenset(
    {
        "Environment",
        "Role",
        "Runtime",
        "Timeout",
        "MemorySize",
        "Layers",
        "VpcConfig",
        "Handler",
        "KMSKeyArn",
        "DeadLetterConfig",
        "FileSystemConfigs",
        "LoggingConfig",
    }
)
# Any supported runtime will do: Chalice takes the version of the Python that deploys.
SUPPORTED_RUNTIME = re.compile(r"python3\.1[1-9]")


def check_configuration(function: DeployedFunction, actual: dict[str, Any]) -> Iterator[Finding]:
    """Compare the configuration that GetFunction returned with what a deployment would set."""
    yield from _check_environment(function, actual.get("Environment", {}).get("Variables", {}))
    for what, value, desired in _set_by_chalice(function, actual):
        if value != desired:
            yield Finding(
                what=f"The {what} of {function.name} is {value}, but should be {desired}",
                why="This decides whether the function works, and whose code runs.",
                remedy=function.target.fix_deploy(),
            )
    for what, value, desired, option in _left_by_chalice(function, actual):
        if value != desired:
            yield Finding(
                what=f"The {what} of {function.name} is {json.dumps(value)}, but should be "
                f"{json.dumps(desired)}",
                why="This decides which code runs, what it depends on, and where its log goes.",
                remedy=function.target.fix_aws(
                    "lambda", "update-function-configuration", function_name=function.name, **option
                ),
            )


def check_other_settings(function: DeployedFunction, actual: dict[str, Any]) -> Iterator[Finding]:
    """Find Lambda settings that this app does not use and that could run the code elsewhere."""
    for name in sorted(actual.keys() - MAY_DIFFER.keys() - COMPARED):
        if actual[name]:
            yield Finding(
                what=f"{function.name} has a {name}, {json.dumps(actual[name])}",
                why="This setting decides where and how the code runs.",
                remedy=function.fix_redeploy,
            )


def check_concurrency(function: DeployedFunction) -> Iterator[Finding]:
    """Compare the reserved concurrency with the one in config.json."""
    answer = function.client("lambda").get_function_concurrency(FunctionName=function.name)
    actual = answer.get("ReservedConcurrentExecutions")
    desired = as_chalice_reads(function.target.stage, function.handler).reserved_concurrency
    if actual == desired:
        return
    operation, option = (
        ("delete-function-concurrency", {})
        if desired is None
        else ("put-function-concurrency", {"reserved_concurrent_executions": desired})
    )
    yield Finding(
        what=f"The reserved concurrency of {function.name} is {_or_none(actual)}, but "
        f"{_or_none(desired)} in .chalice/config.json",
        why=function.stays_behind
        if actual == 0
        else "It limits how much of the account's concurrency a flood of events can use.",
        remedy=function.target.fix_aws("lambda", operation, function_name=function.name, **option),
    )


def _check_environment(function: DeployedFunction, actual: dict[str, str]) -> Iterator[Finding]:
    desired = function.target.stage.environment
    for variable in sorted({*desired, *actual}):
        if actual.get(variable) != desired.get(variable):
            difference = (
                f"{variable}={actual.get(variable, '')}, but .chalice/config.json has "
                f"{desired.get(variable, 'no such variable')}"
            )
            if variable == VARIABLE:
                recorded = (actual.get(variable, ""), desired.get(variable, ""))
                difference = f"other digests in {VARIABLE} than in .chalice/config.json: "
                difference += ", ".join(_names_that_differ(*recorded))
            elif variable == HEARTBEAT_URL:
                difference = f"another {variable} than in .chalice/config.json"
            yield Finding(
                what=f"{function.name} was deployed with {difference}",
                why="The function uses the value that it was deployed with.",
                remedy=function.target.fix_deploy(),
            )


def _names_that_differ(*recorded: str) -> list[str]:
    """The names of the settings whose digests differ between two values of VAULT_SETTINGS."""
    actual, desired = ({*filter(None, text.split(","))} for text in recorded)
    return sorted({item.partition("=")[0] for item in actual ^ desired})


def _set_by_chalice(
    function: DeployedFunction, actual: dict[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Name, actual and desired value of everything that each deployment sets."""
    target = function.target
    config = as_chalice_reads(target.stage, function.handler)
    runtime = actual.get("Runtime", "")
    is_supported = SUPPORTED_RUNTIME.fullmatch(runtime)
    network = actual.get("VpcConfig", {})
    yield "Role", actual["Role"], f"arn:aws:iam::{target.account.id}:role/{function.name}"
    yield "Runtime", runtime, runtime if is_supported else config.lambda_python_version
    yield "Timeout", actual["Timeout"], config.lambda_timeout
    yield "MemorySize", actual["MemorySize"], config.lambda_memory_size
    yield "Layers", [layer["Arn"] for layer in actual.get("Layers", [])], config.layers or []
    yield "SubnetIds", sorted(network.get("SubnetIds", [])), sorted(config.subnet_ids or [])
    yield (
        "SecurityGroupIds",
        sorted(network.get("SecurityGroupIds", [])),
        sorted(config.security_group_ids or []),
    )


def _left_by_chalice(
    function: DeployedFunction, actual: dict[str, Any]
) -> Iterator[tuple[str, Any, Any, dict[str, Any]]]:
    """Name, actual and desired value of everything that redeploying a function does not change.

    The last item is the argument of UpdateFunctionConfiguration that sets it; an empty value
    removes it.
    """
    handler = f"app.{function.handler}"
    # With a log filter or another log group the alarms would never go off.
    log = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{function.name}"}
    no_queue = {"dead_letter_config": {"TargetArn": ""}}
    yield "Handler", actual.get("Handler"), handler, {"handler": handler}
    yield "KMSKeyArn", actual.get("KMSKeyArn"), None, {"kms_key_arn": ""}
    yield "DeadLetterConfig", actual.get("DeadLetterConfig"), None, no_queue
    yield "FileSystemConfigs", actual.get("FileSystemConfigs", []), [], {"file_system_configs": []}
    yield "LoggingConfig", actual.get("LoggingConfig", log), log, {"logging_config": log}


def _or_none(number: int | None) -> str:
    return "none" if number is None else str(number)
