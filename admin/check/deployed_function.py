"""A deployed function, as the parts of `backups check` use it."""

from dataclasses import dataclass
from typing import Any

from admin.check.report import Report
from admin.target import Target

# What is lost while a function does not work.
STAYS_BEHIND = {
    "promote": "Uploads stay in incoming, and can only be promoted within accept_within_hours.",
    "sweep": "Nothing retries uploads whose event was lost or whose copy failed.",
}


@dataclass(frozen=True, kw_only=True)
class DeployedFunction:
    """The function `function` of app.py, and the report for its findings."""

    report: Report
    target: Target
    function: str

    @property
    def name(self) -> str:
        """The function's name in AWS, and its role's."""
        return self.target.stage.function_name(self.function)

    @property
    def schedule(self) -> str:
        """The name of the EventBridge rule that Chalice makes for a scheduled function."""
        return f"{self.name}-event"

    @property
    def stays_behind(self) -> str:
        """What is lost while the function does not work."""
        return STAYS_BEHIND[self.function]

    @property
    def deploy(self) -> str:
        """The command line that deploys it."""
        return self.target.fix_deploy()

    @property
    def redeploy(self) -> str:
        """The command line that deletes and deploys it."""
        delete = self.aws("lambda", "delete-function", function_name=self.name)
        return f"{delete} && {self.deploy}"

    def aws(self, service: str, operation: str, **arguments: Any) -> str:
        """An AWS CLI command line, in the function's account."""
        return self.target.fix_aws(service, operation, **arguments)

    def client(self, service: str) -> Any:
        """A boto3 client of its account."""
        return self.target.account.client(service)
