"""Checks a function's role: what it is allowed to do, and who can assume it."""

import json
from dataclasses import dataclass
from typing import Any

from admin.account import none_if
from admin.check.deployed_function import Function
from admin.check.principals import DENIAL, denial
from admin.desired.permissions import document

# Only Lambda can assume the role.
TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)
# What an intruder could do with the role.
OF_A_THIEF = {
    "promote": "Anyone who assumes this role can fill free slots with anything.",
    "sweep": "Anyone who assumes this role can read uploads and backups.",
}


@dataclass(frozen=True)
class Role:
    """A function's role, and the only IAM policy that it should have."""

    of: Function
    desired: dict[str, Any]

    def is_gone(self) -> bool:
        """True, with a finding, if the role does not exist."""
        of = self.of
        with of.report.seeing(f"whether the role {of.name} exists"):
            iam = of.client("iam")
            if none_if("NoSuchEntity", lambda: iam.get_role(RoleName=of.name)) is None:
                # To the key that encrypts the function's environment, a recreated role is another
                # principal: an existing function could never decrypt it again.
                of.report.find(
                    f"The role {of.name} does not exist",
                    why=f"The function cannot run without it. {of.stays_behind}",
                    remedy=of.redeploy,
                )
                return True
        return False

    def check(self) -> None:
        """Find additional IAM policies, and everyone other than Lambda who can assume the role."""
        with self.of.report.seeing(f"the role {self.of.name}"):
            self._check_policies()
            self._check_trust()

    def _check_policies(self) -> None:
        iam, role = self.of.client("iam"), self.of.name
        why = "The function's rights belong in .chalice/, and nowhere else."
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        inline = {
            name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }
        # Chalice names the IAM policy after the role, and leaves all others alone.
        if inline.pop(role, None) != self.desired:
            self.of.report.find(
                f"The role {role} does not have the IAM policy generated from your policy.toml",
                why=why,
                remedy=self.of.deploy,
            )
        if inline.get(DENIAL) == denial(self.of.stage.settings.vault_bucket):
            del inline[DENIAL]
        for name in inline:
            self.of.report.find(
                f"The role {role} has an additional IAM policy, {name}",
                why=why,
                remedy=self.of.aws("iam", "delete-role-policy", role_name=role, policy_name=name),
            )
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            self.of.report.find(
                f"The role {role} has an additional IAM policy, {arn}",
                why=why,
                remedy=self.of.aws("iam", "detach-role-policy", role_name=role, policy_arn=arn),
            )

    def _check_trust(self) -> None:
        role = self.of.client("iam").get_role(RoleName=self.of.name)["Role"]
        trust = role["AssumeRolePolicyDocument"]["Statement"]
        statements = trust if isinstance(trust, list) else [trust]
        if any(
            statement.get("Principal") != {"Service": "lambda.amazonaws.com"}
            for statement in statements
        ):
            self.of.report.find(
                f"Others than Lambda can assume the role {self.of.name}: {json.dumps(trust)}",
                why=OF_A_THIEF[self.of.function],
                remedy=self.of.aws(
                    "iam",
                    "update-assume-role-policy",
                    role_name=self.of.name,
                    policy_document=TRUST,
                ),
            )
