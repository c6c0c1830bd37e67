"""Who may do what in the local cloud: a request reaches moto if its signature and IAM allow it."""

import hashlib
import hmac
import ipaddress
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from botocore.utils import normalize_url_path
from moto.core.request import PRESERVED_HEADER_NAMES_ENVIRON_KEY
from moto.core.utils import utcnow
from moto.iam.models import iam_backends
from moto.s3.models import FakeBucket, FakeKey, s3_backends
from moto.sts.models import sts_backends
from werkzeug.wsgi import get_input_stream

from localcloud import iam
from localcloud.events import Requester, requester

ADMINISTRATOR = "arn:aws:iam::123456789012:user/administrator"

# moto answers these itself, without a service: its own controls, and an instance's metadata.
_CLOSED = ("/moto-api", "/favicon.ico", "/latest/meta-data/", "/latest/api/", "/v20180820/")


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What a client signs its requests with."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class Authorization:
    """Lets through to `app`, moto's server, what AWS would let through, and answers the rest.

    Users, roles, their policies and buckets are those in moto. `administrator` is not in moto, and
    is allowed everything; a bucket policy's Deny binds it too. Of a streaming upload the chunks'
    signatures are not verified, and signatures do not grow old. A policy that `iam` does not
    understand answers 501 to everything that it would have to be asked about.
    """

    def __init__(self, app: WSGIApplication, *, administrator: Credentials) -> None:
        self._app = app
        self._administrator = administrator

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = _read(environ)
        try:
            caller = self._authenticate(request)
            if request.service == "s3":
                _authorize_s3(request, caller)
            elif not caller.is_administrator:
                _authorize_other(request, caller)
        except Refused as refused:
            return _answer(request, refused, start_response)
        except iam.UnsupportedPolicy as error:
            unable = Refused(HTTPStatus.NOT_IMPLEMENTED, "NotImplemented", str(error))
            return _answer(request, unable, start_response)
        sender = Requester(principal_id=caller.principal_id, source_ip=request.source_ip)
        requester.set(sender)
        return self._app(environ, start_response)

    def _authenticate(self, request: "HttpRequest") -> "Caller":
        if request.path.startswith(_CLOSED):
            raise _denied("This path is closed")
        signed = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
        if signed is None or "x-amz-date" not in request.headers:
            raise _denied("Access Denied: the request is not signed with AWS4-HMAC-SHA256")
        caller = self._caller(signed["key"])
        if caller is None:
            raise Refused(
                HTTPStatus.FORBIDDEN,
                "InvalidAccessKeyId" if request.service == "s3" else "InvalidClientTokenId",
                f"The access key {signed['key']} does not exist in our records",
            )
        if request.headers.get("x-amz-security-token") != caller.credentials.session_token:
            raise Refused(HTTPStatus.BAD_REQUEST, "InvalidToken", "The provided token is invalid")
        _verify(request, signed, caller.credentials.secret_access_key)
        return caller

    def _caller(self, key: str) -> "Caller | None":
        if key == self._administrator.access_key_id:
            return Caller(
                arn=ADMINISTRATOR,
                principal=ADMINISTRATOR,
                principal_id="AWS:AIDALOCALADMINISTRATOR",
                credentials=self._administrator,
                policies=[_EVERYTHING],
                is_administrator=True,
            )
        return _user(key) or _assumed_role(key)


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """A request as it arrived; names of headers in lower case, the body read to its end."""

    method: str
    path: str
    raw_path: str
    raw_query: str
    headers: Mapping[str, str]
    body: bytes
    source_ip: str

    @property
    def service(self) -> str:
        """The service that the signature is for; of an unsigned request, S3."""
        signed = _AUTHORIZATION.fullmatch(self.headers.get("authorization", ""))
        return signed["service"] if signed else "s3"

    @property
    def query(self) -> dict[str, str]:
        """Of a parameter given twice, the first: as moto reads it."""
        return dict(reversed(parse_qsl(self.raw_query, keep_blank_values=True)))


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who signed a request: `arn` names the session, `principal` what policies name."""

    arn: str
    principal: str
    principal_id: str
    credentials: Credentials
    policies: list[iam.Policy]
    is_administrator: bool = False


class Refused(Exception):
    """The request gets this error instead of an answer."""

    def __init__(self, status: HTTPStatus, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def _denied(message: str) -> Refused:
    return Refused(HTTPStatus.FORBIDDEN, "AccessDenied", message)


def _read(environ: WSGIEnvironment) -> HttpRequest:
    environ.pop("HTTP_X_MOTO_ACCOUNT_ID", None)  # it would choose another account
    body = get_input_stream(environ).read()
    environ["wsgi.input"] = BytesIO(body)
    raw_path, _, raw_query = environ["RAW_URI"].partition("?")
    # WSGI writes - and _ alike; moto's server remembers the names that were signed with _.
    spelled = environ.get(PRESERVED_HEADER_NAMES_ENVIRON_KEY) or {}
    headers = {
        spelled.get(name, name.removeprefix("HTTP_").replace("_", "-")).lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name in ("CONTENT_TYPE", "CONTENT_LENGTH")
    }
    return HttpRequest(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        body=body,
        source_ip=environ["REMOTE_ADDR"],
    )


def _answer(
    request: HttpRequest, refused: Refused, start_response: StartResponse
) -> Iterable[bytes]:
    """The error in the form that the service's clients expect."""
    message = re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", "?", str(refused))
    error = f"<Code>{refused.code}</Code><Message>{escape(message)}</Message>"
    headers = [("Content-Type", "application/xml")]
    if request.method == "HEAD":
        body = ""
    elif request.service == "s3":
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{error}</Error>'
    elif _parameters(request).keys() & {"Action"}:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"
    else:
        body = json.dumps({"__type": f"{refused.code}Exception", "message": message})
        headers = [
            ("Content-Type", "application/json"),
            ("x-amzn-ErrorType", f"{refused.code}Exception"),
        ]
    content = body.encode()
    headers.append(("Content-Length", str(len(content))))
    start_response(f"{refused.status.value} {refused.status.phrase}", headers)
    return [content]


# --- Signatures -------------------------------------------------------------------------------

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>\w+)"
    r"/(?P<scope>(?P<date>\d{8})/(?P<region>[\w-]+)/(?P<service>[a-z0-9-]+)/aws4_request), *"
    r"SignedHeaders=(?P<headers>[^,\s]+), *Signature=(?P<signature>[0-9a-f]{64})"
)


def _verify(request: HttpRequest, signed: re.Match[str], secret: str) -> None:
    """Raises unless `request` carries the signature that AWS computes for it."""
    names = signed["headers"].split(";")
    loose = {name for name in request.headers if name.startswith("x-amz-")} - set(names)
    if loose or "host" not in names:
        raise _denied("There were headers present in the request which were not signed")
    sent_hash = hashlib.sha256(request.body).hexdigest()
    said_hash = request.headers.get("x-amz-content-sha256", sent_hash)
    if said_hash != sent_hash and re.fullmatch(r"[0-9a-f]{64}", said_hash):
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed",
        )
    if request.service == "s3":
        path = quote(unquote(request.raw_path), safe="/-_.~")
    else:
        path = quote(normalize_url_path(request.raw_path), safe="/-_.~")
    pairs = [pair.partition("=") for pair in request.raw_query.split("&") if pair]
    query = sorted(
        (quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
        for name, _, value in pairs
    )
    canonical = "\n".join(
        [
            request.method,
            path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
            "",
            signed["headers"],
            said_hash,
        ]
    )
    to_sign = "\n".join(
        [
            "AWS4-HMAC-SHA256",
            request.headers["x-amz-date"],
            signed["scope"],
            # WSGI hands on each byte of a header as one character.
            hashlib.sha256(canonical.encode("latin-1")).hexdigest(),
        ]
    )
    key = f"AWS4{secret}".encode()
    for part in [*signed["scope"].split("/"), to_sign]:
        key = hmac.digest(key, part.encode(), "sha256")
    if not hmac.compare_digest(key.hex(), signed["signature"]):
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided",
        )


# --- Who it is: users and roles in moto ---------------------------------------------------------

_EVERYTHING: iam.Policy = {
    "Version": "2012-10-17",
    "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"},
}


def _user(key: str) -> Caller | None:
    for account in list(iam_backends):
        backend = iam_backends[account]["aws"]
        for user in list(backend.users.values()):
            for access_key in user.access_keys:
                if access_key.access_key_id == key and access_key.status == "Active":
                    groups = [g for g in list(backend.groups.values()) if user in g.users]
                    return Caller(
                        arn=user.arn,
                        principal=user.arn,
                        principal_id=f"AWS:AIDA{user.id.upper()}:{user.name}",
                        credentials=Credentials(
                            access_key_id=key, secret_access_key=access_key.secret_access_key
                        ),
                        policies=[policy for who in [user, *groups] for policy in _policies(who)],
                    )
    return None


def _assumed_role(key: str) -> Caller | None:
    for account in list(sts_backends):
        for session in list(sts_backends[account]["aws"].assumed_roles):
            if session.access_key_id == key and session.expiration > utcnow():
                roles = list(iam_backends[account]["aws"].roles.values())
                role = next((role for role in roles if role.arn == session.role_arn), None)
                if session.policy or (role and role.permissions_boundary):
                    raise iam.UnsupportedPolicy(
                        f"{session.arn} has a session policy or a permissions boundary"
                    )
                return Caller(
                    arn=session.arn,
                    principal=session.role_arn,
                    principal_id=f"AWS:{session.user_id}",
                    credentials=Credentials(
                        access_key_id=key,
                        secret_access_key=session.secret_access_key,
                        session_token=session.session_token,
                    ),
                    policies=_policies(role) if role else [],
                )
    return None


def _policies(holder: Any) -> list[iam.Policy]:
    attached = [
        next(version.document for version in policy.versions if version.is_default)
        for policy in list(holder.managed_policies.values())
    ]
    return [json.loads(document) for document in [*holder.policies.values(), *attached]]


# --- What it may do -----------------------------------------------------------------------------


def _authorize_s3(request: HttpRequest, caller: Caller) -> None:
    call = read_s3_call(request)
    source = copy_source(call)
    checks = s3_checks(
        call,
        now=datetime.now(UTC),
        source_is_tagged=source is not None and _is_tagged(*source),
    )
    for check in checks:
        _require(check, caller, source_ip=request.source_ip)
    if call.method == "DELETE":
        return
    for check in checks:
        # Who may not list a bucket does not learn from a 404 what is not in it.
        reads = check.action in ("s3:GetObject", "s3:GetObjectVersion")
        if reads and _is_missing(check.bucket, check.key, check.version):
            listing = S3Check(action="s3:ListBucket", bucket=check.bucket)
            _require(listing, caller, source_ip=request.source_ip)


def _require(check: "S3Check", caller: Caller, *, source_ip: str) -> None:
    bucket = _bucket(check.bucket)
    _judge(
        iam.Request(
            principal=caller.principal,
            action=check.action,
            resource=check.resource,
            context={**_context(caller, source_ip=source_ip), **check.context},
        ),
        caller,
        policy=json.loads(bucket.policy) if bucket is not None and bucket.policy else None,
        owner=bucket.account_id if bucket is not None else None,
    )


def _authorize_other(request: HttpRequest, caller: Caller) -> None:
    action, resource = service_action(request, account=caller.principal.split(":")[4])
    if action == "sts:GetCallerIdentity":
        return
    if action.startswith("sts:AssumeRole"):
        raise _denied(f"User: {caller.arn} is not trusted: the local cloud reads no trust policies")
    context = _context(caller, source_ip=request.source_ip)
    _judge(
        iam.Request(principal=caller.principal, action=action, resource=resource, context=context),
        caller,
    )


def _context(caller: Caller, *, source_ip: str) -> dict[str, str]:
    return {
        "aws:PrincipalAccount": caller.principal.split(":")[4],
        "aws:PrincipalArn": caller.principal,
        # As on AWS, where a policy of TLS only lets these same requests through.
        "aws:SecureTransport": "true",
        "aws:SourceIp": source_ip,
    }


def _judge(
    request: iam.Request,
    caller: Caller,
    *,
    policy: iam.Policy | None = None,
    owner: str | None = None,
) -> None:
    effect = iam.evaluate(request, identity=caller.policies, resource=policy, owner=owner)
    if effect is iam.Effect.ALLOW:
        return
    by_identity = iam.evaluate(request, identity=caller.policies)
    if effect is iam.Effect.EXPLICIT_DENY:
        side = "an identity" if by_identity is effect else "a resource"
        why = f"with an explicit deny in {side}-based policy"
    else:
        side = "resource" if by_identity is iam.Effect.ALLOW else "identity"
        why = f"because no {side}-based policy allows the {request.action} action"
    raise _denied(
        f"User: {caller.arn} is not authorized to perform: {request.action}"
        f' on resource: "{request.resource}" {why}'
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
    """Is it absent, or under a delete marker, in a bucket that there is?"""
    found = _key(bucket, key, version)
    return _bucket(bucket) is not None and (
        found is None or (version is None and not isinstance(found, FakeKey))
    )


def _is_tagged(bucket_name: str, name: str, version: str | None) -> bool:
    bucket, key = _bucket(bucket_name), _key(bucket_name, name, version)
    if bucket is None or not isinstance(key, FakeKey):
        return False
    tagger = s3_backends[bucket.account_id][bucket.partition].tagger
    return bool(tagger.get_tag_dict_for_resource(key.arn))


# --- What a request asks of another service than S3 ---------------------------------------------

_INVOKE = re.compile(r"/[\d-]+/functions/(?P<function>[^/]+)/invocations/?")
_PREFIXES = {"monitoring": "cloudwatch", "email": "ses"}


def service_action(request: HttpRequest, *, account: str) -> tuple[str, str]:
    """The action and the resource, as far as they can be told: `*` for the rest.

    Raises Refused for a request whose action cannot be told.
    """
    prefix = _PREFIXES.get(request.service, request.service)
    invoke = _INVOKE.fullmatch(request.raw_path)
    if request.service == "lambda" and request.method == "POST" and invoke:
        region = request.headers["authorization"].split("/")[2]
        name = unquote(invoke["function"])
        arn = name if ":" in name else f"arn:aws:lambda:{region}:{account}:function:{name}"
        qualifier = request.query.get("Qualifier")
        return "lambda:InvokeFunction", f"{arn}:{qualifier}" if qualifier else arn
    parameters = _parameters(request)
    actions = {parameters.get("Action")} | {
        request.headers.get("x-amz-target", "").rpartition(".")[2] or None
    }
    actions.discard(None)
    if request.raw_path != "/" or len(actions) != 1:
        raise _denied(f"The local cloud knows no action for this request to {request.service}")
    return f"{prefix}:{actions.pop()}", parameters.get("TopicArn", "*")


def _parameters(request: HttpRequest) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return request.query
    form = parse_qsl(request.body.decode("utf-8", "replace"), keep_blank_values=True)
    return request.query | dict(reversed(form))


# --- What an S3 request asks --------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class S3Call:
    """One S3 request, its names decoded; `key` or both names are empty where it names none."""

    method: str
    bucket: str = ""
    key: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class S3Check:
    """One right that a request needs."""

    action: str
    bucket: str
    key: str = ""
    version: str | None = None
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def resource(self) -> str:
        if not self.bucket:
            return "*"
        return f"arn:aws:s3:::{self.bucket}" + (f"/{self.key}" if self.key else "")


def read_s3_call(request: HttpRequest) -> S3Call:
    """Raises Refused for what is not plainly path-style: moto might read another bucket from it."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    path = re.fullmatch(r"/(?:([\w.-]+)(?:/(.*))?)?", request.raw_path, re.ASCII | re.DOTALL)
    if path is None or not (host == "localhost" or _is_ip(host)):
        raise _denied("Only path-style requests are understood")
    return S3Call(
        method=request.method,
        bucket=path[1] or "",
        key=unquote(path[2] or ""),
        query=request.query,
        headers=request.headers,
        body=request.body,
    )


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def s3_checks(call: S3Call, *, now: datetime, source_is_tagged: bool = False) -> list[S3Check]:
    """The rights that S3 wants to see before it does what `call` says, all of them.

    Raises Refused for a request that is not known here.
    """
    operation = (call.method, "&".join(sorted(call.query.keys() - _MODIFIERS)))
    if call.key and operation in _WRITES:
        return _write_checks(call, now=now, source_is_tagged=source_is_tagged)
    if call.key and operation in _OBJECT_ACTIONS:
        return _object_checks(call, _OBJECT_ACTIONS[operation], now=now)
    if call.bucket and not call.key and operation == ("POST", "delete"):
        return _bulk_delete_checks(call)
    if call.bucket and not call.key and operation in _BUCKET_ACTIONS:
        asked = {"s3:prefix": call.query["prefix"]} if "prefix" in call.query else {}
        action = _BUCKET_ACTIONS[operation]
        return [S3Check(action=f"s3:{action}", bucket=call.bucket, context=asked)]
    if not call.bucket and operation == ("GET", ""):
        return [S3Check(action="s3:ListAllMyBuckets", bucket="")]
    raise _unknown(call)


def _unknown(call: S3Call) -> Refused:
    return _denied(f"The local cloud does not know this request: {call.method} ?{[*call.query]}")


def _write_checks(call: S3Call, *, now: datetime, source_is_tagged: bool) -> list[S3Check]:
    def check(action: str, context: Mapping[str, str] | None = None) -> S3Check:
        return S3Check(action=action, bucket=call.bucket, key=call.key, context=context or {})

    headers = call.headers
    lock = _lock(
        headers.get("x-amz-object-lock-mode"),
        headers.get("x-amz-object-lock-retain-until-date"),
        now=now,
    )
    creates = (call.method, "uploadId" in call.query) in (("PUT", False), ("POST", True))
    context = {f"s3:{name}": headers[name] for name in _WRITE_KEYS if name in headers}
    context |= {"s3:ObjectCreationOperation": str(creates).lower(), **lock}

    source = copy_source(call)
    if source is not None:
        context["s3:x-amz-copy-source"] = unquote(headers["x-amz-copy-source"]).lstrip("/")
    checks = [check("s3:PutObject", context)]
    if source is not None:
        bucket, key, version = source
        v = "Version" if version else ""
        reads = [f"s3:GetObject{v}"]
        copies_tags = headers.get("x-amz-tagging-directive", "COPY") == "COPY"
        if source_is_tagged and copies_tags and "uploadId" not in call.query:
            reads.append(f"s3:GetObject{v}Tagging")
            checks.append(check("s3:PutObjectTagging"))
        checks += [S3Check(action=a, bucket=bucket, key=key, version=version) for a in reads]
    if "x-amz-tagging" in headers:
        checks.append(check("s3:PutObjectTagging"))
    if lock:
        checks.append(check("s3:PutObjectRetention", lock))
    if "x-amz-object-lock-legal-hold" in headers:
        checks.append(check("s3:PutObjectLegalHold"))
    if any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in headers):
        checks.append(check("s3:PutObjectAcl"))
    return checks


def _object_checks(call: S3Call, actions: str, *, now: datetime) -> list[S3Check]:
    version = call.query.get("versionId")
    context: dict[str, str] = {}
    wanted = [f"s3:{a}" for a in actions.format(v="Version" if version else "").split()]
    if call.method == "DELETE" and "if-match" in call.headers:
        context["s3:if-match"] = call.headers["if-match"]
        wanted.append("s3:GetObjectVersion" if version else "s3:GetObject")
    if wanted == ["s3:PutObjectRetention"]:
        retention = _xml(call)
        context |= _lock(
            retention.findtext("{*}Mode"), retention.findtext("{*}RetainUntilDate"), now=now
        )
    if "x-amz-bypass-governance-retention" in call.headers:
        wanted.append("s3:BypassGovernanceRetention")
    return [
        S3Check(action=a, bucket=call.bucket, key=call.key, version=version, context=context)
        for a in wanted
    ]


def _bulk_delete_checks(call: S3Call) -> list[S3Check]:
    """One key that may not be deleted refuses them all; S3 would delete the others."""
    bypass = "x-amz-bypass-governance-retention" in call.headers
    checks = []
    for item in _xml(call).iterfind("{*}Object"):
        key, version = item.findtext("{*}Key"), item.findtext("{*}VersionId")
        if not key:
            raise _unknown(call)
        wanted = ["s3:DeleteObjectVersion" if version else "s3:DeleteObject"]
        wanted += ["s3:BypassGovernanceRetention"] if bypass else []
        checks += [S3Check(action=a, bucket=call.bucket, key=key, version=version) for a in wanted]
    if not checks:
        raise _unknown(call)
    return checks


def copy_source(call: S3Call) -> tuple[str, str, str | None] | None:
    """Bucket, key and version id of what a CopyObject or UploadPartCopy reads."""
    if call.method != "PUT" or "x-amz-copy-source" not in call.headers:
        return None
    source = urlsplit(call.headers["x-amz-copy-source"])
    bucket, _, key = unquote(source.path).lstrip("/").partition("/")
    if not bucket or not key:
        raise _unknown(call)
    return bucket, key, dict(reversed(parse_qsl(source.query))).get("versionId")


def _lock(mode: str | None, until: str | None, *, now: datetime) -> dict[str, str]:
    context = {} if mode is None else {"s3:object-lock-mode": mode}
    if until is not None:
        try:
            left = datetime.fromisoformat(until) - now
        except (ValueError, TypeError):
            raise _denied(f"Not a time with its zone: {until}") from None
        # A day begun counts as a day: not said anywhere, but the stricter reading of a maximum.
        days = math.ceil(left / timedelta(days=1))
        context["s3:object-lock-remaining-retention-days"] = str(days)
    return context


def _xml(call: S3Call) -> ET.Element:
    try:
        return ET.fromstring(call.body)
    except ET.ParseError:
        raise _unknown(call) from None


# Query parameters that say how, not what. Every other one names an operation.
_MODIFIERS = frozenset(
    """
    versionId x-id prefix delimiter marker max-keys encoding-type list-type continuation-token
    start-after fetch-owner key-marker version-id-marker upload-id-marker max-uploads
    part-number-marker max-parts max-buckets bucket-region response-cache-control
    response-content-disposition response-content-encoding response-content-language
    response-content-type response-expires
    """.split()  # noqa: SIM905 - a column of 24 lines would say no more
)

_WRITE_KEYS = (
    "if-match",
    "if-none-match",
    "x-amz-metadata-directive",
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-aws-kms-key-id",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-storage-class",
)

_WRITES = {("PUT", ""), ("PUT", "partNumber&uploadId"), ("POST", "uploads"), ("POST", "uploadId")}

# {v} becomes Version where the request names a version.
_OBJECT_ACTIONS = {
    ("GET", ""): "GetObject{v}",
    ("GET", "partNumber"): "GetObject{v}",
    ("HEAD", ""): "GetObject{v}",
    ("HEAD", "partNumber"): "GetObject{v}",
    ("GET", "acl"): "GetObject{v}Acl",
    ("GET", "attributes"): "GetObject{v} GetObject{v}Attributes",
    ("GET", "legal-hold"): "GetObjectLegalHold",
    ("GET", "retention"): "GetObjectRetention",
    ("GET", "tagging"): "GetObject{v}Tagging",
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("PUT", "acl"): "PutObject{v}Acl",
    ("PUT", "legal-hold"): "PutObjectLegalHold",
    ("PUT", "retention"): "PutObjectRetention",
    ("PUT", "tagging"): "PutObject{v}Tagging",
    ("POST", "restore"): "RestoreObject",
    ("DELETE", ""): "DeleteObject{v}",
    ("DELETE", "tagging"): "DeleteObject{v}Tagging",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
}

_BUCKET_ACTIONS = {
    ("HEAD", ""): "ListBucket",
    ("GET", ""): "ListBucket",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("PUT", ""): "CreateBucket",
    ("DELETE", ""): "DeleteBucket",
    ("GET", "acl"): "GetBucketAcl",
    ("PUT", "acl"): "PutBucketAcl",
    ("GET", "encryption"): "GetEncryptionConfiguration",
    ("PUT", "encryption"): "PutEncryptionConfiguration",
    ("DELETE", "encryption"): "PutEncryptionConfiguration",
    ("GET", "lifecycle"): "GetLifecycleConfiguration",
    ("PUT", "lifecycle"): "PutLifecycleConfiguration",
    ("DELETE", "lifecycle"): "PutLifecycleConfiguration",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "logging"): "GetBucketLogging",
    ("GET", "notification"): "GetBucketNotification",
    ("PUT", "notification"): "PutBucketNotification",
    ("GET", "object-lock"): "GetBucketObjectLockConfiguration",
    ("PUT", "object-lock"): "PutBucketObjectLockConfiguration",
    ("GET", "ownershipControls"): "GetBucketOwnershipControls",
    ("PUT", "ownershipControls"): "PutBucketOwnershipControls",
    ("DELETE", "ownershipControls"): "PutBucketOwnershipControls",
    ("GET", "policy"): "GetBucketPolicy",
    ("PUT", "policy"): "PutBucketPolicy",
    ("DELETE", "policy"): "DeleteBucketPolicy",
    ("GET", "publicAccessBlock"): "GetBucketPublicAccessBlock",
    ("PUT", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("DELETE", "publicAccessBlock"): "PutBucketPublicAccessBlock",
    ("GET", "replication"): "GetReplicationConfiguration",
    ("GET", "tagging"): "GetBucketTagging",
    ("PUT", "tagging"): "PutBucketTagging",
    ("DELETE", "tagging"): "PutBucketTagging",
    ("GET", "versioning"): "GetBucketVersioning",
    ("PUT", "versioning"): "PutBucketVersioning",
}
