"""Creates, rotates and revokes the access keys of a server's IAM user."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from botocore.exceptions import ClientError

from admin.account import AccountError, error_message, none_if
from admin.desired.permissions import DENY_EVERYTHING, REVOKED, SERVER_POLICY_NAME
from admin.exit_status import Refused
from admin.target import BACKUPS, Target
from chalicelib.s3_errors import error_code

# IAM's limit for a user.
MOST_KEYS = 2


@dataclass(frozen=True, kw_only=True)
class AccessKey:
    """A new access key. AWS shows its secret only once."""

    id: str
    secret: str = field(repr=False)


class ServerKeys:
    """The access keys of a server's IAM user, which `backups setup` creates."""

    def __init__(self, target: Target, server: str | None) -> None:
        self._iam = target.account.client("iam")
        self._set_up = target.fix_setup()
        self.user = target.stage.server_user(server)
        self.command = " ".join(
            [
                BACKUPS,
                "credentials",
                *([server] if server else []),
                f"--stage {target.stage.name}",
            ]
        )

    def user_exists(self) -> bool:
        """Whether `setup` has created the server's user."""
        user = none_if("NoSuchEntity", lambda: self._iam.get_user(UserName=self.user))
        return user is not None

    def are_revoked(self) -> bool:
        """Whether the server's access is revoked."""
        with self._needing_the_user():
            return REVOKED in self._iam.list_user_policies(UserName=self.user)["PolicyNames"]

    def make(self) -> AccessKey:
        """Create the server's first key. Raises Refused if it has a key."""
        if keys := self._ids():
            raise Refused(
                f"{self.user} already has a key, {self._described(keys)}, and its secret cannot be "
                f"shown again. To replace it: {self.command} --rotate"
            )
        return self._create()

    def make_again(self) -> AccessKey:
        """Lift the revocation and create a key. Raises Refused if an old key is left."""
        if keys := self._ids():
            raise Refused(
                f"The revocation is not complete: {', '.join(keys)} is left. To complete it: "
                f"{self.command} --revoke"
            )
        # Lift the revocation before creating the key: after an interruption, running the command
        # again is then enough.
        self._iam.delete_user_policy(UserName=self.user, PolicyName=REVOKED)
        return self._create()

    def rotate(self) -> tuple[AccessKey, str]:
        """Create a second key; returns it and the ID of the first, which works until it is removed.

        Raises Refused if there is no key, or if there are two.
        """
        keys = self._ids()
        if not keys or self.are_revoked():
            raise Refused(f"{self.user} has no key that works. To create one: {self.command}")
        if len(keys) == MOST_KEYS:
            raise Refused(
                f"{self.user} has two keys, the most that IAM allows: {self._described(keys)}. "
                f"Remove the one that the server does not use: {self.command} --remove KEY_ID"
            )
        return self._create(), keys[0]

    def remove(self, key: str) -> str:
        """Delete one of two keys; returns the ID of the other. Raises Refused."""
        keys = self._ids()
        if key not in keys:
            raise Refused(f"{self.user} has no key {key}; it has {self._described(keys) or 'none'}")
        left = [other for other in keys if other != key]
        if not left:
            raise Refused(
                f"{key} is the only key of {self.user}; without it, backups stop. To replace it: "
                f"{self.command} --rotate; to end its access: {self.command} --revoke"
            )
        self._iam.delete_access_key(UserName=self.user, AccessKeyId=key)
        return left[0]

    def revoke(self) -> list[str]:
        """Deny the server everything, then delete its keys; returns their IDs.

        Raises AccountError if IAM does not accept the denial; the keys are deleted even then.
        """
        refusal = self._deny_everything()
        keys = self._ids()
        for key in keys:
            self._iam.delete_access_key(UserName=self.user, AccessKeyId=key)
        if refusal:
            raise AccountError(
                f"The keys of {self.user} are deleted ({', '.join(keys) or 'it had none'}), but "
                f"IAM did not accept the denial ({refusal}). Temporary credentials that somebody "
                "got with a key work until 36 hours after they were issued. Fix that and repeat: "
                f"{self.command} --revoke"
            )
        return keys

    def _deny_everything(self) -> str | None:
        """Deny the user everything. Returns IAM's error in words; None if it succeeded."""
        with self._needing_the_user():
            try:
                self._put_denial()
            except ClientError as error:
                match error_code(error):
                    case "LimitExceeded":
                        return self._deny_in_place_of_the_uploads()
                    case "NoSuchEntity":
                        raise
                return _in_words(error)
        return None

    def _deny_in_place_of_the_uploads(self) -> str | None:
        """Replace the upload policy with the denial, because IAM limits the size of both together.

        `setup` restores the upload policy; with the denial in place, it allows nothing.
        """
        try:
            none_if(
                "NoSuchEntity",
                lambda: self._iam.delete_user_policy(
                    UserName=self.user, PolicyName=SERVER_POLICY_NAME
                ),
            )
            self._put_denial()
        except ClientError as error:
            return _in_words(error)
        return None

    def _put_denial(self) -> None:
        self._iam.put_user_policy(
            UserName=self.user, PolicyName=REVOKED, PolicyDocument=json.dumps(DENY_EVERYTHING)
        )

    def _create(self) -> AccessKey:
        key = self._iam.create_access_key(UserName=self.user)["AccessKey"]
        return AccessKey(id=key["AccessKeyId"], secret=key["SecretAccessKey"])

    def _ids(self) -> list[str]:
        with self._needing_the_user():
            keys = self._iam.list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        return [key["AccessKeyId"] for key in sorted(keys, key=lambda key: key["CreateDate"])]

    def _described(self, keys: list[str]) -> str:
        """The keys, each with its last use, which IAM reports with some delay."""

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
            if error_code(error) != "NoSuchEntity":
                raise
            raise Refused(f"IAM has no user {self.user}; run {self._set_up} first") from None


def _in_words(error: ClientError) -> str:
    return f"{error_code(error)}: {error_message(error)}"
