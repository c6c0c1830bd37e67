"""Finds who can destroy, write or read backups, and how."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

from admin.check.people.bucket_denials import bucket_denials
from admin.check.reach.findings import is_known
from admin.check.reach.forms import Form, Proof
from admin.check.reach.graph import Graph
from admin.check.reach.search import Found, search_power
from admin.check.reach.sentences import steps_of
from admin.check.reach.targets import Goal, Rank, Targets
from admin.target import Target

PUT = "s3:PutObject"
DELETING = ("s3:DeleteObject", "s3:DeleteObjectVersion")
CONFIGURING = ("s3:PutLifecycleConfiguration", "s3:PutReplicationConfiguration")


class Power(StrEnum):
    """What a principal can do with backups; anyone who can do the first can do the others too."""

    DESTROY = "destroy"
    WRITE = "write"
    READ = "read"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A principal with a power: the ARN, a name, and the way, of which the last step is the power.

    `is_known`: whether it is root, ours, or on the stage's list of administrators.
    """

    power: Power
    arn: str
    name: str
    is_known: bool
    way: tuple[str, ...]


def answers(graph: Graph) -> list[Answer]:
    """Everyone with a power over backups, once each, from the worst power to the least."""
    target = graph.targets.target
    judges = {Power.DESTROY: _can_destroy, Power.WRITE: _can_write, Power.READ: _can_read}
    found = [*_roots(target)]
    left = graph.sources
    for power, judge in judges.items():
        having = [
            _answer(power, way, graph, target)
            for source in left
            if (way := search_power(graph, source, partial(judge, graph.targets)))
        ]
        # Principals that are not on the list come first.
        found += sorted(having, key=lambda answer: (answer.is_known, len(answer.way)))
        # Two accounts can have the same name, and one provider several subjects.
        told = {(answer.arn, answer.name) for answer in having}
        left = [source for source in left if (source.arn, source.label) not in told]
    return found


def _answer(power: Power, found: Found, graph: Graph, target: Target) -> Answer:
    source = found.source
    is_ours = source.principal is not None and (
        graph.targets.is_server(source.principal) or graph.targets.is_role(source.principal)
    )
    return Answer(
        power=power,
        arn=source.arn,
        name=source.label,
        # Our own principals must not gain power from others.
        is_known=is_known(target, source) or (is_ours and not found.gains),
        way=tuple(steps_of(found)),
    )


def _roots(target: Target) -> Iterator[Answer]:
    for account in dict.fromkeys([target.vault_account.id, target.account.id]):
        name, over_vault = f"root user of account {account}", account == target.vault_account.id
        does = f"can change the bucket policy of {target.vault}"
        yield Answer(
            power=Power.DESTROY if over_vault else Power.WRITE,
            arn=f"arn:aws:iam::{account}:root",
            name=name,
            is_known=True,
            way=(f"{name} {does if over_vault else 'can change what every function does'}",),
        )


def _can_destroy(targets: Targets, form: Form) -> Goal | None:
    """Whether the principal can open the vault, or does not even need to."""
    goal = targets.goal_of(form)
    if goal and goal.rank is Rank.ADMINISTRATOR:
        return goal
    vault = f"arn:aws:s3:::{targets.target.vault}"
    return _in_vault(
        targets, form, "can delete stored backups", f"{vault}/*", *DELETING
    ) or _in_vault(targets, form, "can change the settings of the vault", vault, *CONFIGURING)


def _can_write(targets: Targets, form: Form) -> Goal | None:
    vault, target = targets.target.vault, targets.target
    if goal := _in_vault(targets, form, "can fill free slots", f"arn:aws:s3:::{vault}/*", PUT):
        return goal
    goal = targets.goal_of(form)
    if goal and (goal.proof.facts or not targets.is_role(form.principal)):
        return replace(goal, rank=Rank.ADMINISTRATOR)
    for key in target.policy.server_keys if form.could(PUT) else ():
        if proof := form.may(PUT, f"arn:aws:s3:::{target.incoming}/{key}"):
            return _goal(form, f"can upload {key}", proof)
    return None


def _can_read(targets: Targets, form: Form) -> Goal | None:
    objects = f"arn:aws:s3:::{targets.target.vault}/*"
    return _in_vault(targets, form, "can read stored backups", objects, "s3:GetObject")


def _in_vault(
    targets: Targets, form: Form, sentence: str, resource: str, *actions: str
) -> Goal | None:
    """What a principal can do in the vault. From other accounts, only our functions have access."""
    principal = form.principal
    if principal.account != targets.target.vault_account.id and not targets.is_role(principal):
        return None
    for action in actions:
        if form.could(action):
            denied_by = bucket_denials(targets.vault_policy, principal)
            if proof := form.may(action, resource, denied_by=denied_by):
                return _goal(form, sentence, proof)
    return None


def _goal(form: Form, sentence: str, proof: Proof) -> Goal:
    # The search ends at the first way that it finds.
    proof = replace(proof, conditions=())
    return Goal(rank=Rank.ADMINISTRATOR, holder=form.fact, sentence=sentence, proof=proof)
