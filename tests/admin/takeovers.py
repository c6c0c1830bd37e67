"""Ways to gain power over a deployed stage, and changes that only look like one.

Every user and role named known-... is on the stage's list of administrators.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from moto.iam.models import iam_backends

from tests.admin.weakenings import (
    ACCOUNT,
    AUDIT,
    PROMOTE,
    SERVER,
    STRANGER,
    SWEEP,
    VAULT,
    Change,
    allow,
    give,
    trusting,
)
from tests.support.deployed_stage import DeployedStage
from tests.support.project import STAGE

KNOWN = "known-"
OPEN = allow("s3:PutBucketPolicy", VAULT)
OPENS = "can change the bucket policy of backups2"
ROOT = {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
GITHUB = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"
TOKEN = "token.actions.githubusercontent.com"
WEB, SAML = "sts:AssumeRoleWithWebIdentity", "sts:AssumeRoleWithSAML"
OKTA = f"arn:aws:iam::{ACCOUNT}:saml-provider/okta"


def arn(kind: str, name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:{kind}/{name}"


@dataclass(frozen=True)
class Takeover:
    """A change that opens a way, and the finding that describes it."""

    name: str
    change: Change
    sentence: str


TAKEOVERS: list[Takeover] = []
LOOK_ALIKES: dict[str, Change] = {}


def takeover(sentence: str) -> Callable[[Change], Change]:
    def note(change: Change) -> Change:
        name = change.__name__.removeprefix("_").replace("_", " ")
        TAKEOVERS.append(Takeover(name, change, sentence))
        return change

    return note


def by_rights(name: str, sentence: str, *rights: tuple[Any, Any]) -> None:
    """A user whose own rights open the way."""

    def change(living: DeployedStage) -> None:
        give(living, name, *(allow(action, on) for action, on in rights))

    TAKEOVERS.append(Takeover(name.replace("-", " "), change, f"{name} (user) {sentence}"))


def look_alike(change: Change) -> Change:
    LOOK_ALIKES[change.__name__.removeprefix("_").replace("_", " ")] = change
    return change


def add_role(
    living: DeployedStage, name: str, trust: str, *policies: dict[str, Any], **more: Any
) -> None:
    iam = living.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust, **more)
    for number, policy in enumerate(policies):
        iam.put_role_policy(
            RoleName=name, PolicyName=f"rights-{number}", PolicyDocument=json.dumps(policy)
        )


def add_managed(living: DeployedStage, name: str, policy: dict[str, Any]) -> str:
    made = living.client("iam").create_policy(PolicyName=name, PolicyDocument=json.dumps(policy))
    return str(made["Policy"]["Arn"])


def service(name: str) -> str:
    return trusting({"Service": f"{name}.amazonaws.com"})


def federated(provider: str, action: str, **condition: Any) -> str:
    return trusting({"Federated": provider}, Action=action, Condition=condition)


@contextmanager
def only_the_stage() -> Iterator[None]:
    """Within the block, there are only the stage's users and roles, and those the block makes.

    Existing principals with many rights could also use the ways that the block opens.
    """
    backend = iam_backends[ACCOUNT]["aws"]
    kinds = (backend.users, backend.roles, backend.groups, backend.managed_policies)
    before = [dict(made) for made in kinds]
    for holders in kinds[:2]:
        for key, holder in list(holders.items()):
            if not holder.name.startswith(f"{STAGE.service}-"):
                del holders[key]
    yield
    for made, kept in zip(kinds, before, strict=True):
        made.clear()
        made.update(kept)


OPS = arn("user", "known-ops")
KEY = f"can create an access key for known-ops (user), who {OPENS}"

# Credentials

by_rights("key-maker", KEY, ("iam:CreateAccessKey", OPS))
by_rights(
    "key-switcher",
    f"can switch on an old access key of known-ops (user), who {OPENS}",
    ("iam:UpdateAccessKey", arn("user", "known*")),
)
by_rights(
    "password-maker",
    f"can create a password for known-ops (user), who {OPENS}",
    ("iam:CreateLogin*", OPS),
)
by_rights(
    "password-changer",
    f"can change the password of known-ops (user), who {OPENS}",
    ("iam:UpdateLoginProfile", OPS),
)
by_rights(
    "renamer",
    f"can rename known-ops (user) and can create an access key for known-ops (user), who {OPENS}",
    ("iam:UpdateUser", [OPS, arn("user", "dev-*")]),
    ("iam:CreateAccessKey", arn("user", "dev-*")),
)
by_rights(
    "experimenter",
    "is allowed iam:BecomeUser, which this check does not recognize, on known-ops (user), who "
    + OPENS,
    ("iam:BecomeUser", OPS),
)


@takeover(f"not-quite-denied (user) {KEY} (and 1 other way)")
def _of_two_rights_a_deny_cuts_one(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Action": "iam:*LoginProfile", "Resource": "*"}
    rights = allow(["iam:CreateAccessKey", "iam:UpdateAccessKey", "iam:CreateLoginProfile"], OPS)
    give(living, "not-quite-denied", rights, {"Version": "2012-10-17", "Statement": denied})


# Trust


@takeover(f"named-by-a-role (user) can assume known-named (role), which {OPENS}")
def _a_trust_by_name(living: DeployedStage) -> None:
    give(living, "named-by-a-role")
    add_role(living, "known-named", trusting({"AWS": arn("user", "named-by-a-role")}), OPEN)


@takeover(f"assumer (user) can assume known-open (role), which {OPENS}")
def _a_right_to_assume_exactly_a_role_that_trusts_the_account(living: DeployedStage) -> None:
    add_role(living, "known-open", trusting(ROOT), OPEN)
    give(living, "assumer", allow("sts:AssumeRole", arn("role", "known-open")))


@takeover(
    f"Anyone in account {STRANGER} can assume known-foreign (role) (if the condition on "
    f"sts:ExternalId is met), which {OPENS}"
)
def _a_trust_in_an_unknown_account(living: DeployedStage) -> None:
    secret = {"StringEquals": {"sts:ExternalId": "a secret"}}
    trust = trusting({"AWS": f"arn:aws:iam::{STRANGER}:root"}, Condition=secret)
    add_role(living, "known-foreign", trust, OPEN)


@takeover(f"Anyone with an AWS account can assume known-public (role), which {OPENS}")
def _a_trust_in_anyone(living: DeployedStage) -> None:
    add_role(living, "known-public", trusting({"AWS": "*"}), OPEN)


@takeover(f"Anyone with an AWS account can assume known-negative (role), which {OPENS}")
def _a_trust_with_not_principal(living: DeployedStage) -> None:
    everybody = [arn("user", "known-ops"), f"arn:aws:iam::{ACCOUNT}:root"]
    statement = {"Effect": "Allow", "NotPrincipal": {"AWS": everybody}, "Action": "sts:AssumeRole"}
    trust = {"Version": "2012-10-17", "Statement": [statement]}
    add_role(living, "known-negative", json.dumps(trust), OPEN)


@takeover(f"Anyone at {TOKEN} can assume known-ci (role), which {OPENS}")
def _a_trust_in_any_repository(living: DeployedStage) -> None:
    audience = {f"{TOKEN}:aud": "sts.amazonaws.com"}
    trust = federated(
        GITHUB,
        WEB,
        StringEquals=audience,
        StringLike={f"{TOKEN}:sub": "repo:*:ref:refs/heads/main"},
    )
    add_role(living, "known-ci", trust, OPEN)


@takeover(f"repo:acme/app:* of {TOKEN} can assume known-ci (role), which {OPENS}")
def _a_repository_that_nobody_listed(living: DeployedStage) -> None:
    trust = federated(GITHUB, WEB, StringLike={f"{TOKEN}:sub": "repo:acme/app:*"})
    add_role(living, "known-ci", trust, OPEN)


@takeover(
    "Anyone whom the identity provider okta lets in can assume known-staff (role), which " + OPENS
)
def _an_identity_provider_that_nobody_listed(living: DeployedStage) -> None:
    add_role(living, "known-staff", federated(OKTA, SAML), OPEN)


@takeover(
    "metadata-editor (user) can change the identity provider known, which known-staff (role) "
    f"trusts (iam:UpdateSAMLProvider), which {OPENS}"
)
def _an_identity_provider_that_somebody_can_edit(living: DeployedStage) -> None:
    known = arn("saml-provider", "known")
    add_role(living, "known-staff", federated(known, SAML), OPEN)
    give(living, "metadata-editor", allow("iam:UpdateSAMLProvider", known))


@takeover(f"trust-editor (user) can let itself assume known-admin (role), which {OPENS}")
def _another_trust(living: DeployedStage) -> None:
    give(living, "trust-editor", allow("iam:UpdateAssumeRolePolicy", arn("role", "known-*")))


# Policies, groups and boundaries

by_rights(
    "self-made",
    f"can add any right to itself, and so {OPENS}",
    ("iam:PutUserPolicy", "arn:aws:iam::*:user/${aws:username}"),
)


@takeover(f"attacher (user) can attach the IAM policy vault-admin to itself, and so {OPENS}")
def _one_managed_policy(living: DeployedStage) -> None:
    vault_admin = add_managed(living, "vault-admin", OPEN)
    only = {"ArnEquals": {"iam:PolicyARN": vault_admin}}
    give(living, "attacher", allow("iam:AttachUserPolicy", arn("user", "attacher"), Condition=only))


@takeover(
    "policy-maker (user) can create a new IAM policy dev-* and can attach the IAM policy dev-"
)
def _a_managed_policy_that_it_can_make(living: DeployedStage) -> None:
    only = {"ArnLike": {"iam:PolicyARN": arn("policy", "dev-*")}}
    give(
        living,
        "policy-maker",
        allow("iam:CreatePolicy", arn("policy", "dev-*")),
        allow("iam:AttachUserPolicy", arn("user", "policy-maker"), Condition=only),
    )


@takeover(f"author (user) can write a new version of the IAM policy of-authors, and so {OPENS}")
def _a_new_version_of_its_own_policy(living: DeployedStage) -> None:
    mine = arn("policy", "of-authors")
    add_managed(living, "of-authors", allow("iam:CreatePolicyVersion", mine))
    give(living, "author")
    living.client("iam").attach_user_policy(UserName="author", PolicyArn=mine)


@takeover(
    f"restorer (user) can restore another version of the IAM policy of-restorers, and so {OPENS}"
)
def _an_older_version_of_its_own_policy(living: DeployedStage) -> None:
    iam, mine = living.client("iam"), arn("policy", "of-restorers")
    add_managed(living, "of-restorers", OPEN)
    iam.create_policy_version(
        PolicyArn=mine,
        PolicyDocument=json.dumps(allow("iam:SetDefaultPolicyVersion", mine)),
        SetAsDefault=True,
    )
    give(living, "restorer")
    iam.attach_user_policy(UserName="restorer", PolicyArn=mine)


def add_group(living: DeployedStage, name: str, policy: dict[str, Any]) -> None:
    iam = living.client("iam")
    iam.create_group(GroupName=name)
    iam.put_group_policy(GroupName=name, PolicyName="x", PolicyDocument=json.dumps(policy))


@takeover(f"joiner (user) can add users to the group chiefs, and so {OPENS}")
def _a_group_with_more_rights(living: DeployedStage) -> None:
    add_group(living, "chiefs", OPEN)
    give(living, "joiner", allow("iam:AddUserToGroup", arn("group", "chiefs")))


@takeover(f"member (user) can add any right to the group members, and so {OPENS}")
def _the_rights_of_its_own_group(living: DeployedStage) -> None:
    add_group(living, "members", allow("iam:PutGroupPolicy", arn("group", "members")))
    give(living, "member")
    living.client("iam").add_user_to_group(GroupName="members", UserName="member")


@takeover(f"denied (user) can delete the inline IAM policies of itself, and so {OPENS}")
def _a_deny_that_it_can_delete(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}
    give(
        living,
        "denied",
        OPEN,
        allow("iam:DeleteUserPolicy", arn("user", "denied")),
        {"Version": "2012-10-17", "Statement": denied},
    )


def bounded(living: DeployedStage, name: str, right: str, on: str) -> None:
    """A user with all rights that its boundary allows, and with this right."""
    iam = living.client("iam")
    limit = add_managed(living, f"limit-of-{name}", allow(["ec2:*", right]))
    give(living, name, OPEN, allow(right, on))
    iam.put_user_permissions_boundary(UserName=name, PermissionsBoundary=limit)


@takeover(f"unbound (user) can remove the permissions boundary of itself, and so {OPENS}")
def _a_boundary_that_it_can_remove(living: DeployedStage) -> None:
    bounded(living, "unbound", "iam:DeleteUserPermissionsBoundary", arn("user", "unbound"))


@takeover(f"rebound (user) can replace the permissions boundary of itself, and so {OPENS}")
def _a_boundary_that_it_can_replace(living: DeployedStage) -> None:
    bounded(living, "rebound", "iam:PutUserPermissionsBoundary", arn("user", "rebound"))


@takeover(
    f"rewriter (user) can write a new version of the IAM policy limit-of-rewriter, and so {OPENS}"
)
def _a_boundary_that_it_can_rewrite(living: DeployedStage) -> None:
    bounded(living, "rewriter", "iam:CreatePolicyVersion", arn("policy", "limit-of-rewriter"))


# Making

by_rights(
    "user-maker",
    "can create a new user x-* and can create an access key for the new user x-* and can attach "
    f"any IAM policy to the new user x-*, and so the new user x-* {OPENS}",
    (["iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy"], arn("user", "x-*")),
)
by_rights(
    "role-maker",
    "can create a new role x-* that trusts it and can add any right to the new role x-*, and so "
    f"the new role x-* {OPENS}",
    (["iam:CreateRole", "iam:PutRolePolicy"], arn("role", "x-*")),
)

# Services


@takeover(
    "passer (user) can pass known-lambda (role) to Lambda (lambda:CreateFunction), which " + OPENS
)
def _a_role_that_it_can_pass_to_a_service(living: DeployedStage) -> None:
    add_role(living, "known-lambda", service("lambda"), OPEN)
    new = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:shop-*"
    give(
        living,
        "passer",
        allow("iam:PassRole", arn("role", "known-*")),
        allow("lambda:CreateFunction", new),
    )


@takeover(f"guesser (user) can pass known-odd (role) to frobnicate.amazonaws.com, which {OPENS}")
def _a_role_for_a_service_that_nobody_knows(living: DeployedStage) -> None:
    add_role(living, "known-odd", service("frobnicate"), OPEN)
    give(living, "guesser", allow("iam:PassRole", arn("role", "known-odd")))


@takeover(
    "shop-deployer (user) can change what runs as known-lambda (role) in Lambda "
    f"(lambda:UpdateFunctionCode), which {OPENS}"
)
def _code_that_runs_under_some_role(living: DeployedStage) -> None:
    add_role(living, "known-lambda", service("lambda"), OPEN)
    shop = f"arn:aws:lambda:eu-west-1:{ACCOUNT}:function:shop-*"
    give(living, "shop-deployer", allow("lambda:UpdateFunctionCode", shop))


@takeover(
    "operator (user) can change what runs as known-instance (role) in EC2 (ssm:SendCommand), which"
)
def _commands_on_an_instance(living: DeployedStage) -> None:
    iam = living.client("iam")
    add_role(living, "known-instance", service("ec2"), OPEN)
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="known-instance")
    give(living, "operator", allow("ssm:SendCommand"))


@takeover(
    "builder (user) can change what runs as known-build (role) in CodeBuild (codebuild:StartBuild)"
)
def _builds(living: DeployedStage) -> None:
    add_role(living, "known-build", service("codebuild"), OPEN)
    give(living, "builder", allow("codebuild:StartBuild"))


# Chains


@takeover(
    "first (user) can create an access key for known-dev (user), who can assume known-build "
    "(role), which can pass known-lambda (role) to Lambda (lambda:CreateFunction), which " + OPENS
)
def _a_chain_of_three_steps(living: DeployedStage) -> None:
    give(living, "known-dev", allow("sts:AssumeRole", arn("role", "known-build")))
    rights = allow(["iam:PassRole", "lambda:CreateFunction"])
    add_role(living, "known-build", trusting(ROOT), rights)
    add_role(living, "known-lambda", service("lambda"), OPEN)
    give(living, "first", allow("iam:CreateAccessKey", arn("user", "known-dev")))


@takeover(
    "circling (user) can create an access key for known-dev (user), who can create an access key "
    f"for known-ops (user), who {OPENS}"
)
def _a_cycle(living: DeployedStage) -> None:
    give(living, "circling", allow("iam:CreateAccessKey", arn("user", "known-dev")))
    both = [OPS, arn("user", "circling"), arn("user", "known-dev")]
    give(living, "known-dev", allow("iam:CreateAccessKey", both))


# Ours


by_rights(
    "impostor",
    f"can create an access key for {SERVER} (user), who can upload as a server",
    ("iam:CreateAccessKey", arn("user", SERVER)),
)
by_rights(
    "trust-breaker",
    f"can let itself assume {PROMOTE} (role), which can fill free slots",
    ("iam:UpdateAssumeRolePolicy", arn("role", PROMOTE)),
)


@takeover(f"{SERVER} (user) can assume known-named (role), which {OPENS}")
def _a_server_that_becomes_an_administrator(living: DeployedStage) -> None:
    add_role(living, "known-named", trusting({"AWS": arn("user", SERVER)}), OPEN)


@takeover(f"{AUDIT} (role) can assume known-named (role), which {OPENS}")
def _a_function_that_becomes_an_administrator(living: DeployedStage) -> None:
    trust = trusting({"AWS": [arn("role", AUDIT), arn("role", SWEEP)]})
    add_role(living, "known-named", trust, OPEN)
    # Without this Deny there would be several findings, and one is enough for a test.
    denied = {
        "Effect": "Deny",
        "Principal": {"AWS": arn("role", SWEEP)},
        "Action": "sts:AssumeRole",
    }
    document = json.loads(trust)
    document["Statement"].append(denied)
    living.client("iam").update_assume_role_policy(
        RoleName="known-named", PolicyDocument=json.dumps(document)
    )


# What only looks like a way


@look_alike
def _identity_center_s_administrators_that_are_listed(living: DeployedStage) -> None:
    add_role(
        living,
        "AWSReservedSSO_Admin_0123456789abcdef",
        federated(arn("saml-provider", "AWSSSO_0123_DO_NOT_DELETE"), SAML),
        allow("*"),
        Path="/aws-reserved/sso.amazonaws.com/",
    )


@look_alike
def _a_break_glass_role_that_is_listed(living: DeployedStage) -> None:
    add_role(living, "known-break-glass", trusting(ROOT), allow("*"))


@look_alike
def _a_trust_in_a_listed_party_with_an_external_id(living: DeployedStage) -> None:
    secret = {"StringEquals": {"sts:ExternalId": "a secret"}}
    add_role(
        living,
        "known-partner",
        trusting({"AWS": "arn:aws:iam::555555555555:root"}, Condition=secret),
        OPEN,
    )


@look_alike
def _a_repository_and_branch_without_power(living: DeployedStage) -> None:
    subject = {f"{TOKEN}:sub": "repo:acme/website:ref:refs/heads/main"}
    add_role(
        living,
        "deploys-the-website",
        federated(GITHUB, WEB, StringEquals=subject),
        allow(["s3:PutObject", "s3:DeleteObject"], "arn:aws:s3:::website/*"),
    )


@look_alike
def _a_role_that_trusts_anyone_and_can_do_little(living: DeployedStage) -> None:
    add_role(living, "public-reader", trusting("*"), allow("s3:Get*", "arn:aws:s3:::website/*"))


@look_alike
def _a_helpdesk_for_people_without_power(living: DeployedStage) -> None:
    staff = arn("user", "staff-*")
    give(living, "helpdesk", allow(["iam:*LoginProfile", "iam:*AccessKey*", "iam:*MFA*"], staff))
    give(living, "staff-1", allow("s3:Get*", "arn:aws:s3:::website/*"))


@look_alike
def _rights_on_policies_of_people_it_cannot_become(living: DeployedStage) -> None:
    give(living, "granter", allow(["iam:PutUserPolicy", "iam:Attach*"], arn("user", "staff-*")))


@look_alike
def _users_made_under_a_boundary(living: DeployedStage) -> None:
    limit = add_managed(living, "limit-of-apps", allow("ec2:*"))
    under = {"StringEquals": {"iam:PermissionsBoundary": limit}}
    making = ["iam:CreateUser", "iam:PutUserPolicy", "iam:AttachUserPolicy", "iam:CreateRole"]
    apps = [arn("user", "app-*"), arn("role", "app-*")]
    give(
        living,
        "app-maker",
        allow(making, apps, Condition=under),
        allow("iam:CreateAccessKey", apps),
    )


@look_alike
def _a_role_passed_to_a_service_that_it_does_not_trust(living: DeployedStage) -> None:
    add_role(living, "known-lambda", service("lambda"), OPEN)
    to_ec2 = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    shop = f"arn:aws:lambda:*:{ACCOUNT}:function:shop-*"
    give(
        living,
        "launcher",
        allow("iam:PassRole", arn("role", "known-lambda"), Condition=to_ec2),
        allow(["lambda:CreateFunction", "ec2:*"], [shop, "arn:aws:ec2:*"]),
    )


@look_alike
def _a_right_to_assume_every_role_with_a_deny_of_the_powerful(living: DeployedStage) -> None:
    denied = {"Effect": "Deny", "Action": "sts:*", "Resource": arn("role", "known-*")}
    give(
        living,
        "visitor",
        allow("sts:AssumeRole"),
        {"Version": "2012-10-17", "Statement": denied},
    )


@look_alike
def _a_group_and_policies_that_allow_little(living: DeployedStage) -> None:
    add_group(living, "readers", allow("s3:Get*", "arn:aws:s3:::website/*"))
    reading = add_managed(living, "reading", allow("s3:Get*", "arn:aws:s3:::website/*"))
    only = {"ArnEquals": {"iam:PolicyARN": reading}}
    give(
        living,
        "reader-maker",
        allow("iam:AddUserToGroup", arn("group", "readers")),
        allow("iam:AttachUserPolicy", arn("user", "reader-maker"), Condition=only),
    )


@look_alike
def _credentials_for_a_single_service(living: DeployedStage) -> None:
    give(living, "git-helper", allow(["iam:*ServiceSpecificCredential", "iam:*SSHPublicKey"], OPS))
