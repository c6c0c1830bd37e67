"""A deployed function, as the parts of `backups check` use it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from admin.account import none_if
from admin.target import Target

# What is lost while a function does not work.
STAYS_BEHIND = {
    "promote": "Uploads stay in incoming, and can only be promoted within accept_within_hours.",
    "sweep": "Nothing retries uploads whose event was lost or whose copy failed.",
    "audit": "Nobody is told when a backup is missing, overwritten or deleted.",
}


@dataclass(frozen=True, kw_only=True)
class DeployedFunction:
    """A function of app.py, by the name of its handler there, in the target's account."""

    target: Target
    handler: str

    @property
    def name(self) -> str:
        """The name of the function, and of its role, in AWS."""
        return self.target.stage.function_name(self.handler)

    @property
    def schedule(self) -> str:
        """The name of the EventBridge rule that invokes it, if it is a scheduled function."""
        return self.target.stage.schedule_of(self.handler)

    @property
    def stays_behind(self) -> str:
        """What is lost while the function does not work."""
        return STAYS_BEHIND[self.handler]

    @property
    def fix_redeploy(self) -> str:
        """The command line that deletes and deploys it."""
        delete = self.target.fix_aws("lambda", "delete-function", function_name=self.name)
        return f"{delete} && {self.target.fix_deploy()}"

    @cached_property
    def role(self) -> dict[str, Any] | None:
        """Its role, as IAM describes it; None if it does not exist."""
        iam = self.client("iam")
        answer = none_if("NoSuchEntity", lambda: iam.get_role(RoleName=self.name))
        return answer["Role"] if answer else None

    def client(self, service: str) -> Any:
        """A boto3 client of its account."""
        return self.target.account.client(service)
