"""Checks whether EventBridge receives the API calls that set off the sirens."""

from collections.abc import Iterator

from admin.check.report import Finding, Status
from admin.setup.trail import NO_TRAIL, WITHOUT_A_TRAIL, lacks_trail, remark_on_vault_account
from admin.target import Target


def check_trail(target: Target) -> Iterator[Finding | Status]:
    """Find that no trail logs API calls, unless that was accepted or our own trail is compared."""
    if remark := remark_on_vault_account(target):
        yield Status(f"sirens: {remark}")
    stage = target.stage
    if not stage.trail and NO_TRAIL not in stage.accepted and lacks_trail(target):
        yield Finding(
            what=f"No trail logs management events in {target.account.region}",
            why=f"{WITHOUT_A_TRAIL}. To do without a trail, run backups setup with --accept "
            f"{NO_TRAIL} instead.",
            remedy=target.fix_setup("--trail"),
        )
