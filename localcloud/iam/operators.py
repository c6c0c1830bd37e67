"""IAM's condition operators and wildcards."""

import re
from collections.abc import Callable
from functools import cache


class UnsupportedPolicy(ValueError):
    """A policy uses something that is not supported here."""


def _bool(pattern: str, value: str) -> bool:
    return boolean(pattern) == value.lower()


def boolean(text: str) -> str:
    """`true` or `false`, from any spelling. Raises UnsupportedPolicy."""
    if text.lower() not in ("true", "false"):
        raise UnsupportedPolicy(f"Neither true nor false: {text!r}")
    return text.lower()


def _equals(pattern: str, value: str) -> bool:
    return "".join(char for char, _ in tokens(pattern)) == value


def _equals_ignoring_case(pattern: str, value: str) -> bool:
    return _equals(pattern.lower(), value.lower())


def like(pattern: str, value: str) -> bool:
    """Whether `value` matches `pattern`, in which `*` and `?` are wildcards."""
    return _pattern(pattern).fullmatch(value) is not None


def _arn_like(pattern: str, value: str) -> bool:
    if pattern.count(":") < _ARN_COLONS:
        raise UnsupportedPolicy(f"Not an ARN: {pattern!r}")
    patterns, parts = pattern.split(":", _ARN_COLONS), value.split(":", _ARN_COLONS)
    return len(patterns) == len(parts) and all(map(like, patterns, parts))


_ARN_COLONS = 5  # arn:partition:service:region:account:resource, which can contain colons


def _numeric(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def matches(pattern: str, value: str) -> bool:
        try:
            return compare(float(value), float(pattern))
        except ValueError:
            raise UnsupportedPolicy(f"Not numbers: {pattern!r}, {value!r}") from None

    return matches


# The comparison, and whether its result is negated.
OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "Bool": (_bool, False),
    "StringEquals": (_equals, False),
    "StringNotEquals": (_equals, True),
    "StringEqualsIgnoreCase": (_equals_ignoring_case, False),
    "StringNotEqualsIgnoreCase": (_equals_ignoring_case, True),
    "StringLike": (like, False),
    "StringNotLike": (like, True),
    "ArnEquals": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnLike": (_arn_like, False),
    "ArnNotLike": (_arn_like, True),
    "NumericEquals": (_numeric(float.__eq__), False),
    "NumericNotEquals": (_numeric(float.__eq__), True),
    "NumericLessThan": (_numeric(float.__lt__), False),
    "NumericLessThanEquals": (_numeric(float.__le__), False),
    "NumericGreaterThan": (_numeric(float.__gt__), False),
    "NumericGreaterThanEquals": (_numeric(float.__ge__), False),
}


@cache
def _pattern(text: str) -> re.Pattern[str]:
    wildcards = {"*": ".*", "?": "."}
    return re.compile(
        "".join(wildcards[c] if wild else re.escape(c) for c, wild in tokens(text)), re.DOTALL
    )


@cache
def tokens(text: str) -> tuple[tuple[str, bool], ...]:
    """Each character, and whether it is a wildcard: `${*}`, `${?}` and `${$}` are not."""
    matches = re.findall(r"\$\{[*?$]\}|\$\{|.", text, re.DOTALL)
    if "${" in matches:
        raise UnsupportedPolicy(f"Policy variables are not supported: {text!r}")
    return tuple((t[2], False) if len(t) > 1 else (t, t in "*?") for t in matches)
