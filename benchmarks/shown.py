"""Runs `backups status` for many servers."""

import argparse
from datetime import UTC, datetime

from admin.status.command import show_status
from benchmarks.target import model_target
from chalicelib.policy.file import parse_policy


def main() -> None:
    """Show the status of all servers, each with these rules."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, required=True)
    parser.add_argument("store_as", nargs="+")
    arguments = parser.parse_args()
    servers = [f"server{number}" for number in range(arguments.servers)]
    policy = parse_policy(
        "\n".join(
            [
                f'timezone = "Etc/UTC"\nservers = {servers}',
                *(
                    f'[[rule]]\nupload = "backup{number}"\nstore_as = "{store_as}"'
                    for number, store_as in enumerate(arguments.store_as)
                ),
            ]
        )
    )
    show_status(model_target(policy), rule=None, server=None, now=datetime.now(UTC), as_json=False)


if __name__ == "__main__":
    main()
