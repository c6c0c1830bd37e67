"""What the resource policies of functions allow AWS's services to do."""

from collections.abc import Callable
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException

from localcloud.functions.lambda_functions import find_function
from localcloud.iam import topic_policies
from localcloud.iam.service_principals import ServiceCall, allows
from localcloud.s3.events import Deliver

S3 = "s3.amazonaws.com"


def denial(function_arn: str, *, service: str, source: str, account: str) -> str | None:
    """Why the service cannot invoke the function for the source, an ARN; None if it can."""
    try:
        policy = find_function(function_arn).policy
    except UnknownFunctionException as error:
        return str(error.message)
    call = ServiceCall(
        service=service,
        action="lambda:InvokeFunction",
        context={"aws:SourceArn": source, "aws:SourceAccount": account},
    )
    statements = [s for s in policy.statements if s["Resource"] == function_arn]
    if allows(statements, call):
        return None
    return f"{function_arn} does not allow {service} to invoke it for {source}"


def denial_to_s3(target_arn: str, bucket_arn: str, account: str) -> str | None:
    """Why S3 cannot notify the function or topic for the bucket; None if it can."""
    of_target = topic_policies.denial if ":sns:" in target_arn else denial
    return of_target(target_arn, service=S3, source=bucket_arn, account=account)


def delivering_if_allowed(deliver: Deliver, *, tell: Callable[[str], None]) -> Deliver:
    """Deliver S3's events only to functions that allow it: the permission can be removed later.

    `tell` gets a line for each event that is not delivered.
    """

    def deliver_if_allowed(function_arn: str, event: Any) -> None:
        bucket = event["Records"][0]["s3"]["bucket"]
        problem = denial_to_s3(function_arn, bucket["arn"], bucket["ownerIdentity"]["principalId"])
        if problem:
            tell(f"{bucket['name']}: event not delivered: {problem}")
        else:
            deliver(function_arn, event)

    return deliver_if_allowed
