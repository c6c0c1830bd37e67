"""Reads trust policies: who can assume a role, in the account and from outside."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from admin.check.people.conditions import (
    Context,
    can_hold,
    must_hold,
    required_values,
    unknown_keys,
)
from admin.check.people.identities import Principal
from admin.check.people.patterns import matches
from admin.desired.permissions import Document, as_list, statements

ASSUME = "sts:AssumeRole"
# The STS action of a federated principal.
_FEDERATED = ("sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML")
ANYONE = "*"
# A service can be trusted in a single Region: states.us-east-1.amazonaws.com.
_IN_A_REGION = re.compile(r"\.[a-z]{2}(-[a-z]+)+-\d+(?=\.amazonaws\.com$)")


@dataclass(frozen=True, kw_only=True)
class Trusted:
    """How a trust policy allows a principal to assume the role.

    If not `by_name`, the principal's own policies have to allow it, too.
    """

    by_name: bool
    conditions: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outsider:
    """A principal outside the downloaded accounts that a role trusts.

    `arn` is the ARN of an account's root, of a principal, or of an identity provider; `*` is
    anyone. `can_be_known`: whether the ARN identifies who that is. The ARN of a public identity
    provider does not.
    """

    arn: str
    label: str
    can_be_known: bool = True


def trusted(role: Principal, principal: Principal) -> Trusted | None:
    """How the role's trust policy allows a user or role of a downloaded account, if it does."""
    found = None
    for statement in _naming(role):
        named = _names(statement, principal)
        condition = statement.get("Condition", {})
        if named is None:
            continue
        if statement["Effect"] == "Deny":
            if must_hold(condition, principal.context):
                return None
        elif can_hold(condition, principal.context) and not (found and found.by_name):
            found = Trusted(
                by_name=named and principal.account == role.account,
                conditions=unknown_keys(condition, principal.context),
            )
    return found


@cache
def services_of(role: Principal) -> tuple[str, ...]:
    """The services that can assume the role: Lambda, or whatever runs on an EC2 instance."""
    found: list[str] = []
    for statement in _about(role, ASSUME):
        principal = statement.get("Principal", {})
        if statement["Effect"] == "Allow" and isinstance(principal, dict):
            found += map(str, as_list(principal.get("Service", [])))
    return tuple(found)


@cache
def in_any_region(service: str) -> str:
    """The name of a service principal, without the Region that it can contain."""
    return _IN_A_REGION.sub("", service)


def providers_of(role: Principal) -> Iterator[str]:
    """The ARNs of the identity providers whose users can assume the role."""
    for action in _FEDERATED:
        for statement in _about(role, action):
            if statement["Effect"] == "Allow":
                yield from _federated_names(statement)


def outsiders(role: Principal, accounts: Collection[str]) -> Iterator[tuple[Outsider, Document]]:
    """Everyone outside these accounts who can assume the role, with the statement allowing it."""
    for statement in _about(role, ASSUME):
        if statement["Effect"] == "Allow":
            for outsider, context in _strangers(statement, accounts):
                if can_hold(statement.get("Condition", {}), context) and not _denied(
                    role, ASSUME, outsider.arn, context
                ):
                    yield outsider, statement
    if not role.is_of_identity_center:  # which decides who can assume its roles
        yield from _federated_in(role)


def _federated_in(role: Principal) -> Iterator[tuple[Outsider, Document]]:
    for action in _FEDERATED:
        for statement in _about(role, action):
            if statement["Effect"] == "Allow":
                for provider in _federated_names(statement):
                    if not _denied(role, action, provider, {}):
                        yield _federated(provider, statement), statement


def trusting(role: Principal, principal: Principal) -> list[Document]:
    """The statements of the role's trust policy that allow a user or role by name.

    Statements that name only its account also allow others.
    """
    return [
        statement
        for statement in _about(role, ASSUME)
        if statement["Effect"] == "Allow" and _names(statement, principal)
    ]


def without(statement: Document, arn: str, principal_id: str = "") -> Document | None:
    """The statement of a trust policy without a principal; None if it names no other.

    `arn` is that of a principal, an account's root or an identity provider; `principal_id` is IAM's
    unique ID.
    """
    principals = statement.get("Principal")
    if not isinstance(principals, dict):
        return None
    kept = {
        kind: others
        for kind, names in principals.items()
        if (others := [name for name in as_list(names) if not _means(name, arn, principal_id)])
    }
    return {**statement, "Principal": kept} if kept else None


def _means(name: str, arn: str, principal_id: str) -> bool:
    names = {ANYONE, arn, principal_id, re.sub(r"arn:aws:iam::(\d+):root", r"\1", arn)}
    return name in names or _is_session(name, arn)


def is_public(role: Principal) -> bool:
    """Whether anyone with an AWS account can assume the role."""
    return any(outsider.arn == ANYONE for outsider, _ in outsiders(role, ()))


def outside_conditions(statement: Document) -> tuple[str, ...]:
    """The conditions that decide whether a principal outside the accounts can assume a role.

    The claims of an identity provider's tokens have been evaluated.
    """
    return () if _federated_names(statement) else unknown_keys(statement.get("Condition", {}), {})


def _federated_names(statement: Document) -> list[str]:
    principal = statement.get("Principal", {})
    names = as_list(principal.get("Federated", [])) if isinstance(principal, dict) else []
    return [str(name) for name in names]


@cache
def _about(role: Principal, action: str) -> tuple[Document, ...]:
    """The statements of a role's trust policy that allow an action."""
    every = statements(role.trust) if role.trust else []
    return tuple(statement for statement in every if _selects(statement, action))


@cache
def _naming(role: Principal) -> tuple[Document, ...]:
    """The statements about assuming the role that could name users and roles, not only services."""
    return tuple(
        statement
        for statement in _about(role, ASSUME)
        if "NotPrincipal" in statement or _aws(statement.get("Principal", {}))
    )


def _selects(statement: Document, action: str) -> bool:
    patterns = as_list(statement.get("Action", statement.get("NotAction", [])))
    found = any(matches(str(pattern).lower(), action.lower()) for pattern in patterns)
    return found if "Action" in statement else not found


def _names(statement: Document, principal: Principal) -> bool | None:
    """Whether a statement names the principal (True), its account (False) or neither (None)."""
    account = {principal.account, f"arn:aws:iam::{principal.account}:root"}
    if "NotPrincipal" in statement:
        excepted = {*_aws(statement["NotPrincipal"])}
        # AWS does not document whether an account in NotPrincipal also stands for its users.
        own = {principal.arn, principal.id, ANYONE}
        return None if excepted & (own | account if _denies(statement) else own) else True
    names = {*_aws(statement.get("Principal", {}))}
    of_session = any(_is_session(name, principal.arn) for name in names)
    # The session name is chosen by whoever assumes the role: a Deny of one session denies nothing.
    if names & {principal.arn, principal.id, ANYONE} or (of_session and not _denies(statement)):
        return True
    return False if names & account else None


def _denies(statement: Document) -> bool:
    return str(statement["Effect"]) == "Deny"


def _is_session(name: str, arn: str) -> bool:
    """Whether a name is that of a session of the principal; only roles have sessions."""
    role = re.sub(r":iam::(\d+):role/(.*/)?", r":sts::\1:assumed-role/", arn)
    return role != arn and name.startswith(f"{role}/")


def _aws(principal: Any) -> list[str]:
    names = principal if isinstance(principal, str) else principal.get("AWS", [])
    return [str(name) for name in as_list(names)]


def _strangers(
    statement: Document, accounts: Collection[str]
) -> Iterator[tuple[Outsider, Context]]:
    """The outside principals that a statement names, and what is known about their requests."""
    names = [ANYONE] if "NotPrincipal" in statement else _aws(statement.get("Principal", {}))
    for name in names:
        if name == ANYONE:
            yield from _anyone(statement.get("Condition", {}), accounts)
        elif re.fullmatch(r"\d{12}", name):
            yield from _stranger(f"arn:aws:iam::{name}:root", accounts)
        elif ":" in name:  # otherwise it is the ID of a deleted principal
            yield from _stranger(name, accounts)


def _stranger(arn: str, accounts: Collection[str]) -> Iterator[tuple[Outsider, Context]]:
    account = arn.split(":")[4]
    if account in accounts:
        return
    context: dict[str, str | None] = {"aws:principalaccount": account}
    if arn.endswith(":root"):
        yield Outsider(arn=arn, label=f"anyone in account {account}"), context
    elif ":sts:" in arn:  # a session, of a role whose path is not in the ARN
        yield Outsider(arn=arn, label=arn), context
    else:
        yield Outsider(arn=arn, label=arn), {**context, "aws:principalarn": arn}


def _anyone(condition: Document, accounts: Collection[str]) -> Iterator[tuple[Outsider, Context]]:
    """The principals that `*` stands for, if a condition restricts it to principals or accounts."""
    if (arns := required_values(condition, "aws:principalarn")) is not None:
        for arn in arns:
            if not _says_account(arn):
                label = f"anyone with an ARN like {arn}"
                yield Outsider(arn=arn, label=label, can_be_known=False), {}
            elif arn.split(":")[4] not in accounts:
                yield Outsider(arn=arn, label=arn), {}
    elif (numbers := required_values(condition, "aws:principalaccount")) is not None:
        for arn in (f"arn:aws:iam::{number}:root" for number in numbers):
            if _says_account(arn):
                yield from _stranger(arn, accounts)
            else:
                label = f"anyone in an account like {arn.split(':')[4]}"
                yield Outsider(arn=arn, label=label, can_be_known=False), {}
    else:
        yield Outsider(arn=ANYONE, label="anyone with an AWS account", can_be_known=False), {}


def _says_account(arn: str) -> bool:
    """Whether an ARN, or a pattern, names one account.

    A name alone proves nothing: anyone can use it in their own account.
    """
    return re.match(r"arn:[^:]*:[^:]*:[^:]*:\d{12}:", arn) is not None


def _denied(role: Principal, action: str, name: str, context: Context) -> bool:
    return any(
        statement["Effect"] == "Deny"
        and {name, ANYONE} & {*_aws(statement.get("Principal", {}))}
        and must_hold(statement.get("Condition", {}), context)
        for statement in _about(role, action)
    )


def _federated(provider: str, statement: Document) -> Outsider:
    kind, _, issuer = provider.partition("/")
    if ":saml-provider" in kind:
        label = f"anyone whom the identity provider {issuer} lets in"
        return Outsider(arn=provider, label=label)
    host = issuer or provider
    subjects = _subjects(statement.get("Condition", {}), host)
    if subjects:
        return Outsider(arn=provider, label=f"{' or '.join(subjects)} of {host}")
    return Outsider(arn=provider, label=f"anyone at {host}", can_be_known=False)


def _subjects(condition: Document, issuer: str) -> list[str]:
    """The subjects to which a trust in an OpenID Connect provider is limited; empty: any."""
    subjects = required_values(condition, f"{issuer}:sub".lower()) or []
    return subjects if all(map(_names_somebody, subjects)) else []


@cache
def _names_somebody(subject: str) -> bool:
    """Whether a pattern at least identifies the owner: `repo:acme/*` does, `repo:acme*` does not.

    Anyone can have a repository or an organization whose name begins like yours.
    """
    known = re.split(r"[*?]|\$\{", subject)[0]
    if known == subject:
        return bool(subject)
    return len(re.findall(r"[^:/]+[:/]", known)) > 1
