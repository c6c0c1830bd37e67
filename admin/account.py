"""The AWS account of a stage: its clients, and errors as one sentence each."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)
from botocore.exceptions import (
    ConnectionError as UnreachableError,
)
from botocore.utils import parse_timestamp

from admin.fast_lists import with_fast_lists
from admin.stage import Stage, StageError, is_local, refuse_unfinished
from chalicelib.s3_errors import error_code

# These credentials allow everything in a local cloud, and nothing anywhere else.
LOCAL_ACCESS_KEY_ID = "AKIALOCALADMINISTRAT"
LOCAL_SECRET_ACCESS_KEY = "administrator/of/the/local/cloud"  # noqa: S105 - it opens nothing
LOCAL_REGION = "us-east-1"

EXPIRED_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
UNKNOWN_KEY_CODES = frozenset(
    {"InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException"}
)
QUOTA_CODES = frozenset(
    {"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets"}
)
BUSY_CODE = "OperationAborted"
# About a minute in total.
MOST_RETRIES, LONGEST_PAUSE = 15, 5.0
DENIAL_CODES = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class AccountError(Exception):
    """AWS could not be reached, or returned an error; the message says what to do."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """One account and region, with a session for it. `endpoint` is None for AWS itself.

    `named` has the command-line options that select this account. `other_accounts` has the accounts
    of buckets that are not in this one, by bucket name.
    """

    session: boto3.Session
    endpoint: str | None = None
    named: Mapping[str, str] = field(default_factory=dict, hash=False)
    other_accounts: Mapping[str, "Account"] = field(default_factory=dict, hash=False)

    @property
    def region(self) -> str:
        """The region of everything in the stage."""
        return str(self.session.region_name)

    @cached_property
    def id(self) -> str:
        """The account's 12-digit ID."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def principal(self) -> str:
        """The ARN by which policies name the caller: for an assumed role, the role's."""
        arn = str(self.client("sts").get_caller_identity()["Arn"])
        kind, _, name = arn.split(":", 5)[5].partition("/")
        if kind != "assumed-role":
            return arn
        # The ARN of a session lacks the role's path, which all roles of Identity Center have.
        role = self.client("iam").get_role(RoleName=name.partition("/")[0])["Role"]
        return str(role["Arn"])

    def now(self) -> datetime:
        """The current time; for a local cloud, the time of its movable clock."""
        if self.endpoint is None:
            return datetime.now(UTC)
        answer = self.client("sts").get_caller_identity()["ResponseMetadata"]
        # HTTP's Date has whole seconds: round up, so that nothing stored seems to be in the future.
        return parse_timestamp(answer["HTTPHeaders"]["date"]) + timedelta(seconds=1)

    def account_of(self, bucket: str) -> "Account":
        """The account that owns a bucket."""
        return self.other_accounts.get(bucket, self)

    @cached_property
    def _clients(self) -> dict[tuple[Any, ...], Any]:
        return {}

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client of the account, with these options of botocore's Config.

        It is created only once.
        """
        key = (service, *sorted(options.items()))
        if key not in self._clients:
            config = Config(
                retries={"mode": "standard"},
                connect_timeout=5,
                # Local clouds are reached without a proxy.
                proxies={} if self.endpoint else None,
                **options,
            )
            client: Any = self.session.client(  # type: ignore[call-overload]
                service, endpoint_url=self.endpoint, config=config
            )
            client.meta.events.register("needs-retry", _pause_while_busy)
            self._clients[key] = client
        return self._clients[key]


def _pause_while_busy(response: Any, attempts: int, **_: Any) -> float | None:
    """botocore's hook after each attempt of a request; returns the seconds until a retry, or None.

    S3 refuses to change a bucket while another change, perhaps our previous one, is in progress.
    botocore does not retry that.
    """
    code = response and response[1].get("Error", {}).get("Code")
    if code != BUSY_CODE or attempts > MOST_RETRIES:
        return None
    return min(0.1 * (1 << attempts), LONGEST_PAUSE)


def open_account(stage: Stage, *, region: str | None = None, profile: str | None = None) -> Account:
    """The account of `stage`: the local cloud's for dev, an AWS account for any other stage.

    Raises StageError for a stage that would use the wrong endpoint, AccountError for a missing
    profile or region.
    """
    if stage.name == "dev":
        # Otherwise the local cloud's good results would be mistaken for those of the named account.
        for option, value in (("--profile", profile), ("--region", region)):
            if value is not None:
                raise StageError(
                    f"{option} selects an AWS {option.removeprefix('--')}, but the stage dev is "
                    "the local cloud; did you mean --stage prod?"
                )
        return local_account(stage.environment["AWS_ENDPOINT_URL"])
    refuse_unfinished(stage, os.environ)
    return _signed_in(profile, region=region)


def refuse_another_account(account: Account, stage: Stage) -> None:
    """Raise StageError if the stage is in an account other than `account`."""
    owner = stage.settings.incoming_owner
    if owner not in {None, account.id}:
        raise StageError(
            f"stage {stage.name} is in account {owner} (INCOMING_OWNER), but your credentials are "
            f"for account {account.id}; pass a profile of the stage's account with --profile"
        )


def with_vault(account: Account, stage: Stage, *, profile: str | None) -> Account:
    """Return `account` together with the vault's account, if the vault has its own.

    `profile` selects the vault's account. Raises StageError if it contradicts VAULT_OWNER, which
    `setup` writes, and AccountError for a missing profile.
    """
    owner = stage.settings.vault_owner
    if profile is not None and stage.name == "dev":
        raise StageError(
            "--vault-profile selects an AWS account, but the stage dev is the local cloud; did you "
            "mean --stage prod?"
        )
    if profile is None:
        if owner is None or owner == account.id:
            return account
        raise StageError(
            f"the vault is in account {owner} (VAULT_OWNER), but your credentials are for account "
            f"{account.id}; pass a profile of the vault's account with --vault-profile"
        )
    vault_account = _signed_in(profile, region=account.region)
    if owner not in {None, vault_account.id}:
        raise StageError(
            f"the profile {profile} belongs to account {vault_account.id}, but VAULT_OWNER of "
            f"stage {stage.name} in .chalice/config.json is {owner}; set it to "
            f'"{vault_account.id}", or use another profile'
        )
    return replace(account, other_accounts={stage.settings.vault_bucket: vault_account})


def with_owners(stage: Stage, account: Account) -> Stage:
    """The stage with the accounts that own its buckets, which `setup` writes if they are not set.

    `account` includes the vault's account.
    """
    vault_account = account.account_of(stage.settings.vault_bucket)
    return replace(
        stage,
        settings=replace(stage.settings, incoming_owner=account.id, vault_owner=vault_account.id),
    )


def local_account(endpoint: str) -> Account:
    """The account of the local cloud at `endpoint`, independent of this shell and of ~/.aws."""
    session = boto3.Session(
        aws_access_key_id=LOCAL_ACCESS_KEY_ID,
        aws_secret_access_key=LOCAL_SECRET_ACCESS_KEY,
        region_name=LOCAL_REGION,
        botocore_session=with_fast_lists(isolated_session()),
    )
    return Account(session=session, endpoint=endpoint)


def isolated_session() -> botocore.session.Session:
    """A session for the local cloud, which reads neither ~/.aws nor AWS_PROFILE."""
    return botocore.session.Session(
        session_vars={
            "profile": (None, None, None, None),
            "config_file": (None, None, os.devnull, None),
            "credentials_file": (None, None, os.devnull, None),
        }
    )


def _signed_in(profile: str | None, *, region: str | None) -> Account:
    try:
        core = with_fast_lists(botocore.session.Session(profile=profile))
        session = boto3.Session(botocore_session=core, region_name=region)
    except ProfileNotFound as error:
        raise AccountError(f"{error}; `aws configure list-profiles` lists the profiles") from None
    if session.region_name is None:
        raise AccountError(
            "No region is set; pass one with --region, for example --region eu-west-1"
        )
    partition = session.get_partition_for_region(session.region_name)
    if partition != "aws":
        raise AccountError(
            f"{session.region_name} is a region of {partition}, but the bucket policies and "
            "permissions of this app are only for the partition aws"
        )
    options = {"profile": profile, "region": region}
    named = {option: value for option, value in options.items() if value}
    return Account(session=session, named=named)


def none_if(code: str, call: Callable[[], Any]) -> Any:
    """The result of `call`; None if AWS returns exactly this error code."""
    try:
        return call()
    except ClientError as error:
        if error_code(error) != code:
            raise
        return None


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn errors from AWS and the connection into an AccountError that says what to do."""
    try:
        yield
    except ClientError as error:
        raise AccountError(_sentence(error)) from None
    except (NoCredentialsError, NoRegionError) as error:
        raise AccountError(f"{error}; set them with `aws configure`") from None
    except UnreachableError as error:
        endpoint = str(error.kwargs.get("endpoint_url", "")).rstrip("/")
        if is_local(endpoint):
            raise AccountError(
                f"No local cloud listens at {endpoint}; start it with `make local`, or did you "
                "mean --stage prod?"
            ) from None
        raise AccountError(f"AWS cannot be reached: {error}") from None
    except BotoCoreError as error:
        raise AccountError(f"The request to AWS failed: {error}") from None


def sentence_of(error: ClientError | BotoCoreError) -> str:
    """The sentence that `translated_errors` makes from an error."""
    try:
        with translated_errors():
            raise error
    except AccountError as translated:
        return str(translated)


def error_message(error: ClientError) -> str:
    """AWS's own message for an error; empty if there is none."""
    return str(error.response["Error"].get("Message", ""))


def _sentence(error: ClientError) -> str:
    code, message = error_code(error), error_message(error)
    if code in EXPIRED_CODES:
        return "Your credentials have expired; sign in again."
    if code in UNKNOWN_KEY_CODES:
        return "AWS does not recognize your credentials; check the profile, or sign in again."
    if code in DENIAL_CODES:
        return f"{error.operation_name} is denied: {message}"
    if code in QUOTA_CODES:
        return (
            f"{error.operation_name} would exceed a quota of your account ({message}); remove what "
            "is not needed, or ask AWS for a higher quota (Service Quotas), and run this again"
        )
    return f"{error.operation_name} returned {code}: {message}"
