"""What a command works on: a stage, the account that it is in, and the policy."""

import json
import shlex
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from admin.account import Account
from admin.stage import Stage
from chalicelib.policy.policy import Policy

# The command as it is run in the clone, whose .venv is usually not on the PATH.
BACKUPS = ".venv/bin/backups"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A stage, its account and its policy; and the command lines that fix something in it."""

    account: Account
    stage: Stage
    policy: Policy

    def __str__(self) -> str:
        """Stage, account and region, so that nobody changes or trusts the wrong stage."""
        own = f", vault account {self.vault_account.id}" if self.vault_has_own_account else ""
        return (
            f"Stage {self.stage.name}, account {self.account.id}, region {self.account.region}{own}"
        )

    @property
    def incoming(self) -> str:
        """The bucket that servers upload to."""
        return self.stage.settings.incoming_bucket

    @property
    def vault(self) -> str:
        """The bucket that keeps the backups."""
        return self.stage.settings.vault_bucket

    @property
    def vault_account(self) -> Account:
        """The account that the vault is in."""
        return self.account.account_of(self.vault)

    @property
    def vault_has_own_account(self) -> bool:
        """Whether the vault is in a different account from the functions."""
        return self.vault in self.account.other_accounts

    @property
    def servers(self) -> tuple[str | None, ...]:
        """The names of the servers; None stands for the only server."""
        return self.policy.servers or (None,)

    @property
    def topic_arn(self) -> str:
        """The ARN of the topic for alerts."""
        return self.stage.topic_arn(account=self.account.id, region=self.account.region)

    @property
    def variables(self) -> dict[str, str]:
        """The functions' environment variables that name the accounts and their contents."""
        return {
            "INCOMING_OWNER": self.account.id,
            "VAULT_OWNER": self.vault_account.id,
            "ALERT_TOPIC_ARN": self.topic_arn,
        }

    def fix_setup(self, *more: str) -> str:
        """The command line of `backups setup`."""
        return self._backups("setup", "--apply", *self._vault_profile(), *more)

    def fix_deploy(self) -> str:
        """The command line of `make deploy`."""
        options = [*_options(self.account), *self._vault_profile()]
        words = ["make", "deploy", f"STAGE={self.stage.name}"]
        return shlex.join(words) + (f' ARGS="{shlex.join(options)}"' if options else "")

    def fix_drill(self) -> str:
        """The command line of `backups drill`, which first removes what an earlier drill left."""
        return self._backups("drill", *self._vault_profile())

    def fix_aws(self, service: str, operation: str, **arguments: Any) -> str:
        """A command line of the AWS CLI, in the account of the argument `bucket` if it has one.

        Arguments that are not strings are written as JSON.
        """
        account = self.account.account_of(arguments.get("bucket", ""))
        return _aws(account, service, operation, **arguments)

    def fix_account(self, account: Account, service: str, operation: str, **arguments: Any) -> str:
        """A command line of the AWS CLI, in this account: the functions' or the vault's."""
        return _aws(account, service, operation, **arguments)

    def _backups(self, command: str, *words: str) -> str:
        where = ["--stage", self.stage.name, *_options(self.account)]
        return shlex.join([BACKUPS, command, *where, *words])

    def _vault_profile(self) -> list[str]:
        profile = self.vault_account.named.get("profile")
        return ["--vault-profile", profile] if self.vault_has_own_account and profile else []


def _aws(account: Account, service: str, operation: str, **arguments: Any) -> str:
    words = ["aws", service, operation]
    for name, value in arguments.items():
        words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else _json(value)]
    endpoint = ["--endpoint-url", account.endpoint] if account.endpoint else []
    return shlex.join([*words, *_options(account), *endpoint])


def _options(account: Account) -> list[str]:
    return [word for name, value in account.named.items() for word in (f"--{name}", value)]


def _json(value: Any) -> str:
    """A boto3 response as JSON for the command line; some lifecycle rules have dates."""
    return json.dumps(value, separators=(",", ":"), default=datetime.isoformat)
