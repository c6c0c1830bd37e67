"""Requests to the local S3, and the responses to them."""

from __future__ import annotations

from functools import lru_cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moto.core.responses import ActionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from localcloud.s3.conditions import refuse_foreign_owner
from localcloud.s3.configurations import (
    BucketPolicyRequests,
    NotificationRequests,
    RequestPaymentRequests,
)
from localcloud.s3.events import after_the_request
from localcloud.s3.listings import MultipartListing
from localcloud.s3.multipart import MultipartRequests
from localcloud.s3.objects import ObjectRequests
from localcloud.s3.retention import RetentionRequests
from localcloud.s3.retrievals import RetrievalRequests
from localcloud.s3.versions import key_lock

if TYPE_CHECKING:
    from moto.core.common_types import TYPE_RESPONSE

# For errors that moto's model lacks, and to which it would respond with 400.
STATUSES = {
    "InvalidBucketState": 409,
    "InvalidObjectState": 403,
    "MethodNotAllowed": 405,
    "NoSuchObjectLockConfiguration": 404,
    "NotImplemented": 501,
    "RestoreAlreadyInProgress": 409,
}

LONGEST_KEY_BYTES = 1024

READING = ("GET", "HEAD", "OPTIONS")


class StrictS3(
    ObjectRequests,
    MultipartRequests,
    MultipartListing,
    RetentionRequests,
    RetrievalRequests,
    BucketPolicyRequests,
    NotificationRequests,
    RequestPaymentRequests,
    S3Response,
):
    """One request to S3. The classes it inherits from implement the operations."""

    def _key_response(self, request: Any, full_url: str) -> TYPE_RESPONSE:
        """Let requests write to a key in turn: none comes between another's check and its write."""
        try:
            _refuse_long_key(self.parse_key_name())
            refuse_foreign_owner(self, self.bucket_name, "x-amz-expected-bucket-owner")
            if self.method in READING:
                return super()._key_response(request, full_url)
            with after_the_request(), key_lock(self.bucket_name, self.parse_key_name()):
                return super()._key_response(request, full_url)
        except S3ClientError as error:
            return self._refusal(error)

    def _bucket_response(self, request: Any, full_url: str) -> str | TYPE_RESPONSE:
        try:
            if self.bucket_name:
                refuse_foreign_owner(self, self.bucket_name, "x-amz-expected-bucket-owner")
            with after_the_request():
                return super()._bucket_response(request, full_url)
        except S3ClientError as error:
            return self._refusal(error)

    def _refusal(self, error: S3ClientError) -> TYPE_RESPONSE:
        status, headers, body = self.serialized(ActionResult(error))
        headers.update(getattr(error, "headers", {}))
        # A response to HEAD has no body, not even in process: its error's code is the bare status.
        return STATUSES.get(error.code, status), headers, b"" if self.method == "HEAD" else body

    @staticmethod
    def subdomain_based_buckets(request: Any) -> bool:
        """Whether the host names the bucket; moto tries its regexes six times per request."""
        return _names_bucket(request.headers.get("host") or urlsplit(request.url).netloc)


def _refuse_long_key(key_name: str) -> None:
    if len(key_name.encode()) > LONGEST_KEY_BYTES:
        raise S3ClientError("KeyTooLongError", "Your key is too long")


@lru_cache
def _names_bucket(host: str) -> bool:
    return S3Response.subdomain_based_buckets(SimpleNamespace(headers={"host": host}))
