"""Checks whether an access key gives anyone the rights of an account's root user."""

from collections.abc import Iterator

from admin.account import Account
from admin.check.report import Finding


def check_root(account: Account) -> Iterator[Finding]:
    """Find access keys of the root user. Source: IAM API reference, GetAccountSummary."""
    summary = account.client("iam").get_account_summary()["SummaryMap"]
    if summary.get("AccountAccessKeysPresent"):
        yield Finding(
            what=f"The root user of account {account.id} has an access key",
            why="Nothing in the account limits what this key can do, and no check can tell who has "
            "it.",
            remedy="sign in as the root user, and delete the key under Security credentials",
        )
