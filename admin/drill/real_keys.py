"""Promises about the keys of real servers, which the drill itself never uses.

A Deny that others added can match these, but not the drill's own key. Then the drill's uploads
arrive, but no others.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from admin.desired.permissions import DENY_EVERYTHING, REVOKED
from admin.drill.attacks import NotChecked
from admin.drill.iam_simulation import ALLOWED, SimulatedPrincipal, SimulatedRequest
from admin.drill.simulated_requests import act, promote, write
from admin.drill.simulation import Expectation, SimulatedBucket, SimulatedPromise
from admin.target import Target

# What the promoter does with an upload besides writing a copy.
TAKE = ("s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion")
# Resources in one simulation; IAM returns up to a hundred results.
BATCH = 25
# How many expectations are tested between two lines of progress: IAM simulates a few per second.
A_WHILE = 25
# The maximum that IAM returns at once.
PAGE = 1000
_REVOCATION = {"PolicyName": REVOKED, "PolicyDocument": DENY_EVERYTHING}
STOPPED = (
    "The drill's own key works, so look for a Deny that matches only other keys: in the bucket "
    "policy, in the IAM policies, or in those of your organization"
)


def servers_can_upload(
    target: Target, incoming: SimulatedBucket, *, tell: Callable[[str], None]
) -> Iterator[str | NotChecked]:
    """Check the user of each server with each of its keys. Raises NotAsPromisedError."""
    users = _users(target)
    expectations: list[Expectation] = []
    for server in target.servers:
        name = target.stage.server_user(server)
        user = users.get(name)
        if user is None:
            yield NotChecked(
                f"not checked: whether the user {name} can upload, because it does not exist; "
                f"create it with {target.fix_setup()}"
            )
        elif _REVOCATION in user.get("UserPolicyList", ()):
            yield f"the access of the user {name} is revoked, so it cannot upload"
        else:
            keys = [key for key, (_, own) in target.policy.server_keys.items() if own == server]
            uploads = write(*(incoming.arn(key) for key in keys))
            expectations.append(_allowed(incoming, user["Arn"], uploads))
    if expectations:
        yield SimulatedPromise(
            promise="servers can upload their real keys",
            expectations=_told(expectations, "servers", tell),
            why=STOPPED,
        ).test()


def _users(target: Target) -> dict[str, dict[str, Any]]:
    """Every user of the account by name, with its policies, without one request per user."""
    paginator = target.account.client("iam").get_paginator("get_account_authorization_details")
    pages = paginator.paginate(Filter=["User"], PaginationConfig={"PageSize": PAGE})
    return {user["UserName"]: user for page in pages for user in page["UserDetailList"]}


def promoter_can_promote(
    incoming: SimulatedBucket,
    vault: SimulatedBucket,
    *,
    role: str,
    now: datetime,
    tell: Callable[[str], None],
) -> str | NotChecked:
    """Check the promoter's role with every upload and its present slot.

    Raises NotAsPromisedError.
    """
    policy = vault.target.policy
    keys = list(policy.server_keys)
    expectations: list[Expectation] = []
    for first in range(0, len(keys), BATCH):
        some = keys[first : first + BATCH]
        slots = [vault.arn(policy.slot_of(key, now).name) for key in some]
        expectations += [
            _allowed(incoming, role, act(TAKE, *(incoming.arn(key) for key in some))),
            _allowed(vault, role, promote(*slots)),
            _allowed(vault, role, act(("s3:GetObject",), *slots)),
        ]
    return SimulatedPromise(
        promise="promoter can promote the servers' real uploads",
        expectations=_told(expectations, "decisions on promotions", tell),
        why=STOPPED,
    ).test()


def _allowed(bucket: SimulatedBucket, arn: str, request: SimulatedRequest) -> Expectation:
    return Expectation(
        bucket=bucket, principal=SimulatedPrincipal(arn), request=request, effects={ALLOWED}
    )


def _told(
    expectations: list[Expectation], what: str, tell: Callable[[str], None]
) -> Iterator[Expectation]:
    """Test the expectations; report now and then how many have been tested."""
    for number, expectation in enumerate(expectations):
        if number and number % A_WHILE == 0:
            tell(f"running IAM's simulator: {number} of {len(expectations)} {what}")
        yield expectation
