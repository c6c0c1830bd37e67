"""Runs `backups status` for many servers, and prints how many lines its screen has."""

import argparse
from dataclasses import replace
from datetime import UTC, datetime

from admin.audit.command import auditor_of
from admin.exit_status import ExitStatus
from admin.status.command import show_status
from benchmarks.commands import counted_output, model_target
from chalicelib.policy.file import parse_policy
from chalicelib.watching.vault_settings import SETTINGS, digest, read_setting


def main() -> None:
    """Show the status of all servers. Each has a rule for each of the patterns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, required=True)
    parser.add_argument("store_as", nargs="+")
    arguments = parser.parse_args()
    servers = [f"server{number}" for number in range(arguments.servers)]
    rules = "".join(
        f'[[rule]]\nupload = "backup{number}"\nstore_as = "{store_as}"\n'
        for number, store_as in enumerate(arguments.store_as)
    )
    target = model_target(parse_policy(f'timezone = "Etc/UTC"\nservers = {servers}\n{rules}'))
    # What `backups setup` records, so that nothing is wrong with the vault.
    vault = auditor_of(target).vault
    digests = {name: digest(read_setting(vault, name)) for name in SETTINGS}
    settings = replace(target.stage.settings, vault_settings=digests)
    target = replace(target, stage=replace(target.stage, settings=settings))
    with counted_output():
        try:
            show_status(target, rule=None, server=None, now=datetime.now(UTC), as_json=False)
        except SystemExit as ended:
            # The model has no CloudWatch, so the vault's size is not known.
            if ended.code != ExitStatus.COULD_NOT_FIND_OUT:
                raise


if __name__ == "__main__":
    main()
