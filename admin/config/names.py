"""Refuses misspelled names in `.chalice/config.json`, which would be ignored.

Chalice ignores unknown keys, and this app ignores unknown variables: a misspelled
VAULT_OWNER silently switches off a protection.
"""

import difflib
import inspect
import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from chalice.config import Config

from admin.config.reading import FUNCTIONS, ConfigError

# Our own keys in a stage, which Chalice ignores. LOCK is the vault's lock, for example
# {"mode": "GOVERNANCE", "days": 90}, or "none"; INCOMING_ALARM has the limits of the alarms on
# incoming, {"bytes": 1099511627776, "versions": 10000}; ALERT_SUBSCRIBERS lists who receives the
# alerts: addresses, URLs and ARNs; ACCEPTED has the names that were given to `setup --accept`;
# TRAIL is true after `setup --trail`.
LOCK = "vault_lock"
INCOMING_ALARM = "incoming_alarm"
ADMINISTRATORS = "administrators"
ALERT_SUBSCRIBERS = "alert_subscribers"
ACCEPTED = "accepted"
TRAIL = "trail"
OUR_KEYS = frozenset({LOCK, INCOMING_ALARM, ADMINISTRATORS, ALERT_SUBSCRIBERS, ACCEPTED, TRAIL})

ENDPOINT = "AWS_ENDPOINT_URL"
OUR_VARIABLES = frozenset(
    {
        "INCOMING_BUCKET",
        "VAULT_BUCKET",
        "INCOMING_OWNER",
        "VAULT_OWNER",
        "VAULT_SETTINGS",
        "ALERT_TOPIC_ARN",
        "HEARTBEAT_URL",
        ENDPOINT,
    }
)
# The words that only our variables start with.
OUR_WORDS = frozenset({"INCOMING", "VAULT", "ALERT", "HEARTBEAT"})
# With this variable, the function would import a module that does not ship.
DEV_ROUTES = "BACKUPS_DEV_ROUTES"
# Names with at least this similarity count as the same name: VAULT_ONWER and VAULT_OWNER have 0.91,
# and no two of our own names are so similar.
ALIKE = 0.8
# Lambda developer guide, "Reserved environment variables".
RESERVED_BY_LAMBDA = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


class _Consulted(dict[str, Any]):
    """A dictionary that records which keys were looked up in it."""

    def __init__(self, **items: Any) -> None:
        super().__init__(items)
        self.keys_looked_up: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_looked_up.add(key)
        return super().get(key, default)


@dataclass(frozen=True)
class ChaliceKeys:
    """The keys that Chalice looks up in each part of config.json."""

    top: frozenset[str]
    stage: frozenset[str]
    function: frozenset[str]
    function_of_all_stages: frozenset[str]


@cache
def chalice_keys() -> ChaliceKeys:
    """The keys that this version of Chalice looks up, found by reading all its settings."""
    function, of_all_stages = _Consulted(), _Consulted()
    stage = _Consulted(lambda_functions={"f": function})
    top = _Consulted(stages={"s": stage}, lambda_functions={"f": of_all_stages})
    config = Config(chalice_stage="s", function_name="f", config_from_disk=top)
    for setting, _ in inspect.getmembers(Config, lambda member: isinstance(member, property)):
        with suppress(TypeError):  # one of them loads the app, of which there is none
            getattr(config, setting)
    parts = (top, stage, function, of_all_stages)
    return ChaliceKeys(*(frozenset(part.keys_looked_up) for part in parts))


def refuse_unknown_names(config: dict[str, Any], stage: str) -> None:
    """Raise ConfigError for a key or a variable of the stage that is misspelled or misplaced."""
    for part in _parts(config, stage):
        if not isinstance(part.content, dict):
            raise ConfigError(f"{part.name} must be an object, in braces")
        if part.known is None:
            _check_variables(part)
        else:
            _check_keys(part.content, part.known, part.name)


@dataclass(frozen=True)
class _Part:
    """An object in config.json. `known` are its possible keys; None: its keys are variables."""

    name: str
    content: Any
    known: frozenset[str] | None


def _parts(config: dict[str, Any], stage: str) -> Iterator[_Part]:
    """Everything that Chalice reads for the stage; objects come after those that contain them."""
    known = chalice_keys()
    yield _Part("config.json", config, known.top)
    yield from _inside(config, "all stages", known.function_of_all_stages)
    in_stage = config["stages"][stage]
    yield _Part("the stage", in_stage, known.stage | OUR_KEYS)
    yield from _inside(in_stage, "the stage", known.function)


def _inside(content: dict[str, Any], owner: str, known: frozenset[str]) -> Iterator[_Part]:
    yield from _variables(content, owner)
    functions = content.get("lambda_functions", {})
    yield _Part(f'"lambda_functions" of {owner}', functions, frozenset(FUNCTIONS))
    for function, of_function in functions.items():
        yield _Part(f"{function} of {owner}", of_function, known)
        yield from _variables(of_function, f"{function} of {owner}")


def _variables(content: dict[str, Any], owner: str) -> Iterator[_Part]:
    name = "environment_variables"
    yield _Part(f'"{name}" of {owner}', content.get(name, {}), None)


def _check_keys(content: Iterable[str], known: frozenset[str], where: str) -> None:
    for key in content:
        if key not in known:
            raise ConfigError(f'"{key}" in {where} {_advice(key, known)}')


def _advice(key: str, known: frozenset[str]) -> str:
    if key in chalice_keys().stage | OUR_KEYS:
        return "is not read there; move it into the stage"
    if key in chalice_keys().top:
        return "is not read there; move it to the top of the file"
    if near := difflib.get_close_matches(key, sorted(known), n=1):
        return f'is not a setting; did you mean "{near[0]}"?'
    return "is not a setting of Chalice or of this app; remove it"


def _check_variables(part: _Part) -> None:
    """Raise ConfigError for a variable that looks misspelled, or that cannot be set.

    All other variables pass: Python and the packages read some (TZ, HTTPS_PROXY,
    POWERTOOLS_LOG_LEVEL), and a name unlike ours is not a misspelling.
    """
    for variable, value in part.content.items():
        if not isinstance(value, str):
            raise ConfigError(f"{variable} is {json.dumps(value)}; write a string, in quotes")
        if variable == DEV_ROUTES:
            raise ConfigError(
                f"{variable} is for the shell that runs chalice local; remove it from {part.name}"
            )
        if variable in RESERVED_BY_LAMBDA:
            raise ConfigError(f"{variable} is set by Lambda alone; remove it from {part.name}")
        # boto3 reads an endpoint for each service, such as AWS_ENDPOINT_URL_S3.
        if variable in OUR_VARIABLES or variable.startswith(f"{ENDPOINT}_"):
            continue
        name = variable.upper()
        is_ours = name.split("_")[0] in OUR_WORDS
        if near := difflib.get_close_matches(
            name, sorted(OUR_VARIABLES), n=1, cutoff=0 if is_ours else ALIKE
        ):
            raise ConfigError(
                f"{variable} in {part.name} is not a variable of this app; did you mean {near[0]}?"
            )
