"""Refuses settings in `.chalice/config.json` that Chalice accepts but that cannot work here."""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from admin.config.reading import APP_NAME, FUNCTIONS, ConfigError, StageConfig, policy_file

# Seconds. With less time left, `promote` neither repeats a request nor starts another wave of
# parts.
SHORTEST_TIMEOUT = 210
# Seconds, and MB (Lambda developer guide, "Lambda quotas").
LONGEST_TIMEOUT = 900
LEAST_MEMORY, MOST_MEMORY = 128, 10_240
ARCHITECTURES = ("arm64", "x86_64")
BUCKETS = ("INCOMING_BUCKET", "VAULT_BUCKET")
# The prefix of the example buckets' names.
EXAMPLE = "change-me"


def refuse_what_cannot_work(stage: StageConfig) -> None:
    """Raise ConfigError with the first reason why the functions would not work as configured."""
    for problem in _problems(stage):
        raise ConfigError(problem)


def refuse_shared_buckets(stage: StageConfig) -> None:
    """Raise ConfigError if another stage has a bucket of this stage, as incoming or as vault.

    The vault's bucket policy allows the functions of one stage, and incoming notifies one function.
    The stage dev has its buckets in the local cloud, so their names do not count.
    """
    ours = _buckets(stage)
    others = stage.config["stages"].keys() - {stage.name, "dev"}
    for other in sorted(others) if stage.name != "dev" else ():
        theirs = _buckets(StageConfig(stage.config, other))
        for bucket in sorted(ours.keys() & theirs.keys()):
            if not bucket.startswith(EXAMPLE):
                raise ConfigError(
                    f"{bucket} is its {ours[bucket]} and also the {theirs[bucket]} of stage "
                    f"{other}; give each stage two buckets of its own"
                )


def _buckets(stage: StageConfig) -> dict[str, str]:
    """Each bucket, with the variable that names it."""
    # Mistakes in another stage do not matter here: that stage is refused when it is used.
    with suppress(AttributeError, TypeError):
        environment = stage.of(FUNCTIONS[0]).environment_variables
        return {environment[name]: name for name in BUCKETS if environment.get(name)}
    return {}


def _problems(stage: StageConfig) -> Iterator[str]:
    """A sentence for each setting that cannot work, which explains what to change."""
    app_name = stage.of(FUNCTIONS[0]).app_name
    if app_name != APP_NAME:
        yield (
            f'app_name is {_shown(app_name)}; write "{APP_NAME}", because the names of roles, '
            "users, alarms and metrics begin with it"
        )
    for function in FUNCTIONS:
        yield from _problems_of_rights(stage, function)
        yield from _problems_of_runs(stage.of(function), function)
    timeouts = {function: stage.of(function).lambda_timeout for function in ("promote", "sweep")}
    if len(set(timeouts.values())) > 1:
        each = " and ".join(f"{seconds} for {function}" for function, seconds in timeouts.items())
        yield (
            f"lambda_timeout is {each}; set one number in the stage, because sweep uses its "
            "own to judge how much promote can copy"
        )


def _problems_of_rights(stage: StageConfig, function: str) -> Iterator[str]:
    read = stage.of(function)
    # Chalice ignores iam_role_arn unless manage_iam_role is false.
    if not read.manage_iam_role or read.iam_role_arn:
        yield (
            f"{function} has a role of your own; remove manage_iam_role and iam_role_arn, because "
            f"only the role that Chalice creates, {APP_NAME}-{stage.name}-{function}, gets the "
            "generated rights, and the vault's bucket policy allows no other to add backups"
        )
    if read.autogen_policy:
        yield (
            f"{function} would get an IAM policy that Chalice generates, without the rights for a "
            'copy; write "autogen_policy": false to use the one made from policy.toml'
        )
    # Without this check, Chalice would use the file of another stage or function. If no file is
    # named, it would fail with a traceback, because nothing here writes the file that it looks for.
    expected = policy_file(stage.name, function)
    if (written := read.iam_policy_file) != expected:
        line = json.dumps({function: {"iam_policy_file": expected}})[1:-1]
        yield (
            f"{function} has {written or 'no IAM policy file'} in .chalice/config.json; "
            f'add {line} to "lambda_functions" of the stage'
        )


def _problems_of_runs(read: Any, function: str) -> Iterator[str]:
    for key, value, least, most, unit in (
        ("lambda_timeout", read.lambda_timeout, SHORTEST_TIMEOUT, LONGEST_TIMEOUT, "seconds"),
        ("lambda_memory_size", read.lambda_memory_size, LEAST_MEMORY, MOST_MEMORY, "MB"),
    ):
        # bool is a subclass of int.
        if type(value) is not int or not least <= value <= most:
            yield (
                f"{key} of {function} is {_shown(value)}; write a number of {unit} from {least} "
                f"to {most:,}"
            )
    if read.lambda_architecture not in ARCHITECTURES:
        yield (
            f"lambda_architecture is {_shown(read.lambda_architecture)}; write "
            f"{' or '.join(map(json.dumps, ARCHITECTURES))}"
        )
    if read.reserved_concurrency == 0:
        yield f"reserved_concurrency of {function} is 0, so it would never run; remove it"
    # Lambda refuses to create such a function (CreateNetworkInterface, PutTraceSegments).
    if read.subnet_ids or read.security_group_ids:
        yield (
            f"{function} would run in a VPC, for which its role has no rights; remove subnet_ids "
            "and security_group_ids"
        )
    if read.xray_enabled:
        yield f"X-Ray would trace {function}, for which its role has no rights; remove xray"
    if read.automatic_layer:
        yield (
            "automatic_layer would ship the packages apart from the code, where backups check "
            "does not compare them; remove it"
        )


def _shown(value: Any) -> str:
    return "not set" if value is None else json.dumps(value)
