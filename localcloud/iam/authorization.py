"""Authorizes requests: only those with a valid signature that IAM allows reach moto."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.s3.exceptions import S3ClientError

from localcloud.clock import clock
from localcloud.iam import evaluation
from localcloud.iam.callers import Caller, Credentials, find_caller, find_role
from localcloud.iam.http_requests import HttpRequest, Refused, denied, read_request, refuse
from localcloud.iam.operators import UnsupportedPolicy
from localcloud.iam.s3_actions import S3Check, is_served, s3_checks
from localcloud.iam.s3_calls import S3Call, copy_source, read_s3_call, unserved_call
from localcloud.iam.service_actions import service_checks
from localcloud.iam.signatures import verify
from localcloud.iam.stored import find_bucket, is_missing, is_tagged
from localcloud.iam.topic_policies import topic_policy
from localcloud.iam.trust import can_assume
from localcloud.s3.bucket_policies import current_policy, read_policy
from localcloud.s3.events import Requester, requester

__all__ = ["Authorization", "Credentials", "authorize"]

# Paths that moto handles without a service: its own controls, and the metadata of instances.
_CLOSED = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/", "/v20180820/")

Observe = Callable[[HttpRequest, Caller], Callable[[int], None]]
"""Called before a request takes effect; the returned function is called with the response's
status.
"""


def _observe_nothing(_request: HttpRequest, _caller: Caller) -> Callable[[int], None]:
    return lambda _status: None


class Authorization:
    """Passes requests that AWS would allow on to `app`, moto's server, and refuses the rest.

    Users, roles, their policies and buckets are those in moto. `administrator` is not in moto, and
    is allowed everything; a bucket policy's Deny applies to it too. The signatures of a streaming
    upload's chunks are not verified, and only those of presigned URLs expire, by this machine's
    clock. If a policy that must be evaluated is not supported, the response is 501. `observe` is
    called with each request that is signed correctly.
    """

    def __init__(
        self,
        app: WSGIApplication,
        *,
        administrator: Credentials,
        observe: Observe = _observe_nothing,
    ) -> None:
        self._app = app
        self._administrator = administrator
        self._observe = observe

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        try:
            caller = self._authenticate(request)
        except (Refused, UnsupportedPolicy) as error:
            return refuse(request, _refusal(error), start_response)
        end = self._observe(request, caller)

        def start_and_end(status: str, headers: Any, *error: Any) -> Any:
            end(int(status.split(maxsplit=1)[0]))
            return start_response(status, headers, *error)

        try:
            authorize(request, caller)
        except (Refused, UnsupportedPolicy) as error:
            return refuse(request, _refusal(error), start_and_end)
        sender = Requester(principal_id=caller.principal_id, source_ip=request.source_ip)
        requester.set(sender)
        return self._app(environ, start_and_end)

    def _authenticate(self, request: HttpRequest) -> Caller:
        if request.path.startswith(_CLOSED):
            raise denied("This path is closed")
        signed = request.signature
        if signed is None or (signed.valid_for and signed.service != "s3"):
            raise denied("Access Denied: the request is not signed with AWS4-HMAC-SHA256")
        caller = find_caller(signed.key, administrator=self._administrator)
        if caller is None:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "InvalidAccessKeyId" if request.service == "s3" else "InvalidClientTokenId",
                f"The access key {signed.key} does not exist in our records",
            )
        if signed.token != caller.credentials.session_token:
            raise Refused(HTTPStatus.BAD_REQUEST, "InvalidToken", "The provided token is invalid")
        verify(request, signed, secret=caller.credentials.secret_access_key)
        return caller


def authorize(request: HttpRequest, caller: Caller) -> None:
    """Return if IAM allows the request to the caller, whose signature is not verified here.

    Raises Refused, and UnsupportedPolicy if a policy that must be evaluated is not supported.
    """
    if request.service == "s3":
        _authorize_s3(request, caller)
    elif request.service == "sts" or not caller.is_administrator:
        _authorize_other(request, caller)


def _refusal(error: Refused | UnsupportedPolicy) -> Refused:
    if isinstance(error, Refused):
        return error
    return Refused(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", str(error))


def _authorize_s3(request: HttpRequest, caller: Caller) -> None:
    call = read_s3_call(request)
    source = copy_source(call)
    checks = s3_checks(
        call,
        now=clock.now(),
        source_is_tagged=source is not None and is_tagged(*source),
    )
    for check in checks:
        _require(check, caller, source_ip=request.source_ip)
    if not is_served(call):
        raise unserved_call(call)
    if call.method == "DELETE":
        return
    if (call.method, call.subresource) == ("PUT", "policy"):
        _require_support(call)
    for check in checks:
        # A 404 reveals that an object is missing: only those who can list the bucket get it.
        reads = check.action in ("s3:GetObject", "s3:GetObjectVersion")
        if reads and is_missing(check.bucket, check.key, check.version):
            listing = S3Check(action="s3:ListBucket", bucket=check.bucket)
            _require(listing, caller, source_ip=request.source_ip)


def _require_support(call: S3Call) -> None:
    """Refuse a bucket policy that S3 accepts and that could not be evaluated here.

    Once stored, it would make every later request to the bucket fail, including its own removal.
    """
    bucket = find_bucket(call.bucket)
    if bucket is None:
        return
    try:
        policy = read_policy(bucket, call.body)
    except S3ClientError:
        return  # S3 itself refuses it
    evaluation.require_support(policy)


def _require(check: S3Check, caller: Caller, *, source_ip: str) -> None:
    bucket = find_bucket(check.bucket)
    _require_allowed(
        evaluation.Request(
            principal=caller.principal,
            action=check.action,
            resource=check.resource,
            context={**_context(caller, source_ip=source_ip), **check.context},
        ),
        caller,
        policy=current_policy(bucket) if bucket is not None else None,
        owner=bucket.account_id if bucket is not None else None,
    )


def _authorize_other(request: HttpRequest, caller: Caller) -> None:
    context = _context(caller, source_ip=request.source_ip)
    for check in service_checks(request, caller):
        if check.action == "sts:GetCallerIdentity":
            continue
        if check.action.startswith("sts:AssumeRole"):
            _require_trust(request, check.action, caller, context)
            continue
        of_topic = check.action.startswith("sns:")
        _require_allowed(
            evaluation.Request(
                principal=caller.principal,
                action=check.action,
                resource=check.resource,
                context={**context, **check.context},
            ),
            caller,
            policy=topic_policy(check.resource) if of_topic else None,
            owner=check.resource.split(":")[4] if of_topic and check.resource != "*" else None,
        )


def _require_trust(
    request: HttpRequest, action: str, caller: Caller, context: dict[str, str]
) -> None:
    role_arn = request.parameters.get("RoleArn", "")
    external_id = request.parameters.get("ExternalId")
    assumption = evaluation.Request(
        principal=caller.principal,
        action=action,
        resource=role_arn,
        context={**context, **({"sts:ExternalId": external_id} if external_id else {})},
    )
    role = find_role(role_arn)
    if role is None or not can_assume(role, assumption, caller):
        raise denied(
            f"User: {caller.arn} is not authorized to perform: {action} on resource: {role_arn}"
        )


def _context(caller: Caller, *, source_ip: str) -> dict[str, str]:
    return {
        "aws:PrincipalAccount": caller.principal.split(":")[4],
        "aws:PrincipalArn": caller.principal,
        # The same requests would use TLS on AWS, where a policy can require it.
        "aws:SecureTransport": "true",
        "aws:SourceIp": source_ip,
        "aws:userid": caller.user_id,
    }


def _require_allowed(
    request: evaluation.Request,
    caller: Caller,
    *,
    policy: evaluation.Policy | None = None,
    owner: str | None = None,
) -> None:
    effect = evaluation.evaluate(
        request,
        identity=caller.policies,
        boundary=caller.boundary,
        resource=policy,
        owner=owner,
    )
    if effect is evaluation.Effect.ALLOW:
        return
    by_identity = evaluation.evaluate(request, identity=caller.policies, boundary=caller.boundary)
    if effect is evaluation.Effect.EXPLICIT_DENY:
        side = "an identity" if by_identity is effect else "a resource"
        reason = f"with an explicit deny in {side}-based policy"
    else:
        side = "resource" if by_identity is evaluation.Effect.ALLOW else "identity"
        reason = f"because no {side}-based policy allows the {request.action} action"
    raise denied(
        f"User: {caller.arn} is not authorized to perform: {request.action}"
        f' on resource: "{request.resource}" {reason}'
    )
