"""Statements that others added to the bucket policies: which deny, allow or stop something."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from admin.desired.bucket_policies import canonical
from admin.desired.permissions import Document, as_list, document
from admin.desired.requirement import Requirement
from admin.setup.adoption.denials import Request, could_deny
from admin.setup.adoption.obstacle import Obstacle
from admin.setup.adoption.requests import promotions, steps, uploads
from admin.setup.plan import Plan
from admin.target import Target

# S3 user guide, "Bucket policies": 20 KB.
LARGEST_POLICY = 20_480
# How a bucket policy names a deleted user or role; S3 rejects a new policy with such a name.
_DELETED = re.compile("A[A-Z0-9]{15,}")


@dataclass(frozen=True, kw_only=True)
class StatementJudge:
    """Judges the statements that others added to the bucket policies of a target."""

    target: Target
    plan: Plan

    def obstacles(self, policy: Requirement, others: list[Document]) -> Iterator[Obstacle]:
        """Obstacles in `others`, the statements of a bucket policy that are not ours."""
        bucket = policy.resource
        size = len(json.dumps(document(*policy.desired, *others)))
        if size > LARGEST_POLICY:
            yield Obstacle(
                what=f"The bucket policy of {bucket} would have {size:,} bytes, but S3 accepts "
                f"{LARGEST_POLICY:,}: others have added {len(others)} statements",
                fix="shorten or remove some of them",
            )
        if any(statement["Effect"] == "Allow" for statement in others):
            yield from self._public(bucket)
        for statement in others:
            sid = name_of(statement)
            where, name = f"Statement {sid} in the bucket policy of {bucket}", f"{bucket}:{sid}"
            if deleted := [who for who in _principals(statement) if _DELETED.fullmatch(who)]:
                yield Obstacle(
                    what=f"{where} names {deleted[0]}, a user or role that was deleted; S3 rejects "
                    "a policy that names it",
                    fix="remove it from the statement, or the statement",
                )
            elif statement["Effect"] == "Allow":
                yield _allowed(statement, where, name=name)
            elif denied := self._denied(bucket, statement):
                what, request = denied
                resource = request.resource.removeprefix("arn:aws:s3:::")
                yield Obstacle(
                    what=f"{where} would deny {what}: s3:{request.action} on {resource} by "
                    f"{request.principal}{_condition(statement)}",
                    fix="remove it, or exclude this principal from it",
                    name=name,
                )

    def _public(self, bucket: str) -> Iterator[Obstacle]:
        s3 = self.target.account.account_of(bucket).client("s3")
        if s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"]:
            yield Obstacle(
                what=f"The bucket policy of {bucket} is public; once public access is blocked, S3 "
                "rejects such a policy",
                fix="remove the statements that allow something to everybody",
            )

    def _denied(self, bucket: str, statement: Document) -> tuple[str, Request] | None:
        """The first request that the statement could deny, and its purpose."""
        for what, requests in self._requests:
            for request in requests:
                if _is_in(bucket, request) and could_deny(statement, request):
                    return what, request
        return None

    @cached_property
    def _requests(self) -> list[tuple[str, list[Request]]]:
        return [
            ("an upload", [*uploads(self.target)]),
            ("a promotion", [*promotions(self.target)]),
            ("a step of this setup", [*steps(self.target, self.plan)]),
        ]


def name_of(statement: Document) -> str:
    """The statement's Sid, or a name derived from its text, which no other statement gets later."""
    if sid := statement.get("Sid"):
        return str(sid)
    text = json.dumps(canonical(statement), sort_keys=True, default=sorted)
    return f"statement-{sha256(text.encode()).hexdigest()[:8]}"


def _allowed(statement: Document, where: str, *, name: str) -> Obstacle:
    who = ", ".join(_principals(statement)) or "all but a few"
    return Obstacle(
        what=f"{where} allows {who} {_actions(statement)}{_condition(statement)}",
        fix="remove it, because rights belong in identity policies",
        name=name,
    )


def _is_in(bucket: str, request: Request) -> bool:
    return request.resource.removeprefix("arn:aws:s3:::").partition("/")[0] == bucket


def _principals(statement: Document) -> list[str]:
    principal: Any = statement.get("Principal", {})
    if isinstance(principal, dict):
        return [name for names in principal.values() for name in as_list(names)]
    return [principal]


def _actions(statement: Document) -> str:
    if "Action" in statement:
        return ", ".join(as_list(statement["Action"]))
    return f"everything but {', '.join(as_list(statement['NotAction']))}"


def _condition(statement: Document) -> str:
    condition = statement.get("Condition")
    return f", under the condition {json.dumps(condition)}" if condition else ""
