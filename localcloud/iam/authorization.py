"""Authorizes requests: only those with a valid signature that IAM allows reach moto."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, FakeKey, s3_backends

from localcloud.clock import clock
from localcloud.iam import evaluation
from localcloud.iam.callers import Caller, Credentials, find_caller, find_role
from localcloud.iam.http_requests import HttpRequest, Refused, denied, read_request, refuse
from localcloud.iam.operators import UnsupportedPolicy
from localcloud.iam.s3_actions import S3Check, is_served, s3_checks
from localcloud.iam.s3_calls import S3Call, copy_source, read_s3_call, unserved_call
from localcloud.iam.service_actions import service_action
from localcloud.iam.signatures import verify
from localcloud.s3.bucket_policies import current_policy, read_policy
from localcloud.s3.events import Requester, requester

__all__ = ["Authorization", "Credentials"]

# Paths that moto answers without a service: its own controls, and the metadata of instances.
_CLOSED = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/", "/v20180820/")


class Authorization:
    """Passes requests that AWS would allow on to `app`, moto's server, and refuses the rest.

    Users, roles, their policies and buckets are those in moto. `administrator` is not in moto, and
    is allowed everything; a bucket policy's Deny binds it too. The signatures of a streaming
    upload's chunks are not verified, and only those of presigned URLs expire, by this machine's
    clock. If a policy that must be evaluated is not supported, the response is 501.
    """

    def __init__(self, app: WSGIApplication, *, administrator: Credentials) -> None:
        self._app = app
        self._administrator = administrator

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = read_request(environ)
        try:
            caller = self._authenticate(request)
            if request.service == "s3":
                _authorize_s3(request, caller)
            elif request.service == "sts" or not caller.is_administrator:
                _authorize_other(request, caller)
        except Refused as refused:
            return refuse(request, refused, start_response)
        except UnsupportedPolicy as error:
            unsupported = Refused(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", str(error))
            return refuse(request, unsupported, start_response)
        sender = Requester(principal_id=caller.principal_id, source_ip=request.source_ip)
        requester.set(sender)
        return self._app(environ, start_response)

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


def _authorize_s3(request: HttpRequest, caller: Caller) -> None:
    call = read_s3_call(request)
    source = copy_source(call)
    checks = s3_checks(
        call,
        now=clock.now(),
        source_is_tagged=source is not None and _is_tagged(*source),
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
        if reads and _is_missing(check.bucket, check.key, check.version):
            listing = S3Check(action="s3:ListBucket", bucket=check.bucket)
            _require(listing, caller, source_ip=request.source_ip)


def _require_support(call: S3Call) -> None:
    """Refuse a bucket policy that S3 accepts and that could not be evaluated here.

    Stored, it would make every later request to the bucket fail, and its own removal too.
    """
    bucket = _bucket(call.bucket)
    if bucket is None:
        return
    try:
        policy = read_policy(bucket, call.body)
    except S3ClientError:
        return  # S3 itself refuses it
    evaluation.require_support(policy)


def _require(check: S3Check, caller: Caller, *, source_ip: str) -> None:
    bucket = _bucket(check.bucket)
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
    action, resource = service_action(request, account=caller.principal.split(":")[4])
    if action == "sts:GetCallerIdentity":
        return
    context = _context(caller, source_ip=request.source_ip)
    if action.startswith("sts:AssumeRole"):
        _require_trust(request.parameters.get("RoleArn", ""), action, caller, context)
        return
    _require_allowed(
        evaluation.Request(
            principal=caller.principal, action=action, resource=resource, context=context
        ),
        caller,
    )


def _require_trust(role_arn: str, action: str, caller: Caller, context: dict[str, str]) -> None:
    """A role must trust the user by name, or the account, whose policies must then allow it."""
    assumption = evaluation.Request(
        principal=caller.principal, action=action, resource=role_arn, context=context
    )
    role = find_role(role_arn)
    if role is not None:
        # A trust policy names no resource: it belongs to its role.
        statements = [
            {**statement, "Resource": "*"}
            for statement in evaluation.listed(role.trust["Statement"])
        ]
        trust = {**role.trust, "Statement": statements}
        both = evaluation.evaluate(
            assumption,
            identity=caller.policies,
            boundary=caller.boundary,
            resource=trust,
            owner="the role's",
        )
        by_name = evaluation.evaluate(
            assumption, identity=[], boundary=caller.boundary, resource=trust
        )
        if both is evaluation.Effect.ALLOW or (
            both is evaluation.Effect.IMPLICIT_DENY and by_name is evaluation.Effect.ALLOW
        ):
            return
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


def _bucket(name: str) -> FakeBucket | None:
    if name not in s3_backends.bucket_accounts:
        return None
    partition, account = s3_backends.bucket_accounts[name]
    bucket: FakeBucket | None = s3_backends[account][partition].buckets.get(name)
    return bucket


def _key(bucket_name: str, name: str, version: str | None) -> Any:
    bucket = _bucket(bucket_name)
    if bucket is None:
        return None
    if version is None:
        return bucket.keys.get(name)
    versions = bucket.keys.getlist(name, default=[])
    return next((key for key in versions if str(key.version_id) == version), None)


def _is_missing(bucket: str, key: str, version: str | None) -> bool:
    """Whether the bucket exists, and the object is absent or under a delete marker."""
    stored = _key(bucket, key, version)
    return _bucket(bucket) is not None and (
        stored is None or (version is None and not isinstance(stored, FakeKey))
    )


def _is_tagged(bucket_name: str, name: str, version: str | None) -> bool:
    bucket, key = _bucket(bucket_name), _key(bucket_name, name, version)
    if bucket is None or not isinstance(key, FakeKey):
        return False
    tagger = s3_backends[bucket.account_id][bucket.partition].tagger
    return bool(tagger.get_tag_dict_for_resource(key.arn))
