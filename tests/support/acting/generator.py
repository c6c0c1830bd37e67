"""Generates random accounts."""

from random import Random
from typing import Any

from tests.support.acting.model import (
    ACCOUNT,
    FUNCTION,
    IAM,
    INCOMING,
    ROOT,
    VAULT,
    AccountModel,
    Holder,
    Managed,
    Statement,
    allow,
)

# What can be done to each kind of resource.
ACTIONS = {
    "user": [
        "iam:CreateAccessKey",
        "iam:CreateLoginProfile",
        "iam:UpdateLoginProfile",
        "iam:UpdateAccessKey",
        "iam:CreateUser",
        "iam:PutUserPolicy",
        "iam:AttachUserPolicy",
        "iam:DeleteUserPolicy",
        "iam:DetachUserPolicy",
        "iam:PutUserPermissionsBoundary",
        "iam:DeleteUserPermissionsBoundary",
        "iam:UpdateUser",
    ],
    "group": [
        "iam:AddUserToGroup",
        "iam:AddUserToGroup",
        "iam:RemoveUserFromGroup",
        "iam:PutGroupPolicy",
        "iam:AttachGroupPolicy",
        "iam:DetachGroupPolicy",
        "iam:DeleteGroupPolicy",
        "iam:UpdateGroup",
    ],
    "role": [
        "sts:AssumeRole",
        "sts:AssumeRole",
        "iam:PassRole",
        "iam:PassRole",
        "iam:CreateRole",
        "iam:PutRolePolicy",
        "iam:AttachRolePolicy",
        "iam:DeleteRolePolicy",
        "iam:DetachRolePolicy",
        "iam:UpdateAssumeRolePolicy",
        "iam:PutRolePermissionsBoundary",
        "iam:DeleteRolePermissionsBoundary",
    ],
    "policy": ["iam:CreatePolicyVersion", "iam:SetDefaultPolicyVersion", "iam:CreatePolicy"],
    "function": [
        "lambda:CreateFunction",
        "lambda:CreateFunction",
        "lambda:UpdateFunctionCode",
        "lambda:UpdateFunctionConfiguration",
    ],
}
WILD = ["iam:*", "sts:*", "iam:Create*", "iam:Put*", "iam:Attach*", "iam:*Policy", "lambda:*"]
HARMLESS = ["iam:List*", "iam:Get*", "s3:ListAllMyBuckets", "lambda:List*", "ec2:Describe*"]
NAMES = ["user/ci-*", "user/*", "role/ci/*", "role/dev-*"]
HOSTS = ["127.0.0.1", "127.0.0.1", "127.0.0.1", "203.0.113.7"]
PATHS = ["/", "/", "/", "/ci/", "/people/"]


class Generator:
    """Makes one account; the same seed always gives the same account.

    Each account has the app's `function` with a role of this name, a `server`'s user, and an
    administrator.
    """

    def __init__(self, seed: int, *, size: int, function: str, server: str) -> None:
        self._random = Random(seed)
        self._size = size
        self._function, self._server = function, server
        self.account = AccountModel()

    def make(self) -> AccountModel:
        """An account with about `size` users, roles, groups and policies."""
        pick, account = self._random, self.account
        rest = self._size - 3
        for number in range(rest):
            collection = pick.choices(["users", "roles", "groups", "policies"], [8, 6, 2, 3])[0]
            name = pick.choice(["ci-", "dev-", "ops-"]) + f"{collection[0]}{number}"
            thing: Any = Managed([[]]) if collection == "policies" else Holder(pick.choice(PATHS))
            getattr(account, collection)[name] = thing
        account.users["admin"] = Holder("/people/")
        account.users[self._server] = Holder()
        account.roles[self._function] = Holder()
        for name in [*account.roles][: 1 + pick.randrange(3)]:
            account.functions[name] = name
        account.functions[self._function] = self._function
        self._fill()
        return account

    def _fill(self) -> None:
        pick, account = self._random, self.account
        for managed in account.policies.values():
            count = pick.choices([1, 2, 3], [5, 3, 1])[0]
            managed.versions = [self._document() for _ in range(count)]
            managed.default = pick.randrange(count)
        for holder in (*account.users.values(), *account.roles.values(), *account.groups.values()):
            holder.inline = [self._document() for _ in range(pick.choices([0, 1, 2], [4, 5, 1])[0])]
            if account.policies and pick.random() < 0.3:
                holder.attached = [pick.choice([*account.policies])]
        self._give_power()
        for user in account.users.values():
            user.inactive_key, user.password = pick.random() < 0.3, pick.random() < 0.4
            if account.groups and pick.random() < 0.35:
                user.groups = [pick.choice([*account.groups])]
        for holder in (*account.users.values(), *account.roles.values()):
            if account.policies and pick.random() < 0.15:
                holder.boundary = pick.choice([*account.policies])
        for role in account.roles.values():
            role.trust = [self._trust() for _ in range(pick.choices([1, 2], [4, 1])[0])]
        account.users["admin"] = Holder("/people/", inline=[[allow("*", "*")]])
        upload = allow("s3:PutObject", f"arn:aws:s3:::{INCOMING}/*")
        account.users[self._server].inline.append([upload])
        account.roles[self._function].trust.append(
            {"Effect": "Allow", "Principal": LAMBDA, "Action": "sts:AssumeRole"}
        )

    def _give_power(self) -> None:
        """Allow some principals everything: directly, by a group, or by an earlier policy version.

        Some of them have a Deny that takes it away, and that others could remove.
        """
        pick, account = self._random, self.account
        for managed in account.policies.values():
            if pick.random() < 0.3:
                managed.versions.append([ALL])
            elif pick.random() < 0.2:
                managed.versions[managed.default] = [NOTHING]
        for group in account.groups.values():
            group.inline.append([pick.choices([ALL, NOTHING], [3, 1])[0]])
        for holder in (*account.users.values(), *account.roles.values()):
            if pick.random() < 0.06:
                holder.inline = [[ALL]]
            elif pick.random() < 0.1:
                holder.inline.append([OVER_THE_VAULT])
                holder.inline += [[NOTHING]] * (pick.random() < 0.5)

    def _document(self) -> list[Statement]:
        return [self._statement() for _ in range(self._random.choices([1, 2, 3], [4, 3, 1])[0])]

    def _statement(self) -> Statement:
        pick = self._random
        kind = pick.choices([*ACTIONS, "vault", "harmless"], [7, 3, 8, 2, 3, 0.6, 3])[0]
        if kind == "harmless":
            return allow(pick.choice(HARMLESS), "*")
        denies = pick.random() < 0.15
        if kind == "vault":
            action = pick.choice(["s3:PutBucketPolicy", "s3:*", "s3:Put*"])
            statement = allow(action, f"arn:aws:s3:::{VAULT}")
        elif denies and pick.random() < 0.2:
            statement = allow("*", "*")
            del statement["Action"]
            statement["NotAction"] = pick.sample(ACTIONS["role"] + ACTIONS["user"], 4)
        else:
            actions = pick.sample(ACTIONS[kind], pick.choice([1, 1, 2]))
            if pick.random() < 0.06:
                actions = [pick.choice(WILD)]
            statement = allow(actions, [self._resource(kind)])
            if kind == "function" and pick.random() < 0.6:  # they are useful only together
                statement["Action"] = [*actions, "iam:PassRole"]
                statement["Resource"].append(self._resource("role"))
            if pick.random() < 0.04:
                statement["NotResource"] = statement.pop("Resource") + [
                    self._resource(pick.choice(["user", "role"])) for _ in range(3)
                ]
        if pick.random() < 0.12:
            statement["Condition"] = self._condition()
        return {**statement, "Effect": "Deny" if denies else "Allow"}

    def _resource(self, kind: str) -> str:
        pick, account = self._random, self.account
        chance = pick.random()
        if chance < 0.02:
            return "*"
        prefix = FUNCTION if kind == "function" else f"{IAM}:{kind}/"
        if chance < 0.15:
            return prefix + pick.choice(["ci-*", "dev-*", "ci/*", "new-*", "ops-?1", "ci/new"])
        there: dict[str, Any] = {
            "user": account.users,
            "role": account.roles,
            "group": account.groups,
            "policy": account.policies,
            "function": account.functions,
        }
        names = [name for name in there[kind] if name != "admin" or chance > 0.9] or ["new"]
        return account.arn(kind, pick.choice(names))

    def _condition(self) -> Statement:
        pick = self._random
        policy = f"{IAM}:policy/{pick.choice([*self.account.policies] or ['none'])}"
        negation = pick.choice(["", "", "Not"])
        return pick.choice(
            [
                {f"Arn{negation}Equals": {"iam:PolicyARN": policy}},
                {f"String{negation}Equals": {"iam:PermissionsBoundary": policy}},
                {f"Arn{negation}Like": {"aws:PrincipalArn": f"{IAM}:{pick.choice(NAMES)}"}},
                {f"String{negation}Equals": {"iam:PassedToService": "lambda.amazonaws.com"}},
                {"StringEquals": {"aws:SourceIp": pick.choice(HOSTS)}},
            ]
        )

    def _trust(self) -> Statement:
        pick = self._random
        user = self.account.arn("user", pick.choice([*self.account.users]))
        role = self.account.arn("role", pick.choice([*self.account.roles]))
        everybody = {"AWS": pick.choice([ROOT, ACCOUNT])}
        only = {"ArnLike": {"aws:PrincipalArn": f"{IAM}:{pick.choice(NAMES)}"}}
        secret = {"StringEquals": {"sts:ExternalId": "acme"}}
        provider = {"Federated": f"{IAM}:oidc-provider/token.actions.githubusercontent.com"}
        subject = {"StringLike": {"token.actions.githubusercontent.com:sub": "repo:acme/*"}}
        chances: list[tuple[float, Statement]] = [
            (5, {"Principal": {"AWS": user}}),
            (4, {"Principal": {"AWS": [role, user]}}),
            (5, {"Principal": everybody}),
            (4, {"Principal": LAMBDA}),
            (1, {"Principal": {"Service": "ec2.amazonaws.com"}}),
            (1, {"Principal": pick.choice(["*", everybody]), "Condition": only}),
            (1, {"Principal": {"AWS": user}, "Condition": secret}),
            (1, {"Principal": {"AWS": user}, "Effect": "Deny"}),
            (0.5, {"NotPrincipal": {"AWS": [user, role]}}),
            (0.5, {"NotPrincipal": {"AWS": [user, ROOT]}, "Effect": "Deny"}),
            (1, {"Principal": provider, "Action": FEDERATED, "Condition": subject}),
        ]
        trust = pick.choices([each for _, each in chances], [chance for chance, _ in chances])[0]
        return {"Effect": "Allow", "Action": "sts:AssumeRole", **trust}


ALL = allow("*", "*")
NOTHING = {**allow(["s3:Put*", "s3:Delete*", "sts:*"], "*"), "Effect": "Deny"}
# A principal that has this right must still get rid of a Deny, or of a boundary.
OVER_THE_VAULT = allow("s3:*", f"arn:aws:s3:::{VAULT}")
FEDERATED = "sts:AssumeRoleWithWebIdentity"
LAMBDA = {"Service": "lambda.amazonaws.com"}
