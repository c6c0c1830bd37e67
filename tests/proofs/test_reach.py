"""A principal reported to have no way to power over the backups cannot get it by trying, either.

The check reads policies. Here a principal acts instead, in the local cloud, with the credentials of
a user or role: it creates keys, assumes roles, grants rights, and continues with everything gained.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from admin.account import local_account
from admin.check.people.identities import Identities
from admin.check.reach.ways import find_ways, targets_of
from admin.target import Target
from localcloud.cloud import Cloud, running
from tests.support.acting.built import build
from tests.support.acting.generator import LAMBDA, Generator
from tests.support.acting.model import (
    FUNCTION,
    IAM,
    ROOT,
    VAULT,
    AccountModel,
    Holder,
    Managed,
    Statement,
    allow,
)
from tests.support.acting.search import TakenOver
from tests.support.in_process import requests_in_process
from tests.support.project import POLICY, STAGE

ROLE, SERVER = STAGE.function_name("promote"), STAGE.server_user(None)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with requests_in_process(), running() as cloud:
        cloud.session(cloud.administrator).client("s3").create_bucket(Bucket=VAULT)
        yield cloud


# Safe to cache: an account caches its clients, but no responses.
owner_at = cache(local_account)


@dataclass(frozen=True)
class Judgement:
    """What is reported about a user or role, and by which acts it reaches a target, if it does."""

    arn: str
    has_a_way: bool
    acts: list[str] | None


def judge(
    cloud: Cloud, account: AccountModel, *, changes: int, only: str | None = None
) -> Iterator[Judgement]:
    """Judge every principal, or only this one, which is not an administrator anyway."""
    build(cloud, account)
    environment = {**STAGE.environment, "AWS_ENDPOINT_URL": cloud.endpoint}
    stage = replace(STAGE, environment=environment)
    target = Target(account=owner_at(cloud.endpoint), stage=stage, policy=POLICY)
    downloads = [Identities(target.account)]
    sources = {way.source for way in find_ways(target, downloads)}
    powers = targets_of(target, downloads)
    ours = {account.arn("role", ROLE), account.arn("user", SERVER)}
    for arn in [only] if only else account.principals:
        if "bucket policy" in powers.get(arn, ""):
            continue
        # Other principals with some power are reported only if they have a way to more of it.
        others = frozenset(ours - {arn}) if arn in ours or arn not in powers else frozenset()
        acts = TakenOver(cloud, account, others, changes=changes).search(arn)
        yield Judgement(arn, arn in sources, acts)


def shortened(cloud: Cloud, account: AccountModel, *, changes: int) -> AccountModel:
    """A part of the account where a principal reaches a target that it is reported not to reach."""
    for smaller in account.smaller():
        if ROLE in smaller.roles and SERVER in smaller.users:
            judged = judge(cloud, smaller, changes=changes)
            if any(each.acts and not each.has_a_way for each in judged):
                return shortened(cloud, smaller, changes=changes)
    return account


def judged(cloud: Cloud, seeds: Iterable[int], *, size: int, changes: int) -> Iterator[Judgement]:
    for seed in seeds:
        account = Generator(seed, size=size, function=ROLE, server=SERVER).make()
        for each in judge(cloud, account, changes=changes):
            if each.acts is not None and not each.has_a_way:
                small = shortened(cloud, account, changes=changes)
                [first, *_] = (
                    each
                    for each in judge(cloud, small, changes=changes)
                    if each.acts and not each.has_a_way
                )
                pytest.fail(
                    f"seed {seed}, size {size}: {first.arn} is said to have no way, and goes it:\n"
                    + "\n".join(first.acts or ())
                    + f"\n{small}"
                )
            yield each


def test_who_has_no_way_gets_nowhere(cloud: Cloud, request: pytest.FixtureRequest) -> None:
    """Most ways are real: almost every principal that is reported to have one reaches a target."""
    if request.config.getoption("--soak"):
        rounds = [(size, range(60), 40) for size in (10, 20, 30)]
    else:
        rounds = [(12, SEEDS, 8)]
    everybody = [
        each
        for size, seeds, changes in rounds
        for each in judged(cloud, seeds, size=size, changes=changes)
    ]
    claimed = [each for each in everybody if each.has_a_way]
    confirmed = [each for each in claimed if each.acts is not None]
    if request.config.getoption("--soak"):
        ways = f"{len(claimed)} have a way, and {len(confirmed)} of these went it"
        print(f"{len(everybody)} users and roles: {ways}")  # noqa: T201
    assert len(everybody) - len(claimed) > len(everybody) / 4
    assert len(claimed) > len(everybody) / 10
    assert len(confirmed) > len(claimed) / 2


# In each of these accounts, a user named me reaches power over the backups.
ME, BOSS, POWER = f"{IAM}:user/me", f"{IAM}:user/boss", f"{IAM}:role/power"
EVERYTHING = Holder(inline=[[allow("*", "*")]])
LISTS = allow("s3:ListAllMyBuckets", "*")
VAULT_ONLY = allow("s3:*", f"arn:aws:s3:::{VAULT}")


def deny(actions: Any, on: Any) -> Statement:
    return {**allow(actions, on), "Effect": "Deny"}


def with_me(
    *statements: Statement,
    member: str | None = None,
    attached: str | None = None,
    boundary: str | None = None,
    **there: Any,
) -> AccountModel:
    """An account with a user who has these rights, and other principals."""
    me = Holder(
        inline=[[each] for each in statements],
        groups=[member] if member else [],
        attached=[attached] if attached else [],
        boundary=boundary,
    )
    return AccountModel(**{**there, "users": {"me": me, **there.get("users", {})}})


def trusting(principal: Any, **more: Any) -> list[Statement]:
    return [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}]


def power(trust: list[Statement]) -> dict[str, Holder]:
    """A role with all rights."""
    return {"power": replace(EVERYTHING, trust=trust)}


def under(boundary: str) -> dict[str, Any]:
    return {"Condition": {"StringEquals": {"iam:PermissionsBoundary": f"{IAM}:policy/{boundary}"}}}


BY_NAME, BY_ACCOUNT = {"AWS": ME}, {"AWS": ROOT}
NEW_USER, NEW_ROLE, NEW_POLICY = f"{IAM}:user/ci-*", f"{IAM}:role/ci/*", f"{IAM}:policy/ci-*"
ONLY_NEW = {"ArnLike": {"aws:PrincipalArn": [NEW_USER, NEW_ROLE]}}
BOUNDED_USERS = (
    {**allow(["iam:CreateUser", "iam:PutUserPolicy"], NEW_USER), **under("limit")},
    allow("iam:CreateAccessKey", NEW_USER),
)
WAYS = {
    # Credentials
    "an access key": with_me(allow("iam:CreateAccessKey", BOSS), users={"boss": EVERYTHING}),
    "a password": with_me(allow("iam:CreateLoginProfile", BOSS), users={"boss": EVERYTHING}),
    "another password": with_me(
        allow("iam:UpdateLoginProfile", BOSS), users={"boss": replace(EVERYTHING, password=True)}
    ),
    "an old access key": with_me(
        allow("iam:UpdateAccessKey", BOSS), users={"boss": replace(EVERYTHING, inactive_key=True)}
    ),
    "an access key below a path": with_me(
        allow("iam:CreateAccessKey", f"{IAM}:user/ops/*"),
        users={"boss": replace(EVERYTHING, path="/ops/")},
    ),
    "an access key of anybody else": with_me(
        {"Effect": "Allow", "Action": "iam:CreateAccessKey", "NotResource": ME},
        users={"boss": EVERYTHING},
    ),
    # Trust
    "trust by name": with_me(LISTS, roles=power(trusting(BY_NAME))),
    "trust by name, past a boundary": with_me(
        LISTS,
        boundary="limit",
        policies={"limit": Managed([[LISTS]])},
        roles=power(trusting(BY_NAME)),
    ),
    "trust in the account": with_me(
        allow("sts:AssumeRole", POWER), roles=power(trusting(BY_ACCOUNT))
    ),
    "trust in everybody": with_me(LISTS, roles=power(trusting("*"))),
    "trust in all but another": with_me(
        LISTS,
        users={"boss": Holder()},
        roles=power(
            [{"Effect": "Allow", "NotPrincipal": {"AWS": BOSS}, "Action": "sts:AssumeRole"}]
        ),
    ),
    "trust with an external id": with_me(
        allow("sts:AssumeRole", "*"),
        roles=power(trusting(BY_ACCOUNT, Condition={"StringEquals": {"sts:ExternalId": "acme"}})),
    ),
    "trust in another role, and a Deny of oneself": with_me(
        allow("sts:AssumeRole", f"{IAM}:role/middle"),
        roles={
            "middle": Holder(inline=[[allow("sts:AssumeRole", POWER)]], trust=trusting(BY_ACCOUNT)),
            **power([*trusting(BY_ACCOUNT), *trusting(BY_NAME, Effect="Deny")]),
        },
    ),
    "trust in names that can be new": with_me(
        allow(["iam:CreateUser", "iam:CreateAccessKey"], NEW_USER),
        roles=power(trusting("*", Condition=ONLY_NEW)),
    ),
    "another trust": with_me(
        allow("iam:UpdateAssumeRolePolicy", POWER), roles=power(trusting(LAMBDA))
    ),
    # Lambda
    "a new function": with_me(
        allow(["lambda:CreateFunction", "iam:PassRole"], [f"{FUNCTION}x-*", POWER]),
        roles=power(trusting(LAMBDA)),
    ),
    "a new function, and another trust": with_me(
        allow("iam:UpdateAssumeRolePolicy", POWER),
        allow(["lambda:CreateFunction", "iam:PassRole"], [f"{FUNCTION}x", POWER]),
        deny("sts:AssumeRole", "*"),
        roles=power(trusting(BY_ACCOUNT)),
    ),
    "another role of a function": with_me(
        allow(["lambda:UpdateFunctionConfiguration", "iam:PassRole"], [f"{FUNCTION}f", POWER]),
        roles={**power(trusting(LAMBDA)), "f": Holder(trust=trusting(LAMBDA))},
        functions={"f": "f"},
    ),
    "other code of a function": with_me(
        allow("lambda:UpdateFunctionCode", f"{FUNCTION}f"),
        roles=power(trusting(LAMBDA)),
        functions={"f": "power"},
    ),
    # Names
    "another name for somebody": with_me(
        allow("iam:UpdateUser", [BOSS, NEW_USER]),
        allow("iam:CreateAccessKey", NEW_USER),
        users={"boss": EVERYTHING},
    ),
    "another name for a group": with_me(
        allow("iam:UpdateGroup", [f"{IAM}:group/own", f"{IAM}:group/ci-*"]),
        allow("iam:PutGroupPolicy", f"{IAM}:group/ci-*"),
        member="own",
        groups={"own": Holder()},
    ),
    "a name that a trust wants": with_me(
        allow("iam:UpdateUser", [ME, NEW_USER]),
        roles=power(trusting("*", Condition=ONLY_NEW)),
    ),
    "a name that is not denied": with_me(
        allow(["iam:UpdateUser", "iam:PutUserPolicy"], f"{IAM}:user/*"),
        deny("iam:PutUserPolicy", ME),
    ),
    # Policies and groups
    "an inline policy": with_me(allow("iam:PutUserPolicy", ME)),
    "an inline policy of a group": with_me(
        allow("iam:PutGroupPolicy", f"{IAM}:group/own"), member="own", groups={"own": Holder()}
    ),
    "a policy of AWS": with_me(allow("iam:AttachUserPolicy", ME)),
    "a new policy": with_me(
        allow("iam:CreatePolicy", NEW_POLICY),
        {
            **allow("iam:AttachUserPolicy", ME),
            "Condition": {"ArnLike": {"iam:PolicyARN": NEW_POLICY}},
        },
    ),
    "all but some actions": with_me(
        {"Effect": "Allow", "NotAction": ["s3:*", "lambda:*", "iam:Put*"], "Resource": "*"}
    ),
    "a group": with_me(allow("iam:AddUserToGroup", f"{IAM}:group/all"), groups={"all": EVERYTHING}),
    "a new version of a policy": with_me(
        allow("iam:CreatePolicyVersion", f"{IAM}:policy/own"),
        attached="own",
        policies={"own": Managed([[LISTS]])},
    ),
    "an old version of a policy": with_me(
        allow("iam:SetDefaultPolicyVersion", f"{IAM}:policy/own"),
        attached="own",
        policies={"own": Managed([[LISTS], [VAULT_ONLY]])},
    ),
    # What limits a principal
    "a Deny that is deleted": with_me(
        VAULT_ONLY, deny("s3:*", "*"), allow("iam:DeleteUserPolicy", ME)
    ),
    "a Deny that is detached": with_me(
        VAULT_ONLY,
        allow("iam:DetachUserPolicy", ME),
        attached="jail",
        policies={"jail": Managed([[deny("s3:*", "*")]])},
    ),
    "a Deny of a group that one leaves": with_me(
        VAULT_ONLY,
        allow("iam:RemoveUserFromGroup", f"{IAM}:group/jail"),
        member="jail",
        groups={"jail": Holder(inline=[[deny("s3:*", "*")]])},
    ),
    "a Deny that an old version lacks": with_me(
        VAULT_ONLY,
        allow("iam:SetDefaultPolicyVersion", f"{IAM}:policy/jail"),
        attached="jail",
        policies={"jail": Managed([[deny("s3:*", "*")], [LISTS]])},
    ),
    "a boundary that is deleted": with_me(
        allow("*", "*"),
        boundary="limit",
        policies={"limit": Managed([[allow("iam:DeleteUserPermissionsBoundary", ME)]])},
    ),
    "a boundary that is replaced": with_me(
        allow("*", "*"),
        boundary="limit",
        policies={"limit": Managed([[allow("iam:PutUserPermissionsBoundary", ME)]])},
    ),
    "a boundary that a new role does not have": with_me(
        allow("*", "*"),
        boundary="limit",
        policies={"limit": Managed([[allow(["iam:CreateRole", "iam:PutRolePolicy"], "*")]])},
    ),
    # Making
    "a new user": with_me(
        allow(["iam:CreateUser", "iam:AttachUserPolicy", "iam:CreateLoginProfile"], NEW_USER)
    ),
    "a new user in a group": with_me(
        allow(["iam:CreateUser", "iam:CreateAccessKey"], NEW_USER),
        allow("iam:AddUserToGroup", f"{IAM}:group/all"),
        groups={"all": EVERYTHING},
    ),
    "a new user under a wide boundary": with_me(
        *BOUNDED_USERS, policies={"limit": Managed([[VAULT_ONLY]])}
    ),
    "a new user under a boundary with a wider version": with_me(
        *BOUNDED_USERS,
        allow("iam:SetDefaultPolicyVersion", f"{IAM}:policy/limit"),
        policies={"limit": Managed([[LISTS], [VAULT_ONLY]])},
    ),
    "a new user that deletes its boundary": with_me(
        *BOUNDED_USERS,
        policies={"limit": Managed([[allow("iam:DeleteUserPermissionsBoundary", "*")]])},
    ),
    "a new role": with_me(allow(["iam:CreateRole", "iam:PutRolePolicy"], NEW_ROLE)),
    "another name of a user": with_me(
        allow(["iam:UpdateUser", "iam:CreateAccessKey"], [BOSS, NEW_USER]),
        deny("iam:CreateAccessKey", BOSS),
        users={"boss": EVERYTHING},
    ),
}
# The ways that are more than a right of the principal's own.
OF_OTHERS = {"trust by name", "trust by name, past a boundary", "trust in everybody"} | {
    "trust in all but another"
}


@pytest.mark.parametrize("kind", WAYS)
def test_a_way_of_every_kind_is_found_and_can_be_gone(cloud: Cloud, kind: str) -> None:
    """This keeps either side of the comparison from being empty."""
    account = WAYS[kind]
    me = judgement_of_me(cloud, account)
    assert me.has_a_way
    assert me.acts
    if kind not in OF_OTHERS:
        without_rights = replace(account, users={**account.users, "me": Holder()})
        me = judgement_of_me(cloud, without_rights)
        assert (me.has_a_way, me.acts) == (False, None)


def judgement_of_me(cloud: Cloud, account: AccountModel) -> Judgement:
    [me] = judge(cloud, account, changes=20, only=ME)
    return me


def test_what_is_denied_is_denied_to_a_signed_request_too(cloud: Cloud) -> None:
    """Every allowed request is sent, and must succeed; of the denied ones, only a fraction."""
    account = Generator(5, size=14, function=ROLE, server=SERVER).make()
    build(cloud, account)
    taken = TakenOver(cloud, account, frozenset())
    denied = [
        (arn, act)
        for arn in account.principals[:4]
        for act in taken.possible_to(arn)[::11]
        if not taken.is_allowed(arn, act)
    ]
    assert len(denied) > 30
    for arn, act in denied:
        with pytest.raises(ClientError, match="AccessDenied"):
            taken.send(arn, act)


# Among the accounts are ways of several kinds, and principals without any.
SEEDS = (0, 1, 3, 7)
