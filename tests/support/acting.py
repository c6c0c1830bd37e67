"""Somebody who takes over an account by acting: tries every request, and reads no policy.

What a user or role can become is found by doing it in the local cloud, with the credentials gained
so far, until nothing new is gained. It is what an intruder would do who has all the time there is.
"""

import base64
import copy
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlencode

import botocore.session
from botocore.exceptions import ClientError
from botocore.serialize import create_serializer
from moto.awslambda.models import lambda_backends
from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.sts.models import sts_backends

from localcloud.cloud import Cloud
from localcloud.iam.authorization import authorize
from localcloud.iam.callers import Caller, Credentials, find_caller
from localcloud.iam.http_requests import HttpRequest, Refused
from localcloud.iam.operators import UnsupportedPolicy
from tests.support.random_account import ACCOUNT, IAM, VAULT, Holder, RandomAccount

EVERYTHING = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
)
OPEN = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "*", "Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
ADMINISTRATOR_ACCESS = "arn:aws:iam::aws:policy/AdministratorAccess"
_ZIP = b"a bundle"
_STATE = ("users", "groups", "roles", "managed_policies", "access_keys")
# How many states of the account are tried after changes that can also take rights away.
STATES = 12


@dataclass(frozen=True, eq=False)
class Act:
    """A request, and who is held once it succeeds (an ARN).

    `loses`: it can also take rights away, so that the state before it must be tried, too.
    """

    service: str
    operation: str
    parameters: dict[str, Any]
    holds: str | None = None
    loses: bool = False

    @cached_property
    def key(self) -> str:
        return f"{self.operation} {json.dumps(self.parameters, default=repr, sort_keys=True)}"


@dataclass
class State:
    """What the account holds, and whose credentials somebody has."""

    saved: dict[str, Any]
    held: dict[str, Credentials]
    done: frozenset[str]
    path: tuple[str, ...]


def build(cloud: Cloud, account: RandomAccount) -> None:
    """Make the account anew, as its administrator."""
    backend = iam_backends[ACCOUNT]["aws"]
    backend.reset()
    functions = lambda_backends[ACCOUNT]["us-east-1"]
    functions.reset()
    aws = {
        "Path": "/",
        "DefaultVersionId": "v1",
        "Document": json.loads(EVERYTHING),
        "CreateDate": "2026-01-01T00:00:00+00:00",
        "UpdateDate": "2026-01-01T00:00:00+00:00",
    }
    everything = AWSManagedPolicy.from_data("AdministratorAccess", ACCOUNT, "us-east-1", aws)
    backend.managed_policies[everything.arn] = everything
    iam = cloud.session(cloud.administrator).client("iam")
    for name, managed in account.policies.items():
        first, *others = map(document, managed.versions)
        policy = {"PolicyArn": f"{IAM}:policy/{name}"}
        iam.create_policy(PolicyName=name, PolicyDocument=first)
        for other in others:
            iam.create_policy_version(**policy, PolicyDocument=other)
        iam.set_default_policy_version(**policy, VersionId=f"v{managed.default + 1}")
    for name, group in account.groups.items():
        iam.create_group(GroupName=name, Path=group.path)
        _give(iam, "group", name, group)
    for kind, holders in (("user", account.users), ("role", account.roles)):
        for name, holder in holders.items():
            boundary = (
                {"PermissionsBoundary": f"{IAM}:policy/{holder.boundary}"} if holder.boundary else {}
            )
            if kind == "user":
                iam.create_user(UserName=name, Path=holder.path, **boundary)
                for group_name in holder.groups:
                    iam.add_user_to_group(UserName=name, GroupName=group_name)
            else:
                iam.create_role(
                    RoleName=name, Path=holder.path, AssumeRolePolicyDocument=OPEN, **boundary
                )
            _give(iam, kind, name, holder)
    for name, role_name in account.functions.items():
        functions.create_function(
            {
                "FunctionName": name,
                "Role": account.arn("role", role_name),
                "Runtime": "python3.13",
                "Handler": "a.b",
                "Code": {"ZipFile": base64.b64encode(_ZIP).decode()},
            }
        )
    # Last: some functions have roles that no longer trust Lambda.
    for name, role in account.roles.items():
        trust = document(role.trust or [NOBODY])
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)


NOBODY = {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}


def _give(iam: Any, kind: str, name: str, holder: Holder) -> None:
    this = {f"{kind.title()}Name": name}
    for number, statements in enumerate(holder.inline):
        getattr(iam, f"put_{kind}_policy")(
            **this, PolicyName=f"p{number}", PolicyDocument=document(statements)
        )
    for attached in holder.attached:
        getattr(iam, f"attach_{kind}_policy")(**this, PolicyArn=f"{IAM}:policy/{attached}")


def document(statements: list[Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


@dataclass
class TakenOver:
    """An account in the local cloud, which can be put back as it was."""

    cloud: Cloud
    account: RandomAccount
    targets: frozenset[str]
    _held: dict[str, Credentials] = field(default_factory=dict)
    _callers: dict[str, Caller] = field(default_factory=dict)
    _clients: dict[tuple[str, str], Any] = field(default_factory=dict)
    _requests: dict[str, HttpRequest] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _path: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._iam = iam_backends[ACCOUNT]["aws"]
        self._begin = self._save()

    def search(self, source: str) -> list[str] | None:
        """The acts by which the user or role with this ARN reaches a target; None if it cannot."""
        self._restore(self._begin)
        self._held, self._done, self._path = {}, set(), []
        sts_backends[ACCOUNT]["aws"].assumed_roles.clear()
        self._hold(source)
        seen: set[str] = set()
        states = [self._state()]
        for _ in range(STATES):
            if not states:
                break
            self._resume(states.pop(0))
            if self._gain() or self._reaches():
                return self._path
            before = self._state()
            for act in self._allowed(lambda act: act.loses):
                self._resume(before)
                self._do(act)
                if (now := self._fingerprint()) not in seen:
                    seen.add(now)
                    states.append(self._state())
        return None

    # The state of the account and of the search

    def _save(self) -> dict[str, Any]:
        return copy.deepcopy({name: getattr(self._iam, name) for name in _STATE})

    def _restore(self, saved: dict[str, Any]) -> None:
        for name, value in copy.deepcopy(saved).items():
            setattr(self._iam, name, value)
        self._callers = {}

    def _state(self) -> State:
        return State(self._save(), dict(self._held), frozenset(self._done), tuple(self._path))

    def _resume(self, state: State) -> None:
        self._restore(state.saved)
        self._held, self._done, self._path = dict(state.held), {*state.done}, [*state.path]

    def _fingerprint(self) -> str:
        def policies(holder: Any) -> Any:
            return (
                sorted(holder.policies.items()),
                sorted(holder.managed_policies),
                vars(holder).get("permissions_boundary_arn"),
                vars(holder).get("assume_role_policy_document"),
            )

        iam = self._iam
        holders = [*iam.users.values(), *iam.roles.values(), *iam.groups.values()]
        return repr(
            (
                sorted((holder.arn, policies(holder)) for holder in holders),
                sorted((g.name, sorted(u.name for u in g.users)) for g in iam.groups.values()),
                sorted((p.arn, p.default_version_id) for p in iam.managed_policies.values()),
                sorted(self._held),
            )
        )

    # What somebody does

    def _gain(self) -> bool:
        """Do everything that cannot do harm to oneself, again and again; True at a target."""
        while True:
            allowed = self._allowed(lambda act: not act.loses)
            if not allowed:
                return False
            for act in allowed:
                self._do(act)
                if self.targets & self._held.keys():
                    return True

    def _allowed(self, of_kind: Callable[[Act], bool]) -> list[Act]:
        acts = {act.key: act for act in self._acts() if of_kind(act)}
        return [
            act
            for key, act in acts.items()
            if key not in self._done
            and act.holds not in self._held
            and any(self.is_allowed(arn, act) for arn in self._held)
        ]

    def is_allowed(self, arn: str, act: Act) -> bool:
        """Whether IAM allows it to somebody whose credentials are held."""
        credentials = self._held[arn]
        key = credentials.access_key_id
        if key not in self._callers:
            found = find_caller(key, administrator=self.cloud.administrator)
            assert found is not None
            self._callers[key] = found
        if act.key not in self._requests:
            self._requests[act.key] = request_of(act)
        try:
            authorize(self._requests[act.key], self._callers[key])
        except (Refused, UnsupportedPolicy):
            return False
        return True

    def _do(self, act: Act) -> None:
        """Send the request, signed, for the first who is allowed to."""
        self._done.add(act.key)
        arn = next((arn for arn in self._held if self.is_allowed(arn, act)), None)
        if arn is None:
            return  # something before it has taken the right away
        try:
            answer = self.send(arn, act)
        except ClientError as error:
            # There is something in the way, such as a role that does not trust Lambda.
            assert "AccessDenied" not in error.response["Error"]["Code"], act
            return
        finally:
            self._callers = {}
        self._path.append(f"{arn}: {act.key[:160]}")
        self._tidy(act)
        if act.holds:
            self._hold(act.holds, answer)

    def send(self, arn: str, act: Act) -> Any:
        """Send the request with the credentials of somebody; what the service answers."""
        credentials = self._held[arn]
        at = (act.service, credentials.access_key_id)
        if at not in self._clients:
            self._clients[at] = self.cloud.session(credentials).client(act.service)
        client = self._clients[at]
        names = {api: python for python, api in client.meta.method_to_api_mapping.items()}
        return getattr(client, names[act.operation])(**act.parameters)

    def _tidy(self, act: Act) -> None:
        """Put back the functions: whose role was held once stays held."""
        if act.service == "lambda":
            functions = lambda_backends[ACCOUNT]["us-east-1"]
            for function in list(functions.list_functions()):
                if function.function_name in self.account.functions:
                    name = self.account.functions[function.function_name]
                    function.role = self.account.arn("role", name)
                else:
                    functions.delete_function(function.function_name)

    def _hold(self, arn: str, answer: Any = None) -> None:
        """Keep the credentials that a request returned, or get some for a user or role."""
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if answer and "Credentials" in answer:
            keys = answer["Credentials"]
        elif answer and "SecretAccessKey" in answer.get("AccessKey", {}):
            keys = answer["AccessKey"]
        elif kind == "role":
            session = sts_backends[ACCOUNT]["aws"].assume_role(
                region_name="us-east-1",
                role_session_name="acting",
                role_arn=arn,
                policy="",
                duration=3600,
                external_id="",
            )
            keys = {
                "AccessKeyId": session.access_key_id,
                "SecretAccessKey": session.secret_access_key,
                "SessionToken": session.session_token,
            }
        else:
            key = self._iam.create_access_key(name.rpartition("/")[2])
            keys = {
                "AccessKeyId": key.access_key_id,
                "SecretAccessKey": key.secret_access_key,
            }
        self._held[arn] = Credentials(
            access_key_id=keys["AccessKeyId"],
            secret_access_key=keys["SecretAccessKey"],
            session_token=keys.get("SessionToken"),
        )

    def _reaches(self) -> bool:
        policy = {"Bucket": VAULT, "Policy": "{}"}
        acts = [
            Act("s3", "PutBucketPolicy", policy),
            Act("s3", "DeleteBucketPolicy", {"Bucket": VAULT}),
        ]
        for arn in self._held:
            for act in acts:
                if self.is_allowed(arn, act):
                    self._path.append(f"{arn}: {act.operation}")
                    return True
        return bool(self.targets & self._held.keys())

    # What could be done

    def _acts(self) -> Iterator[Act]:
        yield from self._acts_on_users()
        yield from self._acts_on_roles()
        yield from self._acts_on_groups()
        yield from self._acts_on_policies()
        yield from self._acts_that_create()

    def _acts_on_users(self) -> Iterator[Act]:
        for name, user in list(self._iam.users.items()):
            this = {"UserName": name}
            yield Act("iam", "CreateAccessKey", this, user.arn)
            operation = "UpdateLoginProfile" if user.password else "CreateLoginProfile"
            yield Act("iam", operation, {**this, "Password": "p"}, user.arn)
            for key in user.access_keys:
                if key.status == "Inactive":
                    active = {**this, "AccessKeyId": key.access_key_id, "Status": "Active"}
                    yield Act("iam", "UpdateAccessKey", active, user.arn)
            yield from self._acts_on_holder("User", this, user)
            yield from self._acts_on_boundary("User", this, user)
            for group in list(self._iam.groups.values()):
                both = {**this, "GroupName": group.name}
                if user in group.users:
                    yield Act("iam", "RemoveUserFromGroup", both, loses=self._has(group, "Allow"))
                elif user.arn in self._held:
                    yield Act("iam", "AddUserToGroup", both, loses=self._has(group, "Deny"))

    def _acts_on_roles(self) -> Iterator[Act]:
        for role in list(self._iam.roles.values()):
            this = {"RoleName": role.name}
            session = {"RoleArn": role.arn, "RoleSessionName": "acting"}
            yield Act("sts", "AssumeRole", session, role.arn)
            for secret in re.findall(
                r'"sts:ExternalId": "([^"]+)"', role.assume_role_policy_document
            ):
                yield Act("sts", "AssumeRole", {**session, "ExternalId": secret}, role.arn)
            yield from self._acts_on_holder("Role", this, role)
            yield from self._acts_on_boundary("Role", this, role)
            yield Act("iam", "UpdateAssumeRolePolicy", {**this, "PolicyDocument": OPEN})
            code = {"Runtime": "python3.13", "Handler": "a.b", "Code": {"ZipFile": _ZIP}}
            for _, name in self._patterns["function"]:
                called = name.replace("*", "new").replace("?", "1")
                new = {"FunctionName": called, "Role": role.arn, **code}
                yield Act("lambda", "CreateFunction", new, role.arn)
            for name in self.account.functions:
                function = {"FunctionName": name, "Role": role.arn}
                yield Act("lambda", "UpdateFunctionConfiguration", function, role.arn)
        for name, role_name in self.account.functions.items():
            arn, function = self.account.arn("role", role_name), {"FunctionName": name}
            yield Act("lambda", "UpdateFunctionCode", {**function, "ZipFile": _ZIP}, arn)
            yield Act("lambda", "UpdateFunctionConfiguration", {**function, "Timeout": 9}, arn)

    def _acts_on_groups(self) -> Iterator[Act]:
        for name, group in list(self._iam.groups.items()):
            yield from self._acts_on_holder("Group", {"GroupName": name}, group)

    def _acts_on_holder(self, kind: str, this: dict[str, str], holder: Any) -> Iterator[Act]:
        """Put, delete, attach and detach policies."""
        for name in [*holder.policies, "acting"]:
            policy = {**this, "PolicyName": name, "PolicyDocument": EVERYTHING}
            yield Act("iam", f"Put{kind}Policy", policy)
        for name, document in holder.policies.items():
            named = {**this, "PolicyName": name}
            yield Act("iam", f"Delete{kind}Policy", named, loses=_says(document, "Allow"))
        for arn, policy in list(self._iam.managed_policies.items()):
            both = {**this, "PolicyArn": arn}
            if arn in holder.managed_policies:
                loses = _says(_default(policy), "Allow")
                yield Act("iam", f"Detach{kind}Policy", both, loses=loses)
            else:
                loses = _says(_default(policy), "Deny")
                yield Act("iam", f"Attach{kind}Policy", both, loses=loses)

    def _acts_on_boundary(self, kind: str, this: dict[str, str], holder: Any) -> Iterator[Act]:
        own = vars(holder).get("permissions_boundary_arn")
        if own:
            yield Act("iam", f"Delete{kind}PermissionsBoundary", this, loses=True)
        for arn in list(self._iam.managed_policies):
            if arn != own:
                limit = {**this, "PermissionsBoundary": arn}
                yield Act("iam", f"Put{kind}PermissionsBoundary", limit, loses=True)

    def _acts_on_policies(self) -> Iterator[Act]:
        for arn, policy in list(self._iam.managed_policies.items()):
            this = {"PolicyArn": arn}
            if arn == ADMINISTRATOR_ACCESS:
                continue  # nobody can change one of AWS's own
            new = {**this, "PolicyDocument": EVERYTHING, "SetAsDefault": True}
            yield Act("iam", "CreatePolicyVersion", new)
            for version in policy.versions:
                if version.version_id != policy.default_version_id:
                    other = {**this, "VersionId": version.version_id}
                    yield Act("iam", "SetDefaultPolicyVersion", other, loses=True)

    def _acts_that_create(self) -> Iterator[Act]:
        boundaries = [{}, *({"PermissionsBoundary": arn} for arn in self._iam.managed_policies)]
        for kind in ("User", "Role"):
            trust = {"AssumeRolePolicyDocument": OPEN} if kind == "Role" else {}
            there = (
                {*self._iam.users}
                if kind == "User"
                else {role.name for role in self._iam.roles.values()}
            )
            for path, name in self._patterns[kind.lower()]:
                for number, boundary in enumerate(boundaries):
                    called = name.replace("*", str(number)).replace("?", str(number)[0])
                    if called not in there:
                        new = {f"{kind}Name": called, "Path": path, **trust, **boundary}
                        yield Act("iam", f"Create{kind}", new)
        for path, name in self._patterns["policy"]:
            called = name.replace("*", "acting").replace("?", "1")
            if f"{IAM}:policy{path}{called}" not in self._iam.managed_policies:
                new = {"PolicyName": called, "Path": path, "PolicyDocument": EVERYTHING}
                yield Act("iam", "CreatePolicy", new)

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[str, str]]]:
        """Paths and names, with wildcards, that something new of each kind could have."""
        found = {}
        for kind in ("user", "role", "policy", "function"):
            parts = {*re.findall(rf":{kind}[:/]([\w/*?-]+)", str(self.account)), "acting-*"}
            found[kind] = [
                (f"/{path}{slash}".replace("*", "x").replace("?", "x"), name)
                for path, slash, name in (part.rpartition("/") for part in sorted(parts))
            ]
        return found

    def _new(self, kind: str) -> list[tuple[str, str]]:
        return self._patterns[kind]

    def _has(self, group: Any, effect: str) -> bool:
        documents = [*group.policies.values(), *map(_default, group.managed_policies.values())]
        return any(_says(document, effect) for document in documents)


def _says(document: str, effect: str) -> bool:
    return f'"{effect}"' in document


def _default(policy: Any) -> str:
    return next(
        str(version.document)
        for version in policy.versions
        if version.version_id == policy.default_version_id
    )


@cache
def _serializer(service: str) -> tuple[Any, Any]:
    model = botocore.session.get_session().get_service_model(service)
    return model, create_serializer(model.metadata["protocol"], include_validation=False)


def request_of(act: Act) -> HttpRequest:
    """The request as it would arrive, with a signature that nobody verifies."""
    model, serializer = _serializer(act.service)
    sent = serializer.serialize_to_request(act.parameters, model.operation_model(act.operation))
    body, query = sent["body"], sent["query_string"]
    content = urlencode(body).encode() if isinstance(body, dict) else body
    scope = f"AKIAACTING/20261123/us-east-1/{act.service}/aws4_request"
    headers = {
        **{name.lower(): value for name, value in sent["headers"].items()},
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=" + "0" * 64,
        "x-amz-date": "20261123T120000Z",
    }
    return HttpRequest(
        method=sent["method"],
        path=sent["url_path"].partition("?")[0],
        raw_path=sent["url_path"].partition("?")[0],
        raw_query=sent["url_path"].partition("?")[2] or urlencode(query),
        headers=headers,
        body=content.encode() if isinstance(content, str) else content,
        source_ip="127.0.0.1",
    )
