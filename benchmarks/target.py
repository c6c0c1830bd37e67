"""What the commands of `backups` work on in the benchmarks: the model's account."""

import os

import boto3
import botocore.session

from admin.account import Account
from admin.fast_lists import with_fast_lists
from admin.stage import Stage
from admin.target import Target
from chalicelib.policy.policy import Policy
from chalicelib.settings import Settings


class ModelTarget(Target):
    """The model's account has no id."""

    def __str__(self) -> str:
        """Say what the tables are made with."""
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
