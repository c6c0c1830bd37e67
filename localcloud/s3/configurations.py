"""Configurations of a bucket, where moto accepts or shows them differently from S3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast
from xml.etree import ElementTree as ET

from moto.s3.exceptions import InvalidBucketState, S3ClientError
from moto.s3.models import NotificationConfiguration, S3Backend
from moto.s3.responses import S3Response

from localcloud.s3.answers import answered
from localcloud.s3.bucket_policies import (
    current_policy,
    is_public,
    read_policy,
    remember_principals,
)
from localcloud.s3.events import refuse_closed_destination
from localcloud.s3.notification_rules import refuse_overlap

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE


class BucketPolicyRequests(S3Response):
    """GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy and GetBucketPolicyStatus."""

    def _bucket_response(self, request: Any, full_url: str) -> str | TYPE_RESPONSE:
        """Let only the bucket's own account use its policy, whatever rights others have.

        Source: S3 API reference, GetBucketPolicy.
        """
        if "policy" in self._get_querystring(request, full_url):
            owner = self.backend.get_bucket(self.bucket_name).account_id
            if owner != self.current_account:
                raise S3ClientError(
                    "MethodNotAllowed",
                    "The specified method is not allowed against this resource.",
                )
        return super()._bucket_response(request, full_url)

    def get_bucket_policy(self) -> TYPE_RESPONSE:
        """S3 keeps the meaning of a policy, not its spelling."""
        status, headers, _ = cast("TYPE_RESPONSE", super().get_bucket_policy())
        policy = current_policy(self.backend.get_bucket(self.bucket_name))
        return status, headers, json.dumps(_normalized(policy))

    def get_bucket_policy_status(self) -> TYPE_RESPONSE:
        super().get_bucket_policy_status()  # which raises an error if there is no policy
        policy = current_policy(self.backend.get_bucket(self.bucket_name)) or {"Statement": []}
        status = {"PolicyStatus": {"IsPublic": is_public(policy)}}
        return answered(self, "GetBucketPolicyStatus", status)


class NotificationRequests(S3Response):
    """GetBucketNotificationConfiguration."""

    def get_bucket_notification(self) -> TYPE_RESPONSE:
        """Also show that EventBridge is notified."""
        status, headers, body = super().get_bucket_notification()
        configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
        if configuration is not None and configuration.event_bridge is not None:
            end = "</NotificationConfiguration>"
            body = str(body).replace(end, f"<EventBridgeConfiguration/>{end}")
        return status, headers, body


class RequestPaymentRequests(S3Response):
    """GetBucketRequestPayment and PutBucketRequestPayment, which moto lacks. Nobody is charged."""

    def _bucket_response_get(
        self, bucket_name: str, querystring: dict[str, Any]
    ) -> str | TYPE_RESPONSE:
        if "requestPayment" not in querystring:
            return super()._bucket_response_get(bucket_name, querystring)
        payer = vars(self.backend.get_bucket(bucket_name)).get("payer", "BucketOwner")
        return answered(self, "GetBucketRequestPayment", {"Payer": payer})

    def _bucket_response_put(
        self, request: Any, bucket_name: str, querystring: dict[str, Any]
    ) -> str | TYPE_RESPONSE:
        if "requestPayment" not in querystring:
            return super()._bucket_response_put(request, bucket_name, querystring)
        payer = ET.fromstring(self.body).findtext("{*}Payer")
        vars(self.backend.get_bucket(bucket_name))["payer"] = payer
        return 200, {}, ""


def _normalized(value: Any) -> Any:
    """The policy with sorted lists, and a string for a list of one; statements stay a list."""
    if isinstance(value, dict):
        return {name: _normalized(inner) for name, inner in value.items()}
    if not isinstance(value, list):
        return value
    if any(isinstance(item, dict) for item in value):
        return [_normalized(item) for item in value]
    return value[0] if len(value) == 1 else sorted(value, key=str)


class StrictConfigurations(S3Backend):
    """Policy, notifications, lifecycle, versioning and Object Lock of a bucket."""

    def put_bucket_policy(self, bucket_name: str, policy: bytes) -> None:
        bucket = self.get_bucket(bucket_name)
        read_policy(bucket, policy)
        super().put_bucket_policy(bucket_name, policy)
        remember_principals(bucket)

    def put_bucket_notification_configuration(
        self, bucket_name: str, notification_config: dict[str, Any]
    ) -> None:
        """Refuse two notifications for one event, and targets that S3 cannot notify."""
        targets = NotificationConfiguration(
            topic=notification_config.get("TopicConfiguration"),
            queue=notification_config.get("QueueConfiguration"),
            cloud_function=notification_config.get("CloudFunctionConfiguration"),
        )
        refuse_overlap([*targets.topic, *targets.queue, *targets.cloud_function])
        bucket = self.get_bucket(bucket_name)
        for notification in [*targets.topic, *targets.cloud_function]:
            refuse_closed_destination(notification.arn, bucket)
        super().put_bucket_notification_configuration(bucket_name, notification_config)

    def put_bucket_lifecycle(self, bucket_name: str, rules: Any) -> None:
        """Refuse to mix older rules, which have a Prefix without a Filter, with newer ones."""
        listed = rules if isinstance(rules, list) else [rules]
        if any("Prefix" in rule for rule in listed) and any("Filter" in rule for rule in listed):
            raise S3ClientError(
                "InvalidRequest",
                "Base level prefix cannot be used in Lifecycle V2, prefixes are only supported in "
                "the Filter.",
            )
        super().put_bucket_lifecycle(bucket_name, rules)

    def put_bucket_versioning(self, bucket_name: str, status: str) -> None:
        """Refuse to suspend versioning under Object Lock: locked objects could be overwritten."""
        if status != "Enabled" and self.get_bucket(bucket_name).object_lock_enabled:
            raise InvalidBucketState(
                "An Object Lock configuration is present on this bucket, so the versioning state "
                "cannot be changed."
            )
        super().put_bucket_versioning(bucket_name, status)

    def put_object_lock_configuration(
        self,
        bucket_name: str,
        lock_enabled: bool,  # noqa: FBT001 - moto's signature
        mode: str | None = None,
        days: int | None = None,
        years: int | None = None,
    ) -> None:
        """Enable Object Lock, even for a bucket that has objects: it only locks new ones."""
        bucket = self.get_bucket(bucket_name)
        if not bucket.is_versioned:
            raise InvalidBucketState("Versioning must be 'Enabled' to apply Object Lock")
        bucket.object_lock_enabled = bucket.object_lock_enabled or lock_enabled
        bucket.default_lock_mode = mode
        bucket.default_lock_days = days
        bucket.default_lock_years = years
