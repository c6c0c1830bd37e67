"""The role that a function of ours runs under: what it may do, and who may become it."""

import json
from dataclasses import dataclass
from typing import Any

from admin.account import absent_if
from admin.check.deployed_function import Function
from admin.check.principals import DENIAL, denial
from admin.desired.permissions import document

# Who may become the function, and nobody else.
TRUST = document(
    {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
)
# What somebody else could do as the function.
OF_A_THIEF = {
    "promote": "Whoever assumes this role can fill slots that are still free, with anything.",
    "sweep": "Whoever assumes this role can read uploads and backups.",
}


@dataclass(frozen=True)
class Role:
    """The role of a function, and the policy that it should have, and no other."""

    of: Function
    wanted: dict[str, Any]

    def is_gone(self) -> bool:
        """Whether there is no such role; then that is found, and there is nothing to check."""
        of = self.of
        with of.report.seeing(f"whether the role {of.name} is there"):
            iam = of.client("iam")
            if absent_if("NoSuchEntity", lambda: iam.get_role(RoleName=of.name)) is None:
                # A role made again is another one to the key that Lambda keeps the environment
                # under: a function that stays never opens it again.
                of.report.find(
                    f"The role {of.name} is gone",
                    why=f"The function cannot run without it. {of.stays_behind}",
                    remedy=of.deploy_anew,
                )
                return True
        return False

    def check(self) -> None:
        """Find every right that is not wanted, and everybody else who may become the role."""
        with self.of.report.seeing(f"the role {self.of.name}"):
            self._check_policies()
            self._check_trust()

    def _check_policies(self) -> None:
        iam, role = self.of.client("iam"), self.of.name
        why = "What the function may do is said in .chalice/, and nowhere else."
        names = iam.list_role_policies(RoleName=role)["PolicyNames"]
        inline = {
            name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
            for name in names
        }
        # Chalice names the policy after the role; what else is there, it leaves there.
        if inline.pop(role, None) != self.wanted:
            self.of.report.find(
                f"{role} has not the policy that your policy says", why=why, remedy=self.of.deploy
            )
        if inline.get(DENIAL) == denial(self.of.stage.settings.vault_bucket):
            del inline[DENIAL]
        for name in inline:
            self.of.report.find(
                f"{role} has the policy {name}, which is not ours",
                why=why,
                remedy=self.of.aws("iam", "delete-role-policy", role_name=role, policy_name=name),
            )
        for attached in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            arn = attached["PolicyArn"]
            self.of.report.find(
                f"{role} has the policy {arn}, which is not ours",
                why=why,
                remedy=self.of.aws("iam", "detach-role-policy", role_name=role, policy_arn=arn),
            )

    def _check_trust(self) -> None:
        role = self.of.client("iam").get_role(RoleName=self.of.name)["Role"]
        trust = role["AssumeRolePolicyDocument"]["Statement"]
        statements = trust if isinstance(trust, list) else [trust]
        if any(one.get("Principal") != {"Service": "lambda.amazonaws.com"} for one in statements):
            self.of.report.find(
                f"Others than Lambda may become {self.of.name}: {json.dumps(trust)}",
                why=OF_A_THIEF[self.of.function],
                remedy=self.of.aws(
                    "iam",
                    "update-assume-role-policy",
                    role_name=self.of.name,
                    policy_document=TRUST,
                ),
            )
