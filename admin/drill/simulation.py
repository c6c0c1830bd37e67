"""Promises that IAM's simulator tests: real attempts could do harm, or need other credentials."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from admin.account import none_if
from admin.desired.door import VAULT_CONFIGURATION
from admin.desired.permissions import Document
from admin.drill.attacks import OVERWRITTEN, WEAKENED, NotAsPromisedError, NotChecked
from admin.drill.iam_simulation import (
    ALLOWED,
    DENIALS,
    EVERYTHING,
    EXPLICIT_DENY,
    NotDecidedError,
    SimulatedDecision,
    SimulatedPrincipal,
    SimulatedRequest,
    simulate,
)
from admin.drill.simulated_requests import (
    CHANGES,
    act,
    promote,
    write,
    write_under_kms_key,
    write_under_own_key,
    write_with_empty_condition,
    write_without_tls,
)
from admin.target import Target


@dataclass(frozen=True, kw_only=True)
class SimulatedBucket:
    """A bucket and its bucket policy (None: none, or simulated without it)."""

    target: Target
    name: str
    policy: Document | None

    def arn(self, key: str = "") -> str:
        """The ARN of the bucket, or of an object in it."""
        return f"arn:aws:s3:::{self.name}" + (f"/{key}" if key else "")

    def decisions(
        self, principal: SimulatedPrincipal, request: SimulatedRequest
    ) -> list[SimulatedDecision]:
        """IAM's decisions on a request to this bucket. Raises NotDecidedError."""
        account = self.target.account
        owner = account.account_of(self.name)
        return simulate(account, principal, request, bucket_policy=self.policy, owner=owner)


def read_bucket(target: Target, name: str) -> SimulatedBucket:
    """The bucket with the policy that it has now."""
    s3 = target.account.account_of(name).client("s3")
    answer = none_if("NoSuchBucketPolicy", lambda: s3.get_bucket_policy(Bucket=name))
    return SimulatedBucket(
        target=target, name=name, policy=json.loads(answer["Policy"]) if answer else None
    )


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What IAM must decide on each part of a request; the remark distinguishes similar requests."""

    bucket: SimulatedBucket
    principal: SimulatedPrincipal
    request: SimulatedRequest
    effects: AbstractSet[str]
    remark: str = ""

    def refutations(self) -> list[str]:
        """Describe the decisions that differ. Raises NotDecidedError."""
        return [
            f"{decision.action}{self.remark} on {decision.resource} is {decision.effect}"
            for decision in self.bucket.decisions(self.principal, self.request)
            if decision.effect not in self.effects
        ]


@dataclass(frozen=True, kw_only=True)
class SimulatedPromise:
    """A promise, what IAM must decide if it holds, and `why` a broken one matters."""

    promise: str
    expectations: Iterable[Expectation]
    why: str

    def test(self) -> str | NotChecked:
        """The promise as a sentence. Raises NotAsPromisedError."""
        broken: list[str] = []
        undecided: list[NotDecidedError] = []
        for expectation in self.expectations:
            try:
                broken += expectation.refutations()
            except NotDecidedError as reason:
                undecided.append(reason)
        if broken:
            happened = f"according to IAM's simulator, {', '.join(dict.fromkeys(broken))}"
            raise NotAsPromisedError(self.promise, happened=happened, why=self.why)
        if undecided:
            return NotChecked(f"not checked: whether {self.promise}, because {undecided[0]}")
        return f"{self.promise} (IAM's simulator)"


def vault_promises(
    vault: SimulatedBucket,
    incoming: SimulatedBucket,
    *,
    slots: Sequence[str],
    role: str,
    principals: Mapping[str, str],
) -> Iterator[SimulatedPromise]:
    """What the policies of the two buckets, and of the promoter's role, must decide about `slots`.

    The first slot is the drill's. `principals` has the ARN of each attacker, by the drill's name
    for it.
    """
    alone = SimulatedBucket(target=vault.target, name=vault.name, policy=None)
    for which, bucket, effects in (
        ("its role's IAM policy", alone, DENIALS),
        # The IAM policy denies these too, but the bucket policy must hold without it.
        ("the vault's bucket policy", vault, frozenset({EXPLICIT_DENY})),
    ):
        yield _only_adds(which, bucket, slots=slots, role=role, effects=effects)
        yield SimulatedPromise(
            promise=f"{which} lets the promoter add new objects",
            expectations=[
                Expectation(
                    bucket=bucket,
                    principal=SimulatedPrincipal(role),
                    request=promote(bucket.arn(slots[0])),
                    effects={ALLOWED},
                    remark=" with If-None-Match",
                )
            ],
            why="No upload would be promoted any more",
        )
    for who, arn in principals.items():
        yield SimulatedPromise(
            promise=f"{who} cannot change or delete {vault.name}, even with every right",
            expectations=[
                Expectation(
                    bucket=vault,
                    principal=SimulatedPrincipal(arn, EVERYTHING),
                    request=act(VAULT_CONFIGURATION, vault.arn()),
                    effects={EXPLICIT_DENY},
                )
            ],
            why=WEAKENED,
        )
    yield SimulatedPromise(
        promise="both buckets deny writes without TLS",
        expectations=[
            Expectation(
                bucket=bucket,
                principal=SimulatedPrincipal(role, EVERYTHING),
                request=write_without_tls(*map(bucket.arn, slots)),
                effects={EXPLICIT_DENY},
            )
            for bucket in (vault, incoming)
        ],
        why="Somebody on the network could read or replace the data",
    )


def _only_adds(
    which: str,
    bucket: SimulatedBucket,
    *,
    slots: Sequence[str],
    role: str,
    effects: AbstractSet[str],
) -> SimulatedPromise:
    stored = [bucket.arn(slot) for slot in slots]
    attacks = {
        "": write(*stored),
        " with an empty If-None-Match": write_with_empty_condition(*stored),
    }
    if bucket.policy is not None:
        attacks |= {
            " encrypted with a KMS key": write_under_kms_key(*stored),
            " encrypted with its own key": write_under_own_key(*stored),
        }
    requests = [("", act(CHANGES, *stored)), *attacks.items()]
    return SimulatedPromise(
        promise=f"{which} lets the promoter only add new objects",
        expectations=[
            Expectation(
                bucket=bucket,
                principal=SimulatedPrincipal(role),
                request=request,
                effects=effects,
                remark=remark,
            )
            for remark, request in requests
        ],
        why=OVERWRITTEN,
    )
