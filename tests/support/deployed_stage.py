"""A deployed stage for the tests of `backups check`, and a way to run the fixes it prints."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from click.testing import CliRunner
from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from admin.account import local_account
from admin.cli import cli
from admin.stage import Stage
from demo.stage import StageCloud
from tests.support.project import stage_named

Weaken = Callable[["DeployedStage"], Any]
Table = dict[str, tuple[Weaken, str]]
DEPLOY = "make deploy STAGE=dev"
# What a check reports about a stage that has just been deployed.
NO_BACKUPS = ["backup.tar.gz.gpg: no backup yet", "sql.gz.gpg: no backup yet"]
HARMLESS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}],
    }
)


class DeployedStage:
    """A deployed stage and its account."""

    def __init__(self, cloud: StageCloud, project: Path, packages: Path) -> None:
        self.cloud = cloud
        self.project = project
        self.packages = packages
        self.account = local_account(cloud.endpoint)
        stage = stage_named("dev", project=project)
        self.stage: Stage = replace(
            stage, environment={**stage.environment, "AWS_ENDPOINT_URL": cloud.endpoint}
        )

    def client(self, service: str) -> Any:
        return self.account.client(service)

    def check(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli, ["check", *arguments])

    def audit(self, *arguments: str) -> Any:
        return CliRunner().invoke(cli, ["audit", *arguments])

    def mend(self, remedy: str) -> None:
        """Run the command line that a finding shows."""
        for command in re.split(" && |; ", remedy):
            self._run(shlex.split(command))

    def mend_until_deployment(self, remedy: str) -> None:
        """Run the commands of a fix, except the deployment at the end.

        The only remaining finding must be one that a deployment fixes.
        """
        *commands, last = remedy.split(" && ")
        assert last == DEPLOY
        for command in commands:
            self.mend(command)
        finding = self._only_finding()
        assert re.search("is not deployed$| cannot invoke ", finding["what"])
        assert finding["remedy"] == DEPLOY

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Restore functions and roles after the block, as a new deployment would."""
        functions = lambda_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]._lambdas
        iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
        before, iam_roles = deepcopy(functions._functions), deepcopy(iam.roles)
        yield
        functions._functions, iam.roles = before, iam_roles
        for function in before.values():
            versions = [function["latest"], *function["versions"]]
            functions._arns.update({version.function_arn: version for version in versions})

    def remedy_of(self, sentence: str) -> str:
        """The fix of the only finding, whose message must contain this sentence.

        This shows that every earlier weakening has been fixed.
        """
        finding = self._only_finding()
        assert sentence in finding["what"]
        assert finding["why"].endswith(".")
        return finding["remedy"]

    def _only_finding(self) -> dict[str, str]:
        result = self.check("--json")
        assert result.exit_code == 1, result.output
        [finding] = json.loads(result.stdout)["findings"]
        return dict(finding)

    def _run(self, command: list[str]) -> None:
        match command:
            case [".venv/bin/backups", *arguments]:
                done = CliRunner().invoke(cli, [*arguments, "--yes"])
                assert done.exit_code == 0, done.output
            case ["make", "deploy", "STAGE=dev"]:
                self.cloud.deploy(project_dir=self.project, packages=self.packages)
            case ["aws", service, operation, *arguments]:
                client = self.client("s3" if service == "s3api" else service)
                method = operation.replace("-", "_")
                model = client.meta.service_model.operation_model(
                    client.meta.method_to_api_mapping[method]
                ).input_shape
                members = {
                    f"--{xform_name(name, '-')}": (name, shape.type_name)
                    for name, shape in model.members.items()
                }
                parameters = {}
                *arguments, where, endpoint = arguments
                assert (where, endpoint) == ("--endpoint-url", self.cloud.endpoint)
                for option, value in zip(arguments[::2], arguments[1::2], strict=True):
                    name, kind = members[option]
                    parameters[name] = value if kind == "string" else json.loads(value)
                getattr(client, method)(**parameters)
            case _:
                pytest.fail(f"nobody can run {shlex.join(command)}")


def table_of(rows: Table) -> Callable[[str], Callable[[Weaken], Weaken]]:
    """A decorator that adds a weakening to the table, with the message of its finding."""

    def weakened(sentence: str) -> Callable[[Weaken], Weaken]:
        def note(weaken: Weaken) -> Weaken:
            rows[weaken.__name__.removeprefix("_").replace("_", " ")] = (weaken, sentence)
            return weaken

        return note

    return weakened
