"""Runs `backups list` of the whole vault for many servers, and prints how many rows it has."""

import argparse
import os
import sys
from datetime import UTC, datetime
from io import TextIOBase

import boto3
import botocore.session

from admin.account import Account, with_fast_times
from admin.listing.command import ListOptions, list_backups
from admin.stage import Stage
from admin.stored.when import When
from admin.target import Target
from chalicelib.policy.file import parse_policy
from chalicelib.settings import Settings


class Lines(TextIOBase):
    """Takes the place of stdout, and counts its lines."""

    def __init__(self) -> None:
        self.number = 0

    def write(self, text: str) -> int:
        """Count the lines."""
        self.number += text.count("\n")
        return len(text)


class ModelTarget(Target):
    """The model's account has no id."""

    def __str__(self) -> str:
        """Say what the tables are made with."""
        return "The model of S3"


def main() -> None:
    """List everything since a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, required=True)
    parser.add_argument("--store-as", required=True)
    parser.add_argument("--since", type=datetime.fromisoformat, required=True)
    arguments = parser.parse_args()
    servers = [f"server{number}" for number in range(arguments.servers)]
    policy = parse_policy(
        f'timezone = "Etc/UTC"\nservers = {servers}\n[[rule]]\nupload = "backup"\n'
        f'store_as = "{arguments.store_as}"\n'
    )
    settings = Settings.from_environment(os.environ)
    session = boto3.Session(botocore_session=with_fast_times(botocore.session.Session()))
    account = Account(session=session, endpoint=os.environ["AWS_ENDPOINT_URL"])
    lines, stdout = Lines(), sys.stdout
    sys.stdout = lines
    list_backups(
        ModelTarget(
            account=account,
            stage=Stage(name="bench", settings=settings, environment=os.environ),
            policy=policy,
        ),
        ListOptions(since=When(moment=arguments.since)),
        now=datetime.now(UTC),
    )
    sys.stdout = stdout
    print(lines.number)


if __name__ == "__main__":
    main()
