"""Who is said to reach no power over the backups does not reach it by acting, either.

The check reads policies. Here somebody acts instead, in the local cloud, with the credentials of a
user or role: creates keys, assumes roles, gives rights, and goes on with all that is gained.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Judgement:
    """What is said of a user or role, and by which acts it reaches a target, if it does."""

    arn: str
    has_a_way: bool
    acts: list[str] | None


def judge(cloud: Cloud, account: AccountModel, *, changes: int) -> Iterator[Judgement]:
    """Judge everybody who is not an administrator anyway."""
    build(cloud, account)
    environment = {**STAGE.environment, "AWS_ENDPOINT_URL": cloud.endpoint}
    stage = replace(STAGE, environment=environment)
    target = Target(account=local_account(cloud.endpoint), stage=stage, policy=POLICY)
    downloads = [Identities(target.account)]
    sources = {way.source for way in find_ways(target, downloads)}
    powers = targets_of(target, downloads)
    ours = {account.arn("role", ROLE), account.arn("user", SERVER)}
    for arn in account.principals:
        if "bucket policy" in powers.get(arn, ""):
            continue
        # Somebody else with some power is said to have a way only to more of it.
        others = frozenset(ours - {arn}) if arn in ours or arn not in powers else frozenset()
        acts = TakenOver(cloud, account, others, changes=changes).search(arn)
        yield Judgement(arn, arn in sources, acts)


def shortened(cloud: Cloud, account: AccountModel, *, changes: int) -> AccountModel:
    """A part of the account in which somebody still reaches a target, who is said not to."""
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
    """And most ways are real: who is said to have one gets there, so that not all are findings."""
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


# Somebody called me can change the vault's policy in the end.
ADMIN, ALL = f"{IAM}:user/admin", [[allow("*", "*")]]
ME = f"{IAM}:user/me"


def me(*actions: str, on: str | list[str], **more: Any) -> Holder:
    return Holder(inline=[[allow([*actions], on)]], **more)


def trusting(principal: Any) -> list[Statement]:
    return [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]


def with_role(user: Holder, trust: Any, **more: Any) -> AccountModel:
    """The user, and a role that can do everything."""
    role = Holder(inline=ALL, trust=trusting(trust))
    return AccountModel(users={"me": user}, roles={"power": role}, **more)


POWER = f"{IAM}:role/power"
BOUND = {"limit": Managed([[allow("iam:*", "*")]])}
WAYS = {
    "an access key": AccountModel(
        users={"me": me("iam:CreateAccessKey", on=ADMIN), "admin": Holder(inline=ALL)}
    ),
    "a password": AccountModel(
        users={"me": me("iam:CreateLoginProfile", on=ADMIN), "admin": Holder(inline=ALL)}
    ),
    "an old key": AccountModel(
        users={
            "me": me("iam:UpdateAccessKey", on=ADMIN),
            "admin": Holder(inline=ALL, inactive_key=True),
        }
    ),
    "trust by name": with_role(Holder(), {"AWS": ME}),
    "trust in the account": with_role(me("sts:AssumeRole", on=POWER), {"AWS": ROOT}),
    "a new trust": with_role(me("iam:UpdateAssumeRolePolicy", on=POWER), LAMBDA),
    "a new function": with_role(
        me("lambda:CreateFunction", "iam:PassRole", on=[FUNCTION + "x-*", POWER]), LAMBDA
    ),
    "another role of a function": with_role(
        me("lambda:UpdateFunctionConfiguration", "iam:PassRole", on=[FUNCTION + "f", POWER]),
        LAMBDA,
        functions={"f": "power"},
    ),
    "code of a function": with_role(
        me("lambda:UpdateFunctionCode", on=FUNCTION + "f"), LAMBDA, functions={"f": "power"}
    ),
    "an inline policy": AccountModel(users={"me": me("iam:PutUserPolicy", on=ME)}),
    "an attached policy": AccountModel(users={"me": me("iam:AttachUserPolicy", on=ME)}),
    "a group": AccountModel(
        users={"me": me("iam:AddUserToGroup", on=f"{IAM}:group/all")},
        groups={"all": Holder(inline=ALL)},
    ),
    "a new version": AccountModel(
        users={"me": me("iam:CreatePolicyVersion", on=f"{IAM}:policy/own", attached=["own"])},
        policies={"own": Managed([[allow("s3:ListAllMyBuckets", "*")]])},
    ),
    "an old version": AccountModel(
        users={"me": me("iam:SetDefaultPolicyVersion", on=f"{IAM}:policy/own", attached=["own"])},
        policies={"own": Managed([[allow("s3:ListAllMyBuckets", "*")], *ALL])},
    ),
    "a boundary that is taken away": AccountModel(
        users={
            "me": Holder(inline=ALL, boundary="limit"),
        },
        policies=BOUND,
    ),
    "a denial that is taken away": AccountModel(
        users={
            "me": Holder(
                inline=[
                    [allow(["s3:*", "iam:DeleteUserPolicy"], "*")],
                    [{**allow("s3:*", "*"), "Effect": "Deny"}],
                ]
            )
        }
    ),
    "a new user": AccountModel(
        users={
            "me": me(
                "iam:CreateUser",
                "iam:AttachUserPolicy",
                "iam:CreateAccessKey",
                on=f"{IAM}:user/x-*",
            )
        }
    ),
    "a new role": AccountModel(
        users={"me": me("iam:CreateRole", "iam:PutRolePolicy", on=f"{IAM}:role/ci/x")}
    ),
}


@pytest.mark.parametrize("kind", WAYS)
def test_somebody_who_acts_goes_a_way_of_every_kind(cloud: Cloud, kind: str) -> None:
    build(cloud, WAYS[kind])
    taken = TakenOver(cloud, WAYS[kind], frozenset())
    assert taken.search(ME)
    # Without rights of their own, nobody gets anywhere.
    harmless = replace(WAYS[kind], users={**WAYS[kind].users, "me": Holder()})
    if kind != "trust by name":
        build(cloud, harmless)
        assert TakenOver(cloud, harmless, frozenset()).search(ME) is None


def test_what_is_denied_is_denied_to_a_signed_request_too(cloud: Cloud) -> None:
    """What is allowed is always sent, and must succeed; of what is denied, this is a part."""
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


# Of these, people have ways of several kinds, and some have none.
SEEDS = (0, 1, 3, 7)
