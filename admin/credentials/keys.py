"""The access keys of a server's IAM user: made, replaced, and ended at once."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from admin.account import Account, AccountError, absent_if
from admin.desired.permissions import NOTHING, REVOKED, SERVER_POLICY_NAME
from admin.stage import Stage

# IAM allows a user no more.
MOST_KEYS = 2


class CredentialsError(Exception):
    """What cannot be done with a server's keys; the message says why, and what to do instead."""


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """A new access key. Its secret can be read now and never again."""

    id: str
    secret: str = field(repr=False)


class ServerKeys:
    """The access keys of one server's IAM user, which `backups setup` makes."""

    def __init__(self, account: Account, stage: Stage, server: str | None) -> None:
        self._iam = account.client("iam")
        self.user = stage.server_user(server)
        self.command = " ".join(
            ["backups credentials", *([server] if server else []), f"--stage {stage.name}"]
        )

    def user_exists(self) -> bool:
        """Whether `setup` has made the server's user."""
        user = absent_if("NoSuchEntity", lambda: self._iam.get_user(UserName=self.user))
        return user is not None

    def are_revoked(self) -> bool:
        """Whether the server's access was ended."""
        with self._needing_the_user():
            return REVOKED in self._iam.list_user_policies(UserName=self.user)["PolicyNames"]

    def make(self) -> AccessKey:
        """The server's first key. Raises CredentialsError where it has one."""
        if keys := self._ids():
            raise CredentialsError(
                f"{self.user} has a key, {self._described(keys)}, and its secret cannot be shown "
                f"again. To replace it: {self.command} --rotate"
            )
        return self._create()

    def make_again(self) -> AccessKey:
        """Lift the revocation, and make a key. Raises CredentialsError where a key is left."""
        if keys := self._ids():
            raise CredentialsError(
                f"The revocation is not complete: {', '.join(keys)} is left. To complete it: "
                f"{self.command} --revoke"
            )
        # Before the key is made: whoever is interrupted here can just run it again.
        self._iam.delete_user_policy(UserName=self.user, PolicyName=REVOKED)
        return self._create()

    def rotate(self) -> tuple[AccessKey, str]:
        """A second key, and the id of the first, which works until it is removed.

        Raises CredentialsError where there is none, or two.
        """
        keys = self._ids()
        if not keys or self.are_revoked():
            raise CredentialsError(
                f"{self.user} has no key that works. To make one: {self.command}"
            )
        if len(keys) == MOST_KEYS:
            raise CredentialsError(
                f"{self.user} has two keys, as many as IAM allows: {self._described(keys)}. Remove "
                f"the one that the server does not use: {self.command} --remove KEY_ID"
            )
        return self._create(), keys[0]

    def remove(self, key: str) -> str:
        """Delete one of two keys; the id of the other. Raises CredentialsError."""
        keys = self._ids()
        if key not in keys:
            raise CredentialsError(
                f"{self.user} has no key {key}; it has {self._described(keys) or 'none'}"
            )
        left = [other for other in keys if other != key]
        if not left:
            raise CredentialsError(
                f"{key} is the only key of {self.user}: its backups would stop. To replace it: "
                f"{self.command} --rotate; to end its access: {self.command} --revoke"
            )
        self._iam.delete_access_key(UserName=self.user, AccessKeyId=key)
        return left[0]

    def revoke(self) -> list[str]:
        """Deny the server everything, then delete its keys; their ids.

        Raises AccountError where IAM does not take the denial: the keys are deleted all the same.
        """
        refusal = self._deny_everything()
        keys = self._ids()
        for key in keys:
            self._iam.delete_access_key(UserName=self.user, AccessKeyId=key)
        if refusal:
            raise AccountError(
                f"The keys of {self.user} are deleted ({', '.join(keys) or 'it had none'}), but "
                f"IAM did not take the denial ({refusal}): temporary credentials that somebody "
                "took with a key work until 36 hours after they were taken. Mend that, and repeat: "
                f"{self.command} --revoke"
            )
        return keys

    def _deny_everything(self) -> str | None:
        """What IAM says if it refuses; None: everything is denied."""
        with self._needing_the_user():
            try:
                self._put_denial()
            except ClientError as error:
                match error.response["Error"]["Code"]:
                    case "LimitExceeded":
                        return self._deny_in_place_of_the_uploads()
                    case "NoSuchEntity":
                        raise
                return _told(error)
        return None

    def _deny_in_place_of_the_uploads(self) -> str | None:
        """A user's policies have little room together. `setup` restores this one, beside the denial
        that it changes nothing about.
        """
        try:
            absent_if(
                "NoSuchEntity",
                lambda: self._iam.delete_user_policy(
                    UserName=self.user, PolicyName=SERVER_POLICY_NAME
                ),
            )
            self._put_denial()
        except ClientError as error:
            return _told(error)
        return None

    def _put_denial(self) -> None:
        self._iam.put_user_policy(
            UserName=self.user, PolicyName=REVOKED, PolicyDocument=json.dumps(NOTHING)
        )

    def _create(self) -> AccessKey:
        made = self._iam.create_access_key(UserName=self.user)["AccessKey"]
        return AccessKey(id=made["AccessKeyId"], secret=made["SecretAccessKey"])

    def _ids(self) -> list[str]:
        with self._needing_the_user():
            keys = self._iam.list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        return [key["AccessKeyId"] for key in sorted(keys, key=lambda key: key["CreateDate"])]

    def _described(self, keys: list[str]) -> str:
        """The keys with when each was last used, which IAM knows with some delay."""

        def used(key: str) -> str:
            answer = self._iam.get_access_key_last_used(AccessKeyId=key)["AccessKeyLastUsed"]
            moment = answer.get("LastUsedDate")
            return f"last used {moment:%Y-%m-%d %H:%M} UTC" if moment else "not used yet"

        return " and ".join(f"{key} ({used(key)})" for key in keys)

    @contextmanager
    def _needing_the_user(self) -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchEntity":
                raise
            raise CredentialsError(
                f"There is no user {self.user} in IAM; run `backups setup --apply` first"
            ) from None


def _told(error: ClientError) -> str:
    return f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
