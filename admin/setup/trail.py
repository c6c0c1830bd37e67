"""What `setup` reports about trails, without which EventBridge receives no API call."""

from collections.abc import Iterator

from admin.choices import TRAIL_PRICE, SetupOptions
from admin.desired.trail import trail_arn
from admin.exit_status import Refused
from admin.setup.trail_resources import logging_trail
from admin.target import Target

# The name that accepts an account without a trail, in `setup --accept` and for `check`.
NO_TRAIL = "no-trail"
WITHOUT_A_TRAIL = (
    "EventBridge is not notified of changes to the vault's policy, the functions or the alarms. "
    "Only the hourly audit finds them, and misses a change that is undone within the hour"
)


def examine_trails(target: Target, options: SetupOptions) -> bool:
    """Whether there is no trail, and these options create none.

    Raises Refused if they create one although another trail already logs the calls: it would cost
    money.
    """
    if not options.trail:
        return lacks_trail(target)
    own = trail_arn(account=target.account.id, region=target.account.region)
    if not target.stage.trail and (other := logging_trail(target.account)) not in {None, own}:
        raise Refused(
            f"The trail {other} already logs management events, and CloudTrail bills every further "
            "copy of them. Leave out --trail."
        )
    return False


def lacks_trail(target: Target) -> bool:
    """Whether no trail logs the API calls of the Region; a local cloud needs none."""
    return target.stage.name != "dev" and logging_trail(target.account) is None


def remarks(target: Target, *, without_trail: bool, accepted: tuple[str, ...]) -> Iterator[str]:
    """What `setup` reports about API calls that cannot set off the sirens."""
    missing = f"No trail logs management events in {target.account.region}"
    if without_trail and NO_TRAIL in accepted:
        yield f"{missing}; accepted"
    elif without_trail:
        yield (
            f"{missing}: {WITHOUT_A_TRAIL}.\n"
            f"    To create a trail, add --trail. {TRAIL_PRICE}.\n"
            f"    To do without, add --accept {NO_TRAIL}."
        )
    if remark := remark_on_vault_account(target):
        yield remark


def remark_on_vault_account(target: Target) -> str | None:
    """What EventBridge cannot receive from a vault in another account; None for any other vault."""
    if not target.vault_has_own_account:
        return None
    return (
        f"EventBridge in account {target.account.id} is not notified of changes to the bucket "
        f"policy of {target.vault} in account {target.vault_account.id}. S3 itself reports removed "
        "backups, and audits report changed settings."
    )
