"""Runs `backups restore latest`, to a file or to stdout (`-`)."""

import sys
from datetime import UTC, datetime

from admin.restore.command import RestoreOptions, restore
from admin.stored.when import When
from benchmarks.commands import model_target
from chalicelib.policy.file import parse_policy


def main() -> None:
    """Restore the newest backup of the rule with these names to this file."""
    store_as, output = sys.argv[1:]
    policy = parse_policy(
        f'timezone = "Etc/UTC"\n[[rule]]\nupload = "backup"\nstore_as = "{store_as}"\n'
    )
    options = RestoreOptions(output=output)
    restore(model_target(policy), When(), options, now=datetime.now(UTC))


if __name__ == "__main__":
    main()
