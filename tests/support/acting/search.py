"""An intruder who takes over an account by trying every request, without evaluating any policy.

What a user or role can become is found by trying it in the local cloud, with the credentials gained
so far, until nothing new is gained. An intruder with unlimited time would do the same. Each request
is first put to the local cloud's own authorization, unsigned, which takes a tenth of the time; an
allowed request is then sent, signed, and must succeed.
"""

import copy
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError
from moto.awslambda.models import lambda_backends
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from localcloud.cloud import Cloud
from localcloud.iam.authorization import authorize
from localcloud.iam.callers import Caller, Credentials, find_caller
from localcloud.iam.http_requests import HttpRequest, Refused
from tests.support.acting.acts import Act, Acts, request_of
from tests.support.acting.built import document
from tests.support.acting.clients import client_as
from tests.support.acting.model import ACCOUNT, VAULT, AccountModel, allow

# A bucket policy that allows everyone everything.
ANYTHING = document([{**allow("s3:*", f"arn:aws:s3:::{VAULT}"), "Principal": "*"}])
_STATE = ("users", "groups", "roles", "managed_policies", "access_keys")


OPENING = (
    Act("s3", "PutBucketPolicy", {"Bucket": VAULT, "Policy": ANYTHING}),
    Act("s3", "DeleteBucketPolicy", {"Bucket": VAULT}),
)


@dataclass
class State:
    """What the account contains, and whose credentials the intruder has."""

    saved: dict[str, Any]
    held: dict[str, Credentials]
    done: frozenset[str]
    path: tuple[str, ...]


@dataclass
class TakenOver:
    """An account in the local cloud, and an intruder who takes it over.

    `changes`: how many changes to try among those that can also take rights away, each on the
    account as it was before.
    """

    cloud: Cloud
    account: AccountModel
    targets: frozenset[str]
    changes: int = 20
    _held: dict[str, Credentials] = field(default_factory=dict)
    _callers: dict[str, Caller] = field(default_factory=dict)
    _requests: dict[str, HttpRequest] = field(default_factory=dict)
    _done: set[str] = field(default_factory=set)
    _path: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._iam = iam_backends[ACCOUNT]["aws"]
        self._names = {user.id: user.arn for user in self._iam.users.values()}

    def search(self, source: str) -> list[str] | None:
        """The acts by which the user or role with this ARN reaches a target; None if it cannot.

        Afterwards the account is restored.
        """
        before = self._save()
        self._held, self._done, self._path = {}, set(), []
        self._callers = {}
        sts_backends[ACCOUNT]["aws"].assumed_roles.clear()
        self._hold(source)
        try:
            return self._path if self._search() else None
        finally:
            self._restore(before)

    def _search(self) -> bool:
        if self._gain():
            return True
        seen = {self._fingerprint()}
        changes = deque(self._changes())
        for _ in range(self.changes):
            if not changes:
                break
            state, act = changes.popleft()
            self._resume(state)
            if not self._do(act) or (now := self._fingerprint()) in seen:
                continue
            seen.add(now)
            if self._gain():
                return True
            changes.extend(self._changes())
        return False

    def _changes(self) -> Iterator[tuple["State", Act]]:
        """The acts that can also take rights away, those about the intruder's own rights first."""
        here = self._state()
        names = {arn.rpartition("/")[2] for arn in self._held}
        acts = self._allowed(lambda act: act.loses)
        for act in sorted(
            acts, key=lambda act: names.isdisjoint(map(str, act.parameters.values()))
        ):
            yield here, act

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

    # What a principal does

    def _gain(self) -> bool:
        """Repeat all acts that cannot reduce the intruder's own rights; return True at a target."""
        while not self._reaches():
            allowed = self._allowed(lambda act: not act.loses)
            if not allowed:
                return False
            for act in allowed:
                if self._do(act) and self._reaches():
                    return True
        return True

    def _allowed(self, of_kind: Callable[[Act], bool]) -> list[Act]:
        acts = {act.key: act for act in self._possible() if of_kind(act)}
        return [
            act
            for key, act in acts.items()
            if key not in self._done
            and act.holds not in self._held
            and any(self.is_allowed(arn, act) for arn in self._held)
        ]

    def _possible(self) -> Iterator[Act]:
        return iter(Acts(self._iam, self.account, self._held.keys()))

    def possible_to(self, source: str) -> list[Act]:
        """Everything that this user or role could try."""
        self._hold(source)
        return list(self._possible())

    def is_allowed(self, arn: str, act: Act) -> bool:
        """Whether IAM allows it to any principal whose credentials the intruder holds."""
        key = self._held[arn].access_key_id
        if key not in self._callers:
            caller = find_caller(key, administrator=self.cloud.administrator)
            assert caller is not None
            self._callers[key] = caller
        if act.key not in self._requests:
            self._requests[act.key] = request_of(act)
        try:
            authorize(self._requests[act.key], self._callers[key])
        except Refused:
            return False
        return True

    def _do(self, act: Act) -> bool:
        """Send the request, signed, as the first allowed principal; return whether it succeeds."""
        self._done.add(act.key)
        arn = next((arn for arn in self._held if self.is_allowed(arn, act)), None)
        if arn is None:
            return False  # something else, before it took this right away
        try:
            answer = self.send(arn, act)
        except ClientError as error:
            if "AccessDenied" in error.response["Error"]["Code"]:
                raise
            return False  # something else prevents it, such as a role that does not trust Lambda
        finally:
            self._callers = {}
        self._path.append(f"{arn}: {act.key[:160]}")
        self._tidy(act)
        if act.holds:
            self._hold(act.holds, answer)
        return True

    def send(self, arn: str, act: Act) -> Any:
        """Send the request with a principal's credentials; return the service's response."""
        client = client_as(self._held[arn], self.cloud, act.service)
        names = {api: python for python, api in client.meta.method_to_api_mapping.items()}
        return getattr(client, names[act.operation])(**act.parameters)

    def _tidy(self, act: Act) -> None:
        """Restore the functions: a role whose credentials were gained once stays gained."""
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
        name = arn.rpartition("/")[2]
        if ":user/" in arn:
            user = self._iam.users[name]
            arn = self._names.get(user.id, arn)  # named as at the beginning
        if answer and "Credentials" in answer:
            keys = answer["Credentials"]
        elif answer and "SecretAccessKey" in answer.get("AccessKey", {}):
            keys = answer["AccessKey"]
        elif ":user/" in arn:
            key = (user.access_keys or [self._iam.create_access_key(name)])[0]
            key.status = "Active"
            keys = {"AccessKeyId": key.access_key_id, "SecretAccessKey": key.secret_access_key}
        else:
            keys = sts_backends[ACCOUNT]["aws"].assume_role(
                "us-east-1", "acting", arn, "", 3600, ""
            )
            keys = {
                "AccessKeyId": keys.access_key_id,
                "SecretAccessKey": keys.secret_access_key,
                "SessionToken": keys.session_token,
            }
        self._held[arn] = Credentials(
            access_key_id=keys["AccessKeyId"],
            secret_access_key=keys["SecretAccessKey"],
            session_token=keys.get("SessionToken"),
        )

    def _reaches(self) -> bool:
        if self.targets & self._held.keys():
            return True
        for act in OPENING:
            arn = next((arn for arn in self._held if self.is_allowed(arn, act)), None)
            if arn:
                self.send(arn, act)
                s3 = client_as(self.cloud.administrator, self.cloud, "s3")
                s3.delete_bucket_policy(Bucket=VAULT)
                self._path.append(f"{arn}: {act.operation}")
                return True
        return False
