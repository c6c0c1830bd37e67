"""Promises about the keys of real servers, which the drill itself never uses.

Somebody else's Deny can match these and not the drill's own key. Then the drill's uploads arrive,
and no others.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from admin.account import none_if
from admin.desired.permissions import REVOKED
from admin.drill.attacks import NotChecked
from admin.drill.iam_simulation import ALLOWED, SimulatedPrincipal, SimulatedRequest
from admin.drill.simulated_requests import act, promote, write
from admin.drill.simulation import Expectation, SimulatedBucket, SimulatedPromise
from admin.target import Target

# What the promoter does with an upload besides writing a copy.
TAKE = ("s3:GetObject", "s3:GetObjectVersion", "s3:DeleteObjectVersion")
# Resources in a question; IAM's answers have up to a hundred results.
BATCH = 25
STOPPED = (
    "The drill's own key works, so look for a Deny that matches only other keys: in the bucket "
    "policy, in the IAM policies, or in those of your organization"
)


def servers_can_upload(target: Target, incoming: SimulatedBucket) -> Iterator[str | NotChecked]:
    """Check the user of each server with each of its keys. Raises NotAsPromisedError."""
    iam = target.account.client("iam")
    expectations: list[Expectation] = []
    for server in target.servers:
        user = target.stage.server_user(server)
        answer = none_if("NoSuchEntity", partial(iam.get_user, UserName=user))
        if answer is None:
            yield NotChecked(
                f"not checked: whether the user {user} can upload, because there is none; create "
                f"it with {target.fix_setup()}"
            )
        elif REVOKED in iam.list_user_policies(UserName=user)["PolicyNames"]:
            yield f"the access of the user {user} is revoked, so it cannot upload"
        else:
            keys = [key for key, (_, own) in target.policy.server_keys.items() if own == server]
            uploads = write(*(incoming.arn(key) for key in keys))
            expectations.append(_allowed(incoming, answer["User"]["Arn"], uploads))
    if expectations:
        yield SimulatedPromise(
            promise="servers can upload their real keys",
            expectations=expectations,
            why=STOPPED,
        ).test()


def promoter_can_promote(
    incoming: SimulatedBucket, vault: SimulatedBucket, *, role: str, now: datetime
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
        promise="promoter can take the real uploads and fill their slots",
        expectations=expectations,
        why=STOPPED,
    ).test()


def _allowed(bucket: SimulatedBucket, arn: str, request: SimulatedRequest) -> Expectation:
    return Expectation(
        bucket=bucket, principal=SimulatedPrincipal(arn), request=request, effects={ALLOWED}
    )
