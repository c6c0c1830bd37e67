"""A local cloud with a stage in it: set up as `backups setup` does, and deployed by Chalice."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from admin.account import Account
from admin.setup.plan import execute, make_plan, requirements_of
from admin.setup.recorded import actual_digests, as_variable
from admin.stage import PROJECT, read_stage
from admin.target import Target
from demo.deployment import deploy, read_config, read_policy_of
from localcloud import cloud as clouds
from localcloud.cloud import Cloud
from localcloud.functions.lambda_functions import REGION
from localcloud.iam.callers import Credentials


@dataclass(kw_only=True, eq=False)
class StageCloud(Cloud):
    """A local cloud prepared for a stage, with the stage's buckets and servers."""

    incoming: str = ""
    vault: str = ""
    servers: dict[str | None, Credentials] = field(default_factory=dict)

    @property
    def server_credentials(self) -> Credentials:
        """The keys of the policy's first or only server; only available after `prepare`."""
        return next(iter(self.servers.values()))

    def role_credentials(self, function: str, *, stage: str = "dev") -> Credentials:
        """Credentials of the role that `chalice deploy` created for a function, such as promote."""
        administrator = self.session(self.administrator)
        deployed = administrator.client("lambda").get_function_configuration(
            FunctionName=f"{read_config(PROJECT)['app_name']}-{stage}-{function}"
        )
        return self.assume(deployed["Role"])

    def prepare(self, *, project_dir: Path = PROJECT, stage: str = "dev") -> None:
        """Do what `backups setup --apply` does, and create a key for each server."""
        place = read_stage(stage, project=project_dir)
        self.incoming = place.settings.incoming_bucket
        self.vault = place.settings.vault_bucket
        self._set_up(project_dir, stage)
        iam = self.session(self.administrator).client("iam")
        for server in read_policy_of(project_dir).servers or (None,):
            key = iam.create_access_key(UserName=place.server_user(server))["AccessKey"]
            self.servers[server] = Credentials(
                access_key_id=key["AccessKeyId"], secret_access_key=key["SecretAccessKey"]
            )

    def deploy(
        self,
        *,
        project_dir: Path = PROJECT,
        stage: str = "dev",
        packages: Path | None = None,
    ) -> None:
        """Deploy the app with the real `chalice deploy`, and set up what depends on it.

        Raises DeployError with the output of Chalice.
        """
        deploy(
            project_dir,
            stage=stage,
            endpoint=self.endpoint,
            region=REGION,
            credentials=self.administrator,
            packages=packages,
            # The project's policy can have been edited after its config.json was written.
            variables=as_variable(actual_digests(self._target(project_dir, stage))),
        )
        self._set_up(project_dir, stage)

    def _set_up(self, project_dir: Path, stage: str) -> None:
        target = self._target(project_dir, stage)
        plan = make_plan(target.account, requirements_of(target), lock_named=False)
        for _ in execute(target.account, plan):
            pass

    def _target(self, project_dir: Path, stage: str) -> Target:
        return Target(
            account=Account(
                session=self.session(self.administrator).boto3_session(), endpoint=self.endpoint
            ),
            stage=read_stage(stage, project=project_dir),
            policy=read_policy_of(project_dir),
        )


@contextmanager
def running(**options: Any) -> Iterator[StageCloud]:
    """A new, empty cloud, as `localcloud.cloud.running` creates it with the same options."""
    with _no_profile(), clouds.running(**options) as cloud:
        yield StageCloud(**vars(cloud))


@contextmanager
def _no_profile() -> Iterator[None]:
    """Hide this user's AWS profiles: moto creates its own sessions, which would read them."""
    names = (
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
    )
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ.update(AWS_CONFIG_FILE=os.devnull, AWS_SHARED_CREDENTIALS_FILE=os.devnull)
    try:
        yield
    finally:
        for name in names:
            os.environ.pop(name, None)
        os.environ.update(before)
