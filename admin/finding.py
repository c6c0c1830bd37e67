"""What a look at the account brings up: findings, and what could not be seen."""

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from admin.account import DENIED, AccountError


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is not as it should be, why that matters, and the command that mends it."""

    what: str
    why: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """What was found, what could not be seen, and who is an administrator, as sentences."""

    findings: list[Finding] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    administrators: list[str] = field(default_factory=list)

    def find(self, what: str, *, why: str, remedy: str) -> None:
        """Add a finding."""
        self.findings.append(Finding(what=what, why=why, remedy=remedy))

    @contextmanager
    def seeing(self, what: str) -> Iterator[None]:
        """Look at something; what AWS does not let the caller see is noted, and nothing raised."""
        try:
            yield
        except ClientError as error:
            code, message = (error.response["Error"].get(part, "") for part in ("Code", "Message"))
            if code not in DENIED:
                raise
            self.unseen.append(f"{what}: {error.operation_name} was refused: {message}")
        except AccountError as error:
            self.unseen.append(f"{what}: {error}")


def aws(service: str, operation: str, **arguments: Any) -> str:
    """A command line of AWS's own tool; arguments that are no strings are written as JSON."""
    words = ["aws", service, operation]
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(words)
