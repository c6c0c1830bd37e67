"""Records the vault's settings in config.json, as digests that the hourly audit compares."""

from collections.abc import Mapping

from admin.account import AccountError
from admin.choices import SetupOptions
from admin.setup.plan import Plan, make_plan, requirements_of
from admin.target import Target
from admin.waiting import Waiter
from chalicelib.promotion.buckets import Vault
from chalicelib.watching.vault_settings import SETTINGS, digest, read_setting

# The variable of the functions' environment.
VARIABLE = "VAULT_SETTINGS"


def actual_digests(target: Target) -> dict[str, str]:
    """The digests of the vault's settings as S3 shows them now."""
    account = target.vault_account
    vault = Vault(s3=account.client("s3"), name=target.vault, owner=account.id)
    return {name: digest(read_setting(vault, name)) for name in SETTINGS}


def as_variable(digests: Mapping[str, str]) -> dict[str, str]:
    """The variable that records these digests."""
    return {VARIABLE: ",".join(f"{name}={value}" for name, value in digests.items())}


def differences(target: Target) -> list[str]:
    """The names of the vault's settings that differ from what is recorded in config.json."""
    recorded = target.stage.settings.vault_settings or {}
    return [name for name, value in actual_digests(target).items() if recorded.get(name) != value]


def is_settled(target: Target, plan: Plan) -> bool:
    """Whether the plan leaves the vault unchanged, and its door is closed."""
    changed = {change.requirement.resource for change in plan.changes}
    return target.vault in plan.existing - changed


def settled_digests(
    target: Target, options: SetupOptions, waiter: Waiter, *, lock_named: bool
) -> dict[str, str]:
    """The digests once S3 shows what `setup` has written, which can take a while.

    A response can show older settings than the response before it, so the digests count only if
    they are the same before and after the comparison. Raises AccountError if the time runs out.
    """
    requirements = requirements_of(target, options)
    of_vault = tuple(one for one in requirements if one.resource == target.vault)
    for _ in waiter.polls(f"the settings of {target.vault} to take effect"):
        before = actual_digests(target)
        plan = make_plan(target.account, of_vault, lock_named=lock_named)
        if is_settled(target, plan) and actual_digests(target) == before:
            return before
    raise AccountError(
        f"S3 still does not show the settings of {target.vault} as they were set, after "
        f"{waiter.seconds:.0f} seconds, so they were not recorded in {VARIABLE}; run the same "
        "command again"
    )


def hidden_policy(target: Target) -> str:
    """States what the audit cannot compare in a vault of another account."""
    return (
        f"settings: the hourly audit cannot read the bucket policy of {target.vault}, because S3 "
        "shows it only to the bucket's own account; backups audit with --vault-profile compares it"
    )
