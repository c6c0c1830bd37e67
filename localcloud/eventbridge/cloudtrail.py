"""CloudTrail events of API calls; EventBridge receives them if a trail logs management events."""

import json
import re
import uuid
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from moto.cloudtrail.models import Trail, cloudtrail_backends
from moto.core.models import DEFAULT_ACCOUNT_ID

from localcloud.clock import clock
from localcloud.eventbridge.bus import EventBus
from localcloud.functions.lambda_functions import REGION
from localcloud.iam.api_calls import read_api_call
from localcloud.iam.callers import Caller
from localcloud.iam.http_requests import HttpRequest

# Services by the name in signatures, with the name of their API's description.
_SERVICES = {
    "cloudtrail": "cloudtrail",
    "events": "events",
    "lambda": "lambda",
    "monitoring": "cloudwatch",
    "sns": "sns",
}
_READS = re.compile(r"(Get|List|Describe|Check|Lookup|Test)[A-Z].*")
# Data events: no trail logs them unless configured to.
_DATA_EVENTS = {"Invoke", "InvokeAsync", "Publish", "PublishBatch", "PutEvents", "PutMetricData"}
# Lambda's operations are logged with a version. EventBridge's rules must match prefixes: Lambda
# developer guide, "Logging AWS Lambda API calls using AWS CloudTrail".
_VERSIONS = {
    "AddPermission": "20150331v2",
    "CreateEventSourceMapping": "20150331",
    "CreateFunction": "20150331",
    "DeleteEventSourceMapping": "20150331",
    "DeleteFunction": "20150331",
    "DeleteFunctionConcurrency": "20171031",
    "PublishVersion": "20150331",
    "PutFunctionConcurrency": "20171031",
    "RemovePermission": "20150331v2",
    "TagResource": "20170331v2",
    "UntagResource": "20170331v2",
    "UpdateFunctionCode": "20150331v2",
    "UpdateFunctionConfiguration": "20150331v2",
}
# The subresources of requests that change a bucket, with the names of CloudTrail's events.
# CloudTrail's names differ from those of the API and of IAM: S3 user guide, "Amazon S3 CloudTrail
# events".
_OF_BUCKETS = {
    "": "Bucket",
    "accelerate": "AccelerateConfiguration",
    "acl": "BucketAcl",
    "cors": "BucketCors",
    "encryption": "BucketEncryption",
    "lifecycle": "BucketLifecycle",
    "logging": "BucketLogging",
    "notification": "BucketNotification",
    "object-lock": "BucketObjectLockConfiguration",
    "ownershipControls": "BucketOwnershipControls",
    "policy": "BucketPolicy",
    "publicAccessBlock": "BucketPublicAccessBlock",
    "replication": "BucketReplication",
    "requestPayment": "BucketRequestPayment",
    "tagging": "BucketTagging",
    "versioning": "BucketVersioning",
    "website": "BucketWebsite",
}


class CloudTrail:
    """Sends an event of each call that changes something, successful or not, to the bus."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus
        # moto's backend reads AWS_PROFILE on first use, so it is used here, not in a request.
        _a_trail_logs()

    def observe(self, request: HttpRequest, caller: Caller) -> Callable[[int], None]:
        """Called before the call takes effect; the returned function is called with the status."""
        logged = _a_trail_logs()

        def end(status: int) -> None:
            # The calls that start and stop logging are logged, too.
            if not (logged or _a_trail_logs()):
                return
            call = _bucket_call(request) if request.service == "s3" else _api_call(request)
            if call is not None:
                self._put(request, caller, call, status=status)

        return end

    def _put(
        self,
        request: HttpRequest,
        caller: Caller,
        call: tuple[str, dict[str, Any]],
        *,
        status: int,
    ) -> None:
        name, parameters = call
        failed = status >= HTTPStatus.BAD_REQUEST
        denied = status == HTTPStatus.FORBIDDEN
        detail = {
            # CloudTrail user guide, "CloudTrail record contents for management, data, and network
            # activity events".
            "eventVersion": "1.11",
            "userIdentity": _identity(caller),
            "eventTime": f"{clock.now():%Y-%m-%dT%H:%M:%SZ}",
            "eventSource": f"{request.service}.amazonaws.com",
            "eventName": name,
            "awsRegion": REGION,
            "sourceIPAddress": request.source_ip,
            "userAgent": request.headers.get("user-agent", ""),
            # Each service has its own error codes; here one code stands for all of them, except for
            # denials.
            **({"errorCode": "AccessDenied" if denied else "ClientError"} if failed else {}),
            "requestParameters": parameters,
            "responseElements": None,
            "requestID": str(uuid.uuid4()),
            "eventID": str(uuid.uuid4()),
            "readOnly": False,
            "eventType": "AwsApiCall",
            "managementEvent": True,
            "recipientAccountId": DEFAULT_ACCOUNT_ID,
            "eventCategory": "Management",
        }
        self._bus.put(
            source=f"aws.{request.service}",
            detail_type="AWS API Call via CloudTrail",
            detail=detail,
        )


def _a_trail_logs() -> bool:
    trails = cloudtrail_backends[DEFAULT_ACCOUNT_ID][REGION].describe_trails(
        include_shadow_trails=True
    )
    return any(trail.status.is_logging and _logs_changes(trail) for trail in trails)


def _logs_changes(trail: Trail) -> bool:
    """Whether the trail logs management events that change something, as it does by default."""
    if trail.event_selectors:
        return any(
            selector.get("IncludeManagementEvents", True)
            and selector.get("ReadWriteType", "All") != "ReadOnly"
            for selector in trail.event_selectors
        )
    fields = [
        {field["Field"]: field.get("Equals") for field in selector["FieldSelectors"]}
        for selector in trail.advanced_event_selectors
    ]
    return not fields or any(
        field.get("eventCategory") == ["Management"] and field.get("readOnly") != ["true"]
        for field in fields
    )


def _bucket_call(request: HttpRequest) -> tuple[str, dict[str, Any]] | None:
    """The name and the parameters of a request that changes a bucket."""
    verb = {"PUT": "Put", "DELETE": "Delete"}.get(request.method)
    bucket, _, key = request.path.removeprefix("/").partition("/")
    [subresource, *others] = [name for name in request.query if name != "x-id"] or [""]
    if verb is None or not bucket or key or others or subresource not in _OF_BUCKETS:
        return None
    parameters: dict[str, Any] = {"bucketName": bucket, "Host": request.headers.get("host", "")}
    if subresource:
        parameters[subresource] = ""
    if (verb, subresource) == ("Put", "policy"):
        parameters["bucketPolicy"] = _policy(request.body)
    if (verb, subresource) == ("Put", ""):
        verb = "Create"
    return verb + _OF_BUCKETS[subresource], parameters


def _policy(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def _api_call(request: HttpRequest) -> tuple[str, dict[str, Any]] | None:
    """The name and the parameters of a request that changes something in another service."""
    service = _SERVICES.get(request.service)
    call = read_api_call(request, service=service) if service else None
    if call is None:
        return None
    name, parameters = call
    if _READS.fullmatch(name) or name in _DATA_EVENTS:
        return None
    version = _VERSIONS.get(name, "") if service == "lambda" else ""
    return name + version, _in_camel_case(parameters)


def _in_camel_case(value: Any) -> Any:
    """CloudTrail's spelling of parameters; it leaves out the code of functions."""
    if isinstance(value, dict):
        return {
            name[:1].lower() + name[1:]: _in_camel_case(inner)
            for name, inner in value.items()
            if not isinstance(inner, bytes)
        }
    return [_in_camel_case(item) for item in value] if isinstance(value, list) else value


def _identity(caller: Caller) -> dict[str, Any]:
    """CloudTrail user guide, "CloudTrail userIdentity element"."""
    account = caller.principal.split(":")[4]
    identity = {
        "principalId": caller.user_id,
        "arn": caller.arn,
        "accountId": account,
        "accessKeyId": caller.credentials.access_key_id,
    }
    name = caller.principal.rpartition("/")[2]
    if ":role/" not in caller.principal:
        return {"type": "IAMUser", **identity, "userName": name}
    issuer = {
        "type": "Role",
        "principalId": caller.user_id.partition(":")[0],
        "arn": caller.principal,
        "accountId": account,
        "userName": name,
    }
    return {"type": "AssumedRole", **identity, "sessionContext": {"sessionIssuer": issuer}}
