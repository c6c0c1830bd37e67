"""Runs `backups list` of the whole vault for many servers, and prints how many rows it has."""

import argparse
import sys
from datetime import UTC, datetime
from io import TextIOBase

from admin.listing.command import ListOptions, list_backups
from admin.stored.when import When
from benchmarks.target import model_target
from chalicelib.policy.file import parse_policy


class Lines(TextIOBase):
    """Takes the place of stdout, and counts its lines."""

    def __init__(self) -> None:
        self.number = 0

    def write(self, text: str) -> int:
        """Count the lines."""
        self.number += text.count("\n")
        return len(text)


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
    lines, stdout = Lines(), sys.stdout
    sys.stdout = lines
    list_backups(
        model_target(policy),
        ListOptions(since=When(moment=arguments.since)),
        now=datetime.now(UTC),
    )
    sys.stdout = stdout
    print(lines.number)


if __name__ == "__main__":
    main()
