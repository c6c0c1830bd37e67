"""Runs `backups list` of the whole vault for many servers, and prints how many rows it has."""

import argparse
from datetime import UTC, datetime

from admin.listing.command import ListOptions, list_backups
from admin.stored.when import When
from benchmarks.commands import counted_output, model_target
from chalicelib.policy.file import parse_policy


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
    options = ListOptions(since=When(moment=arguments.since))
    with counted_output():
        list_backups(model_target(policy), options, now=datetime.now(UTC))


if __name__ == "__main__":
    main()
