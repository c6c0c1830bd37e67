"""Checks a function's role: what it is allowed to do, and who can assume it."""

import json
from dataclasses import dataclass
from typing import Any

from admin.account import none_if
from admin.check.deployed_function import DeployedFunction
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

    deployed: DeployedFunction
    desired: dict[str, Any]

    def is_gone(self) -> bool:
        """True, with a finding, if the role does not exist."""
        deployed = self.deployed
        with deployed.report.checking(f"whether the role {deployed.name} exists"):
            iam = deployed.client("iam")
            if none_if("NoSuchEntity", lambda: iam.get_role(RoleName=deployed.name)) is None:
                # To the key that encrypts the function's environment, a recreated role is another
                # principal: an existing function could never decrypt it again.
                deployed.report.find(
                    f"The role {deployed.name} does not exist",
                    why=f"The function cannot run without it. {deployed.stays_behind}",
                    remedy=deployed.redeploy,
                )
                return True
        return False

    def check(self) -> None:
        """Find additional IAM policies, and everyone other than Lambda who can assume the role."""
        with self.deployed.report.checking(f"the role {self.deployed.name}"):
            self._check_policies()
            self._check_trust()

    def _check_policies(self) -> None:
        iam, role = self.deployed.client("iam"), self.deployed.name
        why = "The function's rights belong in .chalice/, and nowhere else."
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        inline = {
            name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }
        # Chalice names the IAM policy after the role, and leaves all others alone.
        if inline.pop(role, None) != self.desired:
            self.deployed.report.find(
                f"The role {role} does not have the IAM policy generated from your policy.toml",
                why=why,
                remedy=self.deployed.deploy,
            )
        if inline.get(DENIAL) == denial(self.deployed.target.vault):
            del inline[DENIAL]
        for name in inline:
            self.deployed.report.find(
                f"The role {role} has an additional IAM policy, {name}",
                why=why,
                remedy=self.deployed.aws(
                    "iam", "delete-role-policy", role_name=role, policy_name=name
                ),
            )
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            self.deployed.report.find(
                f"The role {role} has an additional IAM policy, {arn}",
                why=why,
                remedy=self.deployed.aws(
                    "iam", "detach-role-policy", role_name=role, policy_arn=arn
                ),
            )

    def _check_trust(self) -> None:
        role = self.deployed.client("iam").get_role(RoleName=self.deployed.name)["Role"]
        trust = role["AssumeRolePolicyDocument"]["Statement"]
        statements = trust if isinstance(trust, list) else [trust]
        if any(
            statement.get("Principal") != {"Service": "lambda.amazonaws.com"}
            for statement in statements
        ):
            self.deployed.report.find(
                f"Others than Lambda can assume the role {self.deployed.name}: {json.dumps(trust)}",
                why=OF_A_THIEF[self.deployed.function],
                remedy=self.deployed.aws(
                    "iam",
                    "update-assume-role-policy",
                    role_name=self.deployed.name,
                    policy_document=TRUST,
                ),
            )
