"""Evaluates conditions of IAM policies as far as the values of their keys are known."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from admin.check.people.patterns import VARIABLE, matches, widest
from admin.desired.permissions import as_list

# The values of condition keys, by their names in lowercase. None: known to be absent from the
# request. A key that is not in the mapping could have any value, or none.
Context = Mapping[str, str | None]
NOTHING_KNOWN: Context = {}

_ARN_PARTS = 5


def can_hold(condition: Mapping[str, Any], context: Context) -> bool:
    """Whether some request in this context meets the condition."""
    return False not in _results(condition, context)


def must_hold(condition: Mapping[str, Any], context: Context) -> bool:
    """Whether every request in this context meets the condition."""
    return all(result is True for result in _results(condition, context))


def unknown_keys(condition: Mapping[str, Any], context: Context) -> tuple[str, ...]:
    """The keys that decide whether a request in this context meets the condition."""
    return tuple(
        key
        for operator, keys in condition.items()
        for key, values in keys.items()
        if _result(operator, key, values, context) is None
    )


def values_of(condition: Mapping[str, Any], key: str) -> Iterator[str]:
    """The values to which a condition compares a key, whatever the operator."""
    for keys in condition.values():
        for name, values in keys.items():
            if name.lower() == key:
                yield from map(str, as_list(values))


def required_values(condition: Mapping[str, Any], key: str) -> list[str] | None:
    """Patterns, one of which the key must match; None if the condition does not restrict it."""
    for operator, keys in condition.items():
        name = operator.removeprefix("ForAnyValue:")
        for each, values in keys.items():
            if name in _POSITIVE and each.lower() == key:
                return [str(value) for value in as_list(values)]
    return None


def _results(condition: Mapping[str, Any], context: Context) -> Iterator[bool | None]:
    for operator, keys in condition.items():
        for key, values in keys.items():
            yield _result(operator, key, values, context)


def _result(operator: str, key: str, values: Any, context: Context) -> bool | None:
    """Whether the condition on one key is met; None if that is unknown."""
    if key.lower() not in context:
        return None
    value, texts = context[key.lower()], [str(each) for each in as_list(values)]
    if operator == "Null":
        wanted = {text.lower() for text in texts}
        return str(value is None).lower() in wanted
    name = operator.removesuffix("IfExists")
    if name in _POSITIVE:
        negated = False
    elif (positive := name.replace("Not", "", 1)) in _POSITIVE:
        name, negated = positive, True
    else:
        return None
    if value is None:
        # A negated operator matches a missing key, with and without IfExists.
        return negated or name != operator
    found = _any_matches(name, texts, value)
    return found if found is None else found is not negated


_POSITIVE = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}
)


def _any_matches(operator: str, patterns: Iterable[str], value: str) -> bool | None:
    """Whether a pattern matches the value; None if that depends on a variable.

    It is also None for a pattern such as `arn:aws:iam::*`, which lacks parts of an ARN: AWS does
    not document whether it matches.
    """
    unknown = False
    for pattern in patterns:
        if VARIABLE.search(pattern) or _is_short(operator, pattern):
            unknown |= matches(widest(pattern).lower(), value.lower())
        elif _matches(operator, pattern, value):
            return True
    return None if unknown else False


def _is_short(operator: str, pattern: str) -> bool:
    return operator.startswith("Arn") and pattern.count(":") < _ARN_PARTS


def _matches(operator: str, pattern: str, value: str) -> bool:
    match operator:
        case "StringEquals":
            return pattern == value
        case "StringEqualsIgnoreCase":
            return pattern.lower() == value.lower()
        case "StringLike":
            return matches(pattern, value)
        case _:  # the parts of an ARN are compared one by one
            parts, found = (text.split(":", _ARN_PARTS) for text in (pattern, value))
            return len(parts) == len(found) and all(map(matches, parts, found))
