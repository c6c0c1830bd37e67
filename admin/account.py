"""The AWS account that a stage lives in: clients, who asks, and errors as one sentence each."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

import boto3
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

from admin.stage import Stage, StageError, is_local, refuse_unfinished

# Whoever holds these may do everything in a local cloud, and nothing anywhere else.
LOCAL_ACCESS_KEY_ID = "AKIALOCALADMINISTRAT"
LOCAL_SECRET_ACCESS_KEY = "administrator/of/the/local/cloud"  # noqa: S105 - it opens nothing
LOCAL_REGION = "us-east-1"

EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
UNKNOWN_KEY = frozenset(
    {"InvalidClientTokenId", "InvalidAccessKeyId", "UnrecognizedClientException"}
)
FULL = frozenset(
    {"LimitExceeded", "LimitExceededException", "ServiceQuotaExceededException", "TooManyBuckets"}
)
DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"})


class AccountError(Exception):
    """AWS could not be asked, or refused; the message is one sentence that says what to do."""


@dataclass(frozen=True, kw_only=True)
class Account:
    """A way into one account and region. `endpoint` is None for AWS itself.

    `named` are the options that led here: the words after a command that lead there again.
    `elsewhere` are the ways into the accounts of buckets that are not in this one, by their names.
    """

    session: boto3.Session
    endpoint: str | None = None
    named: Mapping[str, str] = field(default_factory=dict, hash=False)
    elsewhere: Mapping[str, "Account"] = field(default_factory=dict, hash=False)

    @property
    def region(self) -> str:
        """The region that everything of the stage lives in."""
        return str(self.session.region_name)

    @cached_property
    def id(self) -> str:
        """The account's 12-digit id."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def holding(self, bucket: str) -> "Account":
        """The account that a bucket is in."""
        return self.elsewhere.get(bucket, self)

    @cache  # noqa: B019 - an account lives as long as the command
    def client(self, service: str) -> Any:
        """A boto3 client of the account."""
        config = Config(retries={"mode": "standard"}, connect_timeout=5)
        return self.session.client(service, endpoint_url=self.endpoint, config=config)  # type: ignore[call-overload]


def open_account(stage: Stage, *, region: str | None = None, profile: str | None = None) -> Account:
    """The account of `stage`: a local cloud's for dev, the AWS session's for any other.

    Raises StageError for a stage that would end in the wrong place, AccountError for a profile or
    region that is not there.
    """
    if stage.name == "dev":
        return local_account(stage.environment["AWS_ENDPOINT_URL"])
    refuse_unfinished(stage, os.environ)
    return _signed_in(profile, region=region)


def with_vault(account: Account, stage: Stage, *, profile: str | None) -> Account:
    """`account` with a way to the vault, if that is in an account of its own (VAULT_OWNER).

    `profile` leads there. Raises StageError where profile and VAULT_OWNER contradict each other,
    AccountError for a profile that is not there.
    """
    owner = stage.settings.vault_owner
    if profile is not None and stage.name == "dev":
        raise StageError(
            "--vault-profile leads to an account of AWS, and the stage dev is the local cloud; did "
            "you mean --stage prod?"
        )
    if profile is None:
        if owner is None or owner == account.id:
            return account
        raise StageError(
            f"the vault is in the account {owner} (VAULT_OWNER), and your credentials are of "
            f"{account.id}: name a profile of the vault's account with --vault-profile"
        )
    holder = _signed_in(profile, region=account.region)
    if owner != holder.id:
        raise StageError(
            f"the profile {profile} is of the account {holder.id}, and VAULT_OWNER of stage "
            f"{stage.name} in .chalice/config.json is {owner or 'not set'}: make it "
            f'"{holder.id}", or name another profile'
        )
    return replace(account, elsewhere={stage.settings.vault_bucket: holder})


def place_of(stage: Stage, account: Account) -> str:
    """Where the stage lives, so that nobody changes, or trusts, another one."""
    holder = account.holding(stage.settings.vault_bucket)
    vault = f", the vault in account {holder.id}" if holder is not account else ""
    return f"Stage {stage.name}, account {account.id}, region {account.region}{vault}"


def local_account(endpoint: str) -> Account:
    """The account of the local cloud at `endpoint`, whatever this shell or ~/.aws says."""
    session = boto3.Session(
        aws_access_key_id=LOCAL_ACCESS_KEY_ID,
        aws_secret_access_key=LOCAL_SECRET_ACCESS_KEY,
        region_name=LOCAL_REGION,
    )
    return Account(session=session, endpoint=endpoint)


def _signed_in(profile: str | None, *, region: str | None) -> Account:
    try:
        session = boto3.Session(profile_name=profile, region_name=region)
    except ProfileNotFound as error:
        raise AccountError(f"{error}; `aws configure list-profiles` lists them") from None
    if session.region_name is None:
        raise AccountError(
            "No region is set; name it with --region, for example --region eu-west-1"
        )
    named = {"profile": profile, "region": region}
    return Account(session=session, named={name: one for name, one in named.items() if one})


def absent_if(code: str, ask: Callable[[], Any]) -> Any:
    """What `ask` answers; None if AWS answers with exactly this code."""
    try:
        return ask()
    except ClientError as error:
        if error.response["Error"]["Code"] != code:
            raise
        return None


@contextmanager
def one_sentence_each() -> Iterator[None]:
    """Turn what AWS answers, or does not, into an AccountError that says what to do."""
    try:
        yield
    except ClientError as error:
        raise AccountError(_sentence(error)) from None
    except (NoCredentialsError, NoRegionError) as error:
        raise AccountError(f"{error}; `aws configure` sets them") from None
    except UnreachableError as error:
        endpoint = str(error.kwargs.get("endpoint_url", "")).rstrip("/")
        if is_local(endpoint):
            raise AccountError(
                f"No local cloud listens at {endpoint}: `make local` starts one; or did you mean "
                "--stage prod?"
            ) from None
        raise AccountError(f"AWS cannot be reached: {error}") from None
    except BotoCoreError as error:
        raise AccountError(f"AWS could not be asked: {error}") from None


def _sentence(error: ClientError) -> str:
    code, message = (error.response["Error"].get(part, "") for part in ("Code", "Message"))
    if code in EXPIRED:
        return "Your credentials have expired; sign in again."
    if code in UNKNOWN_KEY:
        return "AWS does not know your credentials; check the profile, or sign in again."
    if code in DENIED:
        return f"You are not allowed to {error.operation_name}: {message}"
    if code in FULL:
        return (
            f"{error.operation_name} would exceed a limit of your account: {message}; remove what "
            "is not needed, or ask AWS for more (Service Quotas), and run this again"
        )
    return f"AWS refused {error.operation_name}: {code}: {message}"
