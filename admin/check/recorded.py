"""Compares the vault's settings with the digests that `setup` recorded for the audit."""

from collections.abc import Container, Iterator

from admin.check.report import Finding, Status
from admin.setup.recorded import VARIABLE, differences, hidden_policy
from admin.target import Target


def check_recorded(target: Target, *, found: Container[str]) -> Iterator[Finding | Status]:
    """Find settings that have changed since, unless they were already `found` to be wrong."""
    if target.vault_has_own_account:
        yield Status(hidden_policy(target))
    changed = differences(target)
    if target.stage.settings.vault_settings is None:
        yield Finding(
            what=f"{VARIABLE} is not set in .chalice/config.json",
            why=f"Without it, the hourly audit does not notice if the settings of {target.vault} "
            "change.",
            remedy=target.fix_setup(),
        )
    elif names := [name for name in changed if name not in found]:
        yield Finding(
            what=f"Settings of {target.vault} have changed since backups setup recorded them: "
            f"{', '.join(names)}",
            why="Each is as it should be, or was accepted, or backups setup does not write it. If "
            "you do not know who changed it, find out before you record it again.",
            remedy=target.fix_setup(),
        )
