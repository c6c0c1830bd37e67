"""Whether a statement of a bucket policy denies a request that is only partly known.

A condition on unknown values, such as the network that a request comes from, counts as met, so that
every statement that could deny the request is found.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from admin.desired.permissions import Document, as_list

# Values of requests that boto3, aws, rclone and s3cmd send with a user's or a role's credentials.
_OF_EVERY_REQUEST = {
    "aws:principalisawsservice": "false",
    "aws:viaawsservice": "false",
    "aws:securetransport": "true",
    "s3:tlsversion": "1.3",
    "s3:authtype": "REST-HEADER",
    "s3:signatureversion": "AWS4-HMAC-SHA256",
}
# Keys that no such request has.
_OF_NO_REQUEST = frozenset(
    {
        "aws:calledvia",
        "aws:calledviafirst",
        "aws:calledvialast",
        "aws:sourceaccount",
        "aws:sourcearn",
        "s3:object-lock-legal-hold",
        "s3:object-lock-mode",
        "s3:object-lock-retain-until-date",
        "s3:x-amz-acl",
        "s3:x-amz-grant-full-control",
        "s3:x-amz-grant-read",
        "s3:x-amz-grant-write",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
        "s3:x-amz-server-side-encryption-customer-algorithm",
    }
)
# A policy variable can have any value: a pattern that contains one counts as a match, and an
# exception that contains one is ignored.
_VARIABLE = re.compile(r"\$\{[^}]*\}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request to S3: `action` (without s3:) of the user or role `principal` on `resource`.

    `keys` are further condition keys in lowercase (None: the request does not have this key).
    """

    principal: str
    action: str
    resource: str
    keys: Mapping[str, str | None]

    def value_of(self, key: str) -> str | None:
        """The value of a condition key; None if the request does not have it.

        Raises KeyError if it is unknown.
        """
        if key == "aws:principalarn":
            return self.principal
        if key == "aws:principalaccount":
            return self.principal.split(":")[4]
        if key in self.keys:
            return self.keys[key]
        return None if key in _OF_NO_REQUEST else _OF_EVERY_REQUEST[key]


def could_deny(statement: Document, request: Request) -> bool:
    """Whether the statement, a Deny, could deny the request."""
    return (
        _names(statement, request.principal)
        and _selects(statement, "Action", f"s3:{request.action}", ignore_case=True)
        and _selects(statement, "Resource", request.resource, ignore_case=False)
        and all(
            _could_be_met(operator, key.lower(), as_list(values), request)
            for operator, keys in statement.get("Condition", {}).items()
            for key, values in keys.items()
        )
    )


def _names(statement: Document, principal: str) -> bool:
    account = principal.split(":")[4]
    whole_account = {"*", account, f"arn:aws:iam::{account}:root"}
    if "NotPrincipal" in statement:
        # AWS checks the account first: NotPrincipal excludes a user or role only if it names both
        # (IAM user guide, "NotPrincipal").
        named = _principals(statement["NotPrincipal"])
        return "*" not in named and (principal not in named or named.isdisjoint(whole_account))
    # A canonical user is an account, but does not show which one.
    could_be_ours = "CanonicalUser" in statement["Principal"]
    return could_be_ours or bool({principal, *whole_account} & _principals(statement["Principal"]))


def _principals(element: Any) -> set[str]:
    return set(as_list(element.get("AWS", [])) if isinstance(element, dict) else [element])


def _selects(statement: Document, element: str, value: str, *, ignore_case: bool) -> bool:
    def is_in(patterns: list[str]) -> bool:
        return any(_like(pattern, value, ignore_case=ignore_case) for pattern in patterns)

    if element in statement:
        return is_in([_VARIABLE.sub("*", pattern) for pattern in as_list(statement[element])])
    excluded = as_list(statement[f"Not{element}"])
    return not is_in([pattern for pattern in excluded if not _VARIABLE.search(pattern)])


def _could_be_met(operator: str, key: str, values: list[Any], request: Request) -> bool:
    try:
        value = request.value_of(key)
    except KeyError:
        return True
    patterns = [str(item).lower() if isinstance(item, bool) else str(item) for item in values]
    if operator == "Null":
        return (value is None) == ("true" in patterns)
    if ":" in operator:  # ForAllValues:StringLike, for keys with several values
        return True
    name = operator.removesuffix("IfExists")
    is_negated = "Not" in name
    if value is None:
        # A negated operator matches a missing key.
        return is_negated or name != operator
    compare = _COMPARISONS.get(name.replace("Not", ""))
    if compare is None or any("${" in pattern for pattern in patterns):
        return True
    return any(compare(pattern, value) for pattern in patterns) != is_negated


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    text = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text, re.DOTALL)


def _like(pattern: str, value: str, *, ignore_case: bool = False) -> bool:
    if ignore_case:
        pattern, value = pattern.lower(), value.lower()
    return _expression(pattern).fullmatch(value) is not None


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    return lambda pattern, value: compare(float(value), float(pattern))


_COMPARISONS: dict[str, Callable[[str, str], bool]] = {
    "Bool": lambda pattern, value: pattern.lower() == value,
    "StringEquals": lambda pattern, value: pattern == value,
    "StringEqualsIgnoreCase": lambda pattern, value: pattern.lower() == value.lower(),
    "StringLike": _like,
    "ArnEquals": _like,
    "ArnLike": _like,
    "NumericLessThan": _number(float.__lt__),
    "NumericLessThanEquals": _number(float.__le__),
    "NumericGreaterThan": _number(float.__gt__),
    "NumericGreaterThanEquals": _number(float.__ge__),
}
