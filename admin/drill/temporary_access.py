"""The user, trust and uploads that a drill makes and removes, also after an interruption."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

from admin.account import (
    UNKNOWN_KEY_CODES,
    Account,
    AccountError,
    isolated_session,
    none_if,
    translated_errors,
)
from admin.desired.permissions import Document, statements
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.policy.rules import DRILL

POLICY_NAME = "uploads"
TRUST_SID = "ImmutableBackupsDrill"
# The shortest that AWS allows; the credentials give no more rights than the function has.
SESSION_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class TemporaryAccess:
    """A user, a statement in the trust policy of the promoter's role, and writes below `drill/`."""

    target: Target
    role: str
    waiter: Waiter

    @property
    def user_arn(self) -> str:
        """The ARN of the user that it creates."""
        return f"arn:aws:iam::{self.target.account.id}:user/{self.target.stage.drill_user}"

    def make_user(self, policy: Document) -> Account:
        """Create a user with this IAM policy; return its account, whose requests wait for IAM."""
        iam, user = self.target.account.client("iam"), self.target.stage.drill_user
        iam.create_user(UserName=user)
        iam.put_user_policy(
            UserName=user, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy)
        )
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return self._as(key)

    def trust_caller(self) -> None:
        """Let the caller assume the role. Raises AccountError if the caller never could."""
        caller = self.target.account.principal()
        if ":user/" not in caller and ":role/" not in caller:
            raise AccountError(
                f"{caller} cannot assume a role; run --assume as an IAM user or a role"
            )
        statement = {
            "Sid": TRUST_SID,
            "Effect": "Allow",
            "Principal": {"AWS": caller},
            "Action": "sts:AssumeRole",
        }
        self._write_trust([*self._trust(), statement])

    def assume(self) -> Account:
        """The account as the promoter's role sees it."""
        session = self.target.account.client("sts").assume_role(
            RoleArn=self.role, RoleSessionName=DRILL, DurationSeconds=SESSION_SECONDS
        )
        return self._as(session["Credentials"])

    def remove(self) -> list[str]:
        """Remove everything that this or an earlier drill left; return what was removed.

        Removes the rest even if something cannot be removed, then raises AccountError.
        """
        removed: list[str] = []
        failures: list[str] = []
        # The trust comes first: it gives access to the vault, the others only to the drill's own
        # objects.
        for what, remove in (
            ("the trust in the promoter's role", self._remove_trust),
            (f"the user {self.target.stage.drill_user}", self._remove_user),
            (f"the uploads below {DRILL}/", self._remove_uploads),
            (f"unfinished writes below {DRILL}/ of the vault", self._abort_writes),
        ):
            try:
                with translated_errors():
                    removed += remove()
            except AccountError as error:
                failures.append(f"{what} ({str(error).rstrip('.')})")
        if failures:
            raise AccountError(
                f"The drill could not remove {', '.join(failures)}; run it again to remove the rest"
            )
        return removed

    def _remove_user(self) -> list[str]:
        def remove() -> list[str]:
            # IAM can already delete a new user while it does not yet find the user to list its
            # keys.
            keys = none_if("NoSuchEntity", lambda: iam.list_access_keys(**user))
            for key in keys["AccessKeyMetadata"] if keys else []:
                iam.delete_access_key(**user, AccessKeyId=key["AccessKeyId"])
            none_if("NoSuchEntity", lambda: iam.delete_user_policy(**user, PolicyName=POLICY_NAME))
            deleted = none_if("NoSuchEntity", lambda: iam.delete_user(**user))
            return [user["UserName"]] if deleted else []

        iam, user = self.target.account.client("iam"), {"UserName": self.target.stage.drill_user}
        names = self.waiter.retry_while({"DeleteConflict"}, "IAM to delete the user", remove)
        if names is None:
            raise AccountError("IAM reports that it still has keys or policies")
        return [f"user {name}" for name in names]

    def _remove_trust(self) -> list[str]:
        trust = self._trust()
        others = [statement for statement in trust if statement.get("Sid") != TRUST_SID]
        if others == trust:
            return []
        self._write_trust(others)
        return ["the trust in the promoter's role"]

    def _remove_uploads(self) -> list[str]:
        s3, bucket = self.target.account.client("s3"), self.target.incoming
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{DRILL}/")
        versions = [
            (version["Key"], version["VersionId"])
            for page in pages
            for version in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        for key, version in versions:
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
        return [f"{bucket}/{key}" for key, _ in versions] + self._abort_uploads(bucket)

    def _abort_writes(self) -> list[str]:
        return self._abort_uploads(self.target.vault)

    def _abort_uploads(self, bucket: str) -> list[str]:
        """Abort unfinished multipart uploads, whose parts are billed."""
        s3 = self.target.account.account_of(bucket).client("s3")
        unfinished = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{DRILL}/").get("Uploads", [])
        for multipart in unfinished:
            s3.abort_multipart_upload(
                Bucket=bucket, Key=multipart["Key"], UploadId=multipart["UploadId"]
            )
        return [f"{bucket}/{multipart['Key']} (unfinished)" for multipart in unfinished]

    def _role(self) -> dict[str, Any]:
        name = self.role.rpartition("/")[2]
        role: dict[str, Any] = self.target.account.client("iam").get_role(RoleName=name)["Role"]
        return role

    def _trust(self) -> list[dict[str, Any]]:
        return statements(self._role()["AssumeRolePolicyDocument"])

    def _write_trust(self, trusts: list[dict[str, Any]]) -> None:
        trust = {**self._role()["AssumeRolePolicyDocument"], "Statement": trusts}
        self.target.account.client("iam").update_assume_role_policy(
            RoleName=self.role.rpartition("/")[2], PolicyDocument=json.dumps(trust)
        )

    def _as(self, credentials: dict[str, Any]) -> Account:
        """The account with new credentials, which parts of AWS do not recognize yet."""
        session = boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            region_name=self.target.account.region,
            botocore_session=isolated_session() if self.target.account.endpoint else None,
        )
        # Hooks are typed to return nothing; this one returns a pause.
        hook: Any = self._retry_while_unknown
        session.events.register("needs-retry", hook)
        return Account(session=session, endpoint=self.target.account.endpoint)

    def _retry_while_unknown(
        self, response: Any, request_dict: dict[str, Any], **_: Any
    ) -> int | None:
        """botocore's hook after each attempt of a request: the seconds until a retry, or None.

        Even after a successful request, another node of AWS can still reject the new key.
        """
        if response is None or response[1].get("Error", {}).get("Code") not in UNKNOWN_KEY_CODES:
            return None
        context = request_dict["context"]
        if "polls" not in context:
            context["polls"] = self.waiter.polls("all of AWS to accept the new key")
            next(context["polls"])
        polls: Iterator[None] = context["polls"]
        for _poll in polls:
            return 0
        raise AccountError(
            "The drill's new key is still unknown to parts of AWS after "
            f"{self.waiter.seconds:.0f} seconds; try again later"
        )


def role_of_the_promoter(target: Target) -> str:
    """The ARN of the role. Raises AccountError if the function is not deployed."""
    name = target.stage.function_name("promote")
    function = none_if(
        "ResourceNotFoundException",
        lambda: target.account.client("lambda").get_function_configuration(FunctionName=name),
    )
    if function is None:
        raise AccountError(
            f"There is no function {name}; run make deploy STAGE={target.stage.name} first"
        )
    return str(function["Role"])
