"""Finds what `setup` and `deploy` cannot work with in an account, before anything is created.

That is everything that would stop an upload or a promotion, delete something, or leave something
unprotected, and everything that AWS would refuse in a later step.
"""

from collections.abc import Iterator
from itertools import groupby

from admin.desired.requirement import Kind
from admin.setup.adoption.buckets import obstacles_of_bucket
from admin.setup.adoption.identities import obstacles_of_identities
from admin.setup.adoption.lifecycle import foreign_rules
from admin.setup.adoption.obstacle import Obstacle
from admin.setup.adoption.statements import StatementJudge
from admin.setup.plan import Plan
from admin.target import Target


def find_obstacles(target: Target, plan: Plan) -> Iterator[Obstacle]:
    """Everything that `setup` refuses to work on."""
    judge = StatementJudge(target=target, plan=plan)
    for requirement, group in groupby(plan.foreign, key=lambda foreign: foreign[0]):
        others = [entry for _, entry in group]
        if requirement.kind is Kind.LIFECYCLE:
            yield from foreign_rules(target, requirement, others)
        elif requirement.kind is Kind.BUCKET_POLICY:
            yield from judge.obstacles(requirement, others)
    for bucket in (target.incoming, target.vault):
        if bucket in plan.existing:
            yield from obstacles_of_bucket(target, plan, bucket)
    yield from obstacles_of_identities(target, plan)
