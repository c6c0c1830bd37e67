"""What a drill makes in an account and takes away again, an interrupted one's too."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3

from admin.account import UNKNOWN_KEY, Account, AccountError, absent_if, one_sentence_each
from admin.desired.permissions import Document
from admin.stage import Stage
from admin.waiting import Patience
from chalicelib.policy.rules import DRILL

POLICY_NAME = "uploads"
TRUST = "ImmutableBackupsDrill"
# As short as AWS allows: whoever held them could do no more than the function, and not for long.
SESSION_SECONDS = 900


@dataclass(frozen=True, kw_only=True)
class Temporary:
    """A user, a statement in the promoter's trust, and objects below `drill/` in incoming."""

    account: Account
    stage: Stage
    role: str
    patience: Patience

    def make_user(self, policy: Document) -> Account:
        """A user with this policy: its way into the account, and each request waits for IAM."""
        iam, user = self.account.client("iam"), self.stage.drill_user
        iam.create_user(UserName=user)
        iam.put_user_policy(
            UserName=user, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy)
        )
        key = iam.create_access_key(UserName=user)["AccessKey"]
        return self._as(key)

    def trust_caller(self) -> None:
        """Let the role be assumed by whoever runs this. Raises AccountError for who cannot."""
        statement = {
            "Sid": TRUST,
            "Effect": "Allow",
            "Principal": {"AWS": self._caller()},
            "Action": "sts:AssumeRole",
        }
        self._write_trust([*self._trust(), statement])

    def assume(self) -> Account:
        """The promoter's own way into the account."""
        session = self.account.client("sts").assume_role(
            RoleArn=self.role, RoleSessionName=DRILL, DurationSeconds=SESSION_SECONDS
        )
        return self._as(session["Credentials"])

    def remove(self) -> list[str]:
        """Take everything away, whoever left it there; what there was, in words.

        What cannot be removed keeps nothing else from being removed. Raises AccountError for it.
        """
        removed: list[str] = []
        stays: list[str] = []
        # The trust first: it opens the vault, the others only what is the drill's.
        for what, remove in (
            ("its trust in the promoter's role", self._remove_trust),
            (f"the user {self.stage.drill_user}", self._remove_user),
            (f"its uploads below {DRILL}/", self._remove_uploads),
        ):
            try:
                with one_sentence_each():
                    removed += remove()
            except AccountError as error:
                stays.append(f"{what} ({str(error).rstrip('.')})")
        if stays:
            raise AccountError(
                f"The drill could not remove {', nor '.join(stays)}; run it again, it begins with "
                "that"
            )
        return removed

    def _remove_user(self) -> list[str]:
        def remove() -> list[str]:
            # Just after it was made, IAM may not show it yet, and delete it all the same.
            keys = absent_if("NoSuchEntity", lambda: iam.list_access_keys(**user))
            for key in keys["AccessKeyMetadata"] if keys else []:
                iam.delete_access_key(**user, AccessKeyId=key["AccessKeyId"])
            absent_if(
                "NoSuchEntity", lambda: iam.delete_user_policy(**user, PolicyName=POLICY_NAME)
            )
            found = absent_if("NoSuchEntity", lambda: iam.delete_user(**user))
            return [user["UserName"]] if found else []

        iam, user = self.account.client("iam"), {"UserName": self.stage.drill_user}
        names = self.patience.outlast("IAM to let the user go", remove, codes={"DeleteConflict"})
        if names is None:
            raise AccountError("IAM says that it still has keys or policies")
        return [f"the user {name}" for name in names]

    def _remove_trust(self) -> list[str]:
        trust = self._trust()
        others = [statement for statement in trust if statement.get("Sid") != TRUST]
        if others == trust:
            return []
        self._write_trust(others)
        return ["a trust of the promoter's role"]

    def _remove_uploads(self) -> list[str]:
        s3, bucket = self.account.client("s3"), self.stage.settings.incoming_bucket
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=f"{DRILL}/")
        found = [
            (one["Key"], one["VersionId"])
            for page in pages
            for one in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        ]
        for key, version in found:
            s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
        unfinished = s3.list_multipart_uploads(Bucket=bucket, Prefix=f"{DRILL}/").get("Uploads", [])
        for one in unfinished:
            s3.abort_multipart_upload(Bucket=bucket, Key=one["Key"], UploadId=one["UploadId"])
        return [f"{bucket}/{key}" for key, _ in found]

    def _caller(self) -> str:
        """The ARN that a trust policy can name: of an assumed role, the role's own."""
        arn = str(self.account.client("sts").get_caller_identity()["Arn"])
        kind, _, name = arn.split(":", 5)[5].partition("/")
        if kind == "assumed-role":
            role = name.partition("/")[0]
            return str(self.account.client("iam").get_role(RoleName=role)["Role"]["Arn"])
        if kind != "user":
            raise AccountError(
                f"{arn} cannot assume a role; run --assume as an IAM user or with a role"
            )
        return arn

    def _role(self) -> dict[str, Any]:
        name = self.role.rpartition("/")[2]
        found: dict[str, Any] = self.account.client("iam").get_role(RoleName=name)["Role"]
        return found

    def _trust(self) -> list[dict[str, Any]]:
        statements = self._role()["AssumeRolePolicyDocument"]["Statement"]
        return statements if isinstance(statements, list) else [statements]

    def _write_trust(self, statements: list[dict[str, Any]]) -> None:
        trust = {**self._role()["AssumeRolePolicyDocument"], "Statement": statements}
        self.account.client("iam").update_assume_role_policy(
            RoleName=self.role.rpartition("/")[2], PolicyDocument=json.dumps(trust)
        )

    def _as(self, credentials: dict[str, Any]) -> Account:
        """A way into the account with credentials so new that not every node knows them yet."""
        session = boto3.Session(
            aws_access_key_id=credentials["AccessKeyId"],
            aws_secret_access_key=credentials["SecretAccessKey"],
            aws_session_token=credentials.get("SessionToken"),
            region_name=self.account.region,
        )
        # By its types a hook answers nothing; this one is asked for a pause.
        hook: Any = self._outlast_unknown_key
        session.events.register("needs-retry", hook)
        return Account(session=session, endpoint=self.account.endpoint)

    def _outlast_unknown_key(
        self, response: Any, request_dict: dict[str, Any], **_: Any
    ) -> int | None:
        """botocore's hook after each try of a request: None, or in how many seconds to try again.

        One node may have answered requests before when another one does not know the key yet.
        """
        if response is None or response[1].get("Error", {}).get("Code") not in UNKNOWN_KEY:
            return None
        context = request_dict["context"]
        if "tries" not in context:
            context["tries"] = self.patience.tries("IAM to know the new key everywhere")
            next(context["tries"])
        tries: Iterator[None] = context["tries"]
        for _try in tries:
            return 0
        raise AccountError(
            "AWS does not know the drill's own key everywhere, "
            f"{self.patience.seconds:.0f} seconds after it was made; run the drill again later"
        )
