"""The report of `backups check`: findings with their fixes, and what could not be checked."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from admin.account import EXPIRED, UNKNOWN_KEY, Account, AccountError
from admin.stage import Stage


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be, why it matters, and the command that fixes it."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """The findings, what could not be checked, and the known administrators, as sentences."""

    findings: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    administrators: list[str] = field(default_factory=list)

    def find(self, what: str, *, why: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(what=what, why=why, remedy=remedy))

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Check something; if AWS denies it, note that and go on with the rest.

        Raises ClientError if the credentials are expired or unknown.
        """
        try:
            yield
        except ClientError as error:
            code, message = (error.response["Error"].get(part, "") for part in ("Code", "Message"))
            if code in EXPIRED | UNKNOWN_KEY:
                raise
            self.not_checked.append(f"{what}: {error.operation_name} returned {code} ({message})")
        except AccountError as error:
            self.not_checked.append(f"{what}: {error}")


@dataclass(frozen=True, kw_only=True)
class Remedies:
    """Command lines that fix findings, for the stage and account that were checked."""

    account: Account
    stage: Stage

    def setup(self, *more: str) -> str:
        """`backups setup`."""
        return self._backups("setup", "--apply", *self._vault(), *more)

    def deploy(self) -> str:
        """`make deploy`."""
        options = [*_options(self.account), *self._vault()]
        words = ["make", "deploy", f"STAGE={self.stage.name}"]
        return shlex.join(words) + (f' ARGS="{shlex.join(options)}"' if options else "")

    def drill(self) -> str:
        """`backups drill`."""
        return self._backups("drill", *self._vault())

    def aws(self, service: str, operation: str, **arguments: Any) -> str:
        """The AWS CLI, in the account of the argument `bucket`, or else in the stage's.

        Arguments that are not strings are written as JSON.
        """
        account = self.account.account_of(arguments.get("bucket", ""))
        return _aws(account, service, operation, **arguments)

    def aws_of_the_vault(self, service: str, operation: str, **arguments: Any) -> str:
        """The AWS CLI, in the vault's account."""
        account = self.account.account_of(self.stage.settings.vault_bucket)
        return _aws(account, service, operation, **arguments)

    def _backups(self, command: str, *words: str) -> str:
        where = ["--stage", self.stage.name, *_options(self.account)]
        return shlex.join(["backups", command, *where, *words])

    def _vault(self) -> list[str]:
        profile = self.account.account_of(self.stage.settings.vault_bucket).named.get("profile")
        has_own_account = self.stage.settings.vault_bucket in self.account.other_accounts
        return ["--vault-profile", profile] if has_own_account and profile else []


def _aws(account: Account, service: str, operation: str, **arguments: Any) -> str:
    words = ["aws", service, operation]
    for name, value in arguments.items():
        words += [f"--{name.replace('_', '-')}", value if isinstance(value, str) else _json(value)]
    endpoint = ["--endpoint-url", account.endpoint] if account.endpoint else []
    return shlex.join([*words, *_options(account), *endpoint])


def _options(account: Account) -> list[str]:
    return [word for name, value in account.named.items() for word in (f"--{name}", value)]


def _json(value: Any) -> str:
    """A boto3 answer as JSON for the command line; some lifecycle rules have dates."""
    return json.dumps(value, separators=(",", ":"), default=datetime.isoformat)
