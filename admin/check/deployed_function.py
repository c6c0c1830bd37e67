"""One function of a stage, as the parts of `backups check` look at it."""

from dataclasses import dataclass
from typing import Any

from admin.account import Account
from admin.check.report import Remedies, Report
from admin.stage import Stage

# What is lost while a function does not do its work.
STAYS_BEHIND = {
    "promote": "Uploads stay in incoming, and can be promoted for accept_within_hours only.",
    "sweep": "Nobody comes back to uploads whose event was lost or whose copy failed.",
}


@dataclass(frozen=True, kw_only=True)
class Function:
    """The function `function` of app.py, and the report that its findings go into."""

    report: Report
    account: Account
    stage: Stage
    remedies: Remedies
    function: str

    @property
    def name(self) -> str:
        """The function's name in AWS, and its role's."""
        return self.stage.function_name(self.function)

    @property
    def schedule(self) -> str:
        """The name that Chalice gives to the rule of EventBridge that invokes it, if any does."""
        return f"{self.name}-event"

    @property
    def stays_behind(self) -> str:
        """Why it matters that the function does its work."""
        return STAYS_BEHIND[self.function]

    @property
    def deploy(self) -> str:
        """The command line that deploys it."""
        return self.remedies.deploy()

    @property
    def deploy_anew(self) -> str:
        """The command line that deploys it as if it had never been there."""
        delete = self.aws("lambda", "delete-function", function_name=self.name)
        return f"{delete} && {self.deploy}"

    def aws(self, service: str, operation: str, **arguments: Any) -> str:
        """A command line of AWS's own tool, in the function's account."""
        return self.remedies.aws(service, operation, **arguments)

    def client(self, service: str) -> Any:
        """A boto3 client of its account."""
        return self.account.client(service)
