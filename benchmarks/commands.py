"""What the commands of `backups` need to run against the model of S3."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOBase

import boto3
import botocore.session

from admin.account import Account
from admin.fast_lists import with_fast_lists
from admin.stage import Stage
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.settings import Settings


class ModelTarget(Target):
    """The model's account has no ID."""

    def __str__(self) -> str:
        """Print how the tables were measured."""
        return "The model of S3"


def model_target(policy: Policy) -> ModelTarget:
    """The target of the environment that `measure` gives a program."""
    session = boto3.Session(botocore_session=with_fast_lists(botocore.session.Session()))
    settings = Settings.from_environment(os.environ)
    return ModelTarget(
        account=Account(session=session, endpoint=os.environ["AWS_ENDPOINT_URL"]),
        stage=Stage(name="bench", settings=settings, environment=os.environ),
        policy=policy,
    )


class _Lines(TextIOBase):
    def __init__(self) -> None:
        self.number = 0

    def write(self, text: str) -> int:
        self.number += text.count("\n")
        return len(text)


@contextmanager
def counted_output() -> Iterator[None]:
    """Within the block, count the printed lines instead of printing them; print the number."""
    lines, stdout = _Lines(), sys.stdout
    sys.stdout = lines
    try:
        yield
    finally:
        sys.stdout = stdout
    print(lines.number)
