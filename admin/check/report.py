"""The report of `backups check`: findings with their fixes, and what could not be checked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from admin.account import EXPIRED_CODES, UNKNOWN_KEY_CODES, AccountError, error_message
from chalicelib.s3_errors import error_code


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, why it matters, and the command that fixes it."""

    what: str
    why: str
    remedy: str


class Worst(Finding):
    """A finding that comes before all others."""


@dataclass(frozen=True)
class Administrator:
    """A known administrator, who could remove the vault's protection; not a finding."""

    name: str


@dataclass(frozen=True)
class Status:
    """What the buckets hold for an upload key, as a sentence: not a finding."""

    sentence: str


@dataclass(frozen=True)
class Part:
    """A part of the check: `what` follows "Could not check"; `results` are computed one by one.

    Parts can be nested: if AWS denies a request of an inner part, the outer part continues.
    """

    what: str
    results: Iterator["Result"]


Result = Finding | Administrator | Status | Part


@dataclass(frozen=True)
class Report:
    """The findings, the state of the backups, what could not be checked, known administrators."""

    backups: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    administrators: list[str] = field(default_factory=list)

    def collect(self, part: Part) -> None:
        """Add the results of a part, up to the first request that AWS denies.

        Raises ClientError if the credentials are expired or unknown.
        """
        with self.checking(part.what):
            for result in part.results:
                match result:
                    case Worst():
                        self.findings.insert(0, result)
                    case Finding():
                        self.findings.append(result)
                    case Administrator(name=name):
                        self.administrators.append(name)
                    case Status(sentence=sentence):
                        self.backups.append(sentence)
                    case Part():
                        self.collect(result)

    @contextmanager
    def checking(self, what: str) -> Iterator[None]:
        """Check something; if AWS denies it, record that and continue with the rest.

        Raises ClientError if the credentials are expired or unknown.
        """
        try:
            yield
        except ClientError as error:
            code = error_code(error)
            if code in EXPIRED_CODES | UNKNOWN_KEY_CODES:
                raise
            self.not_checked.append(
                f"{what}: {error.operation_name} returned {code} ({error_message(error)})"
            )
        except AccountError as error:
            self.not_checked.append(f"{what}: {error}")
