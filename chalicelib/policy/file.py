"""Reads `policy.toml`, and refuses a mistake with one sentence."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from datetime import timedelta
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.policy.patterns import Pattern, PatternError, load_zone
from chalicelib.policy.policy import Policy
from chalicelib.policy.rules import Archive, PolicyError, Rule

POLICY_FILE = Path(__file__).parent.with_name("policy.toml")

_POLICY_SETTINGS = {"timezone", "accept_within_hours", "servers", "keep_days", "archive", "rule"}
_ARCHIVE_SETTINGS = {"after_days", "to"}
_RULE_SETTINGS = {
    "upload",
    "store_as",
    "timezone",
    "min_bytes",
    "max_bytes",
    "storage_class",
    "due_minutes",
    "expect",
    "small",
}
# The default of `expect` for a rule with %M, because few jobs run every minute.
_EXPECTED_OF_MINUTES = "24h"


def read_policy(path: Path = POLICY_FILE) -> Policy:
    """The policy in the file `path`.

    Raises PolicyError: one sentence that names the file, the rule, the value and the fix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PolicyError(f"{path} does not exist; write one as README.md shows") from None
    except UnicodeDecodeError as error:
        raise PolicyError(
            f"{path.name} is not valid UTF-8 (byte {error.start}); save it as UTF-8"
        ) from None
    try:
        return parse_policy(text)
    except PolicyError as error:
        raise PolicyError(f"{path.name}: {error}") from None


def parse_policy(text: str) -> Policy:
    """The policy in `text`, which is TOML. Raises PolicyError."""
    try:
        settings = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        last = f"at line {text.count(chr(10)) + 1}, the end of the file"
        problem = str(error).replace("at end of document", last)
        raise PolicyError(f"this is not TOML: {problem}") from None

    _refuse_unknown(settings, _POLICY_SETTINGS)
    timezone = _zone(_require(settings, "timezone", str, example='timezone = "Europe/London"'))
    if isinstance(settings.get("rule"), dict):
        raise PolicyError("rule must be written as [[rule]], with double brackets")
    rules = _typed(settings, "rule", list, default=[])
    return Policy(
        timezone=timezone,
        rules=tuple(_rule(rule, number, timezone) for number, rule in enumerate(rules, start=1)),
        servers=tuple(_strings(settings, "servers")),
        accept_within=_hours(settings),
        keep_days=_typed(settings, "keep_days", int, default=None),
        archive=_archive(_typed(settings, "archive", dict, default=None)),
    )


def _rule(settings: Any, number: int, timezone: ZoneInfo) -> Rule:
    if not isinstance(settings, dict):
        raise PolicyError("rule must be written as a [[rule]] section, with double brackets")
    upload = settings.get("upload")
    where = f"rule {number} ({upload})" if isinstance(upload, str) else f"rule {number}"
    try:
        _refuse_unknown(settings, _RULE_SETTINGS)
        store_as = _require(settings, "store_as", str, example='store_as = "%Y-%m-%d.tar.gz.gpg"')
        try:
            pattern = Pattern(store_as)
        except PatternError as error:
            raise PolicyError(f'store_as = "{store_as}": {error}') from None
        return Rule(
            upload=_require(settings, "upload", str, example='upload = "backup.tar.gz.gpg"'),
            store_as=pattern,
            timezone=_zone(settings["timezone"]) if "timezone" in settings else timezone,
            min_bytes=_typed(settings, "min_bytes", int, default=1),
            max_bytes=_typed(settings, "max_bytes", int, default=None),
            storage_class=_typed(settings, "storage_class", str, default="STANDARD"),
            due_minutes=_typed(settings, "due_minutes", int, default=None),
            expect=_expectation(settings, pattern),
            small=_typed(settings, "small", bool, default=True),
        )
    except PolicyError as error:
        raise PolicyError(f"{where}: {error}") from None


def _zone(name: Any) -> ZoneInfo:
    if not isinstance(name, str):
        raise PolicyError(f'timezone = {name!r} must be a string, for example "Europe/London"')
    # A file with that name is not enough: on macOS, even `europe/london` would open one.
    known = resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    if name in known:
        return load_zone(name)
    # Etc/GMT+1 is west of Greenwich, which is hardly what anyone means by +1.
    zones = {zone.casefold(): zone for zone in known if not zone.startswith("Etc/GMT")}
    near = [zone for zone in zones if zone.endswith("/" + name.casefold())]
    near = near or difflib.get_close_matches(name.casefold(), zones, n=3, cutoff=0.5)
    names = [zones[zone] for zone in near]
    hint = (
        f"did you mean {_listed(names)}?" if names else 'use an IANA name such as "Europe/London"'
    )
    raise PolicyError(f'timezone = "{name}" does not exist; {hint}')


def _archive(settings: dict[str, Any] | None) -> Archive | None:
    if settings is None:
        return None
    _refuse_unknown(settings, _ARCHIVE_SETTINGS)
    example = 'archive = { after_days = 30, to = "GLACIER_IR" }'
    return Archive(
        after_days=_require(settings, "after_days", int, example=example),
        to=_require(settings, "to", str, example=example),
    )


def _hours(settings: Mapping[str, Any]) -> timedelta:
    hours = _typed(settings, "accept_within_hours", int, default=168)
    try:
        return timedelta(hours=hours)
    except OverflowError:
        return timedelta.max


def _expectation(settings: Mapping[str, Any], pattern: Pattern) -> bool | timedelta:
    default = _EXPECTED_OF_MINUTES if pattern.unit == "minute" else True
    value = settings.get("expect", default)
    if isinstance(value, bool):
        return value
    if not isinstance(value, str) or not re.fullmatch("[0-9]{1,5}h", value):
        raise PolicyError(
            f"expect = {value!r} must be true (a backup in every slot), false (none), or the "
            'greatest age of the newest backup in hours, for example "80h"'
        )
    return timedelta(hours=int(value.removesuffix("h")))


def _refuse_unknown(settings: Mapping[str, Any], known: Iterable[str]) -> None:
    for name in settings:
        if name not in known:
            # In TOML, everything after a [[rule]] belongs to that rule.
            if name in _POLICY_SETTINGS:
                raise PolicyError(f"{name} is for all rules; move it above the first [[rule]]")
            near = difflib.get_close_matches(name, known, n=1)
            hint = (
                f'did you mean "{near[0]}"?'
                if near
                else f"the settings are {_listed(sorted(known))}"
            )
            raise PolicyError(f'"{name}" is not a setting; {hint}')


_TYPE_NAMES = {
    bool: "true or false",
    str: "a string",
    int: "a whole number",
    list: "a list in brackets",
    dict: "a table in braces",
}


def _typed(settings: Mapping[str, Any], name: str, kind: type, *, default: Any) -> Any:
    value = settings.get(name, default)
    # bool is a subclass of int: `min_bytes = true` must not pass for 1.
    if name in settings and (
        not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
    ):
        raise PolicyError(f"{name} = {value!r} must be {_TYPE_NAMES[kind]}")
    return value


def _require(settings: Mapping[str, Any], name: str, kind: type, *, example: str) -> Any:
    if name not in settings:
        raise PolicyError(f"{name} is missing; write, for example, {example}")
    return _typed(settings, name, kind, default=None)


def _strings(settings: Mapping[str, Any], name: str) -> list[str]:
    values: list[str] = _typed(settings, name, list, default=[])
    if name in settings and not values:
        raise PolicyError(
            f"{name} is empty; list at least one server, or remove the line for bare names"
        )
    for value in values:
        if not isinstance(value, str):
            raise PolicyError(f'{name} has {value!r}, which must be a string, for example "web1"')
    return values


def _listed(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
