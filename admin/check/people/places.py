"""The resources of a stage; `powers` says which actions give power over them."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from admin.account import Account
from admin.check.people.patterns import ANY_NAME
from admin.config.reading import FUNCTIONS, SCHEDULES
from admin.desired.requirement import Kind
from admin.desired.trail import trail_arn
from admin.setup.plan import requirements_of
from admin.target import Target


class Resource(StrEnum):
    """The kinds of resources that a stage consists of."""

    VAULT = "vault"
    STORED = "stored backups"
    INCOMING = "incoming"
    UPLOADS = "uploads"
    FUNCTION = "functions"
    ROLE = "roles"
    USER = "server users"
    TOPIC = "topic and subscriptions"
    ALARM = "alarms"
    LOG_GROUP = "log groups"
    SCHEDULE = "schedules"
    SIREN = "rule of the sirens"
    TRAIL = "trail"


@dataclass(frozen=True, kw_only=True)
class Place:
    """A resource of the stage, or several with one name.

    Only the ARN of stored objects ends with `*`, which stands for every name. `pattern` matches all
    of `arns`, and perhaps other resources; it is used because a denial that lists all of them would
    be too long.
    """

    resource: Resource
    name: str
    arns: tuple[str, ...]
    pattern: str

    @property
    def is_in_s3(self) -> bool:
        """Whether it is a bucket, or the objects of a bucket; `name` is then the bucket's."""
        return self.resource in {
            Resource.VAULT,
            Resource.STORED,
            Resource.INCOMING,
            Resource.UPLOADS,
        }


def places_by_account(target: Target) -> Iterator[tuple[Account, tuple[Place, ...]]]:
    """The resources of the stage, by account."""
    bucket = f"arn:aws:s3:::{target.vault}"
    vault: tuple[Place, ...] = (
        _place(Resource.VAULT, target.vault, bucket),
        _place(Resource.STORED, target.vault, f"{bucket}/*"),
    )
    if target.vault_has_own_account:
        yield target.vault_account, vault
        vault = ()
    yield target.account, (*vault, *_beside_the_vault(target))


def _beside_the_vault(target: Target) -> Iterator[Place]:
    region, account, stage = target.account.region, target.account.id, target.stage

    def arn(service: str, rest: str) -> str:
        return f"arn:aws:{service}:{region}:{account}:{rest}"

    bucket = f"arn:aws:s3:::{target.incoming}"
    yield _place(Resource.INCOMING, target.incoming, bucket)
    yield Place(
        resource=Resource.UPLOADS,
        name=target.incoming,
        # Under any other name an upload is ignored. AWS's own policies contain such names.
        arns=tuple(f"{bucket}/{key}" for key in target.policy.server_keys),
        pattern=f"{bucket}/*",
    )
    for name in map(stage.function_name, FUNCTIONS):
        yield _with_parts(
            Resource.FUNCTION, name, arn("lambda", f"function:{name}"), "$LATEST", ANY_NAME
        )
        yield _place(Resource.ROLE, name, f"arn:aws:iam::{account}:role/{name}")
        log = f"/aws/lambda/{name}"
        yield _with_parts(
            Resource.LOG_GROUP,
            log,
            arn("logs", f"log-group:{log}"),
            ANY_NAME,
            f"log-stream:{ANY_NAME}",
        )
    yield _users(target)
    rules = [(Resource.SCHEDULE, stage.schedule_of(function)) for function in SCHEDULES]
    for resource, rule in (*rules, (Resource.SIREN, stage.sirens)):
        yield Place(
            resource=resource,
            name=rule,
            arns=(arn("events", f"rule/{rule}"),),
            pattern=arn("events", f"rule/{stage.service}-*"),
        )
    for topic in (stage.topic, stage.sirens):
        yield Place(
            resource=Resource.TOPIC,
            name=topic,
            arns=(arn("sns", topic),),
            pattern=arn("sns", f"{stage.service}-*"),
        )
    if stage.trail:
        trail = trail_arn(account=account, region=region)
        yield _place(Resource.TRAIL, "the trail", trail)
    yield Place(
        resource=Resource.ALARM,
        name="the alarms",
        arns=tuple(arn("cloudwatch", f"alarm:{name}") for name in alarms_of(target)),
        pattern=arn("cloudwatch", f"alarm:{stage.topic}-*"),
    )


def alarms_of(target: Target) -> list[str]:
    """The names of the stage's alarms."""
    return [
        requirement.resource
        for requirement in requirements_of(target)
        if requirement.kind is Kind.ALARM and requirement.desired is not None
    ]


def _users(target: Target) -> Place:
    arn = f"arn:aws:iam::{target.account.id}:user/"
    users = [target.stage.server_user(server) for server in target.servers]
    first = target.stage.server_user(None)
    return Place(
        resource=Resource.USER,
        name="the server users" if len(users) > 1 else first,
        arns=tuple(arn + user for user in users),
        pattern=f"{arn}{first}*",
    )


def _with_parts(resource: Resource, name: str, arn: str, *parts: str) -> Place:
    """A function and its versions, or a log group and its streams."""
    arns = (arn, *(f"{arn}:{part}" for part in parts))
    return Place(resource=resource, name=name, arns=arns, pattern=f"{arn}*")


def _place(resource: Resource, name: str, arn: str) -> Place:
    return Place(resource=resource, name=name, arns=(arn,), pattern=arn)
