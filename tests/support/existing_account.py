"""An account with existing resources, for the tests of `setup`."""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from moto.s3.models import s3_backends

import admin.cli
from admin.account import Account
from admin.cli import cli
from admin.config.reading import CONFIG
from admin.desired.permissions import function_policies
from admin.stage import Stage, read_stage
from chalicelib.policy.policy import Policy
from chalicelib.promotion.buckets import open_buckets
from chalicelib.promotion.notification import Notification
from chalicelib.promotion.promotion import Promoter
from demo.stage import StageCloud
from localcloud.iam.callers import Credentials
from tests.support.project import POLICY
from tests.support.world import DAILY, SINGLE

PROMOTE = "immutable-backups-dev-promote"
LAMBDA = {"Service": "lambda.amazonaws.com"}


@dataclass
class ExistingAccount:
    """A company's account: two buckets for the stage dev, with objects and settings."""

    cloud: StageCloud
    account: Account
    project: Path
    incoming: str
    vault: str
    # The operations that changed something since the list was last cleared.
    written: list[str]
    patch: pytest.MonkeyPatch
    policy: Policy = POLICY

    @property
    def s3(self) -> Any:
        return self.account.client("s3")

    @property
    def iam(self) -> Any:
        return self.account.client("iam")

    @property
    def stage(self) -> Stage:
        return read_stage("dev", project=self.project)

    def set_up(self, *arguments: str) -> Any:
        self.written.clear()
        return CliRunner().invoke(cli, ["setup", *arguments])

    def files(self) -> dict[Path, bytes]:
        """The generated files and config.json."""
        return {path: path.read_bytes() for path in (self.project / ".chalice").iterdir()}

    def use(self, policy: Policy) -> None:
        self.policy = policy
        self.patch.setattr(admin.cli, "read_policy", lambda: policy)

    def configure(self, edit: Callable[[dict[str, Any]], object]) -> None:
        path = self.project / CONFIG
        config = json.loads(path.read_text())
        edit(config["stages"]["dev"])
        path.write_text(json.dumps(config, indent=2))

    def put_statement(self, bucket: str, **statement: Any) -> None:
        """A bucket policy with one statement, which is a Deny by default."""
        statement = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", **statement}
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))

    def upload_nightly(self, bucket: str, *, versions: int, key: str = DAILY) -> None:
        """One key, overwritten on this many nights: the history consists of S3's versions."""
        self.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for _ in range(versions):
            self.s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 1024)
        # The last upload does not belong to today's slot.
        self.date(bucket, key, newest=timedelta(hours=25))

    def date(self, bucket: str, key: str, *, newest: timedelta) -> None:
        """Date the versions of a key a day apart; `newest` is the age of the newest."""
        now = datetime.now(UTC).replace(tzinfo=None)
        stored = s3_backends["123456789012"]["aws"].buckets[bucket].keys.getlist(key)
        for days, version in enumerate(reversed(stored)):
            version.last_modified = now - newest - timedelta(days=days)

    def make_role(self, *, trusts: Any = None, **more: Any) -> str:
        """A role with the function's name, as Chalice creates it, or with another trust policy."""
        trust = {"Effect": "Allow", "Principal": trusts or LAMBDA, "Action": "sts:AssumeRole"}
        document = {"Version": "2012-10-17", "Statement": [trust]}
        role = self.iam.create_role(
            RoleName=PROMOTE, AssumeRolePolicyDocument=json.dumps(document), **more
        )
        return str(role["Role"]["Arn"])

    def make_function(self) -> None:
        """A function with our name that is another program."""
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as bundle:
            bundle.writestr("index.py", "def handler(event, context): pass")
        role = self.make_role()
        self.account.client("lambda").create_function(
            FunctionName=PROMOTE,
            Runtime="python3.12",
            Role=role,
            Handler="index.handler",
            Code={"ZipFile": code.getvalue()},
        )

    def lock(self, bucket: str, **rule: Any) -> None:
        """Enable Object Lock, with a default rule if one is given."""
        lock = {"ObjectLockEnabled": "Enabled", **({"Rule": rule} if rule else {})}
        self.s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)

    def an_upload_arrives(self) -> None:
        """Our code promotes a server's upload, with the generated rights and nothing else."""
        if PROMOTE not in {role["RoleName"] for role in self.iam.list_roles()["Roles"]}:
            self.make_role()
        self.iam.put_role_policy(
            RoleName=PROMOTE,
            PolicyName=PROMOTE,
            PolicyDocument=json.dumps(function_policies(self.policy, self.stage)["promote"]),
        )
        key, (_, server) = next(
            (key, owner) for key, owner in self.policy.server_keys.items() if key.endswith(DAILY)
        )
        access = self.iam.create_access_key(UserName=self.stage.server_user(server))["AccessKey"]
        session = self.cloud.session(
            Credentials(
                access_key_id=access["AccessKeyId"], secret_access_key=access["SecretAccessKey"]
            )
        )
        upload = session.client("s3").put_object(Bucket=self.incoming, Key=key, Body=b"all of it")
        role = self.cloud.assume(f"arn:aws:iam::123456789012:role/{PROMOTE}")
        incoming, vault = open_buckets(self.cloud.session(role).client("s3"), self.stage.settings)
        promoter = Promoter(incoming=incoming, vault=vault, policy=self.policy, tuning=SINGLE)
        now = datetime.now(UTC)
        record = promoter.promote(Notification(key=key, version_id=upload["VersionId"]), now=now)
        assert record.outcome == "promoted", record
        slot = self.policy.slot_of(key, now).name
        assert self.s3.get_object(Bucket=self.vault, Key=slot)["Body"].read() == b"all of it"
