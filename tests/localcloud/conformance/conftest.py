"""The behaviour of S3 that this project relies on, for the local cloud or a real endpoint.

    pytest tests/localcloud/conformance --endpoint https://s3.us-east-1.amazonaws.com

takes its credentials from CONFORMANCE_ACCESS_KEY_ID and CONFORMANCE_SECRET_ACCESS_KEY, and creates
and removes its own buckets.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.config import Config

from localcloud.s3.backend import corrected
from localcloud.server import HOST, ServicesOfMoto, listening, serving
from tests.localcloud.conformance.bucket import WRITERS, Store

ENDPOINT = "--endpoint"
DOUBLE_PART_BYTES = 1024
REAL_PART_BYTES = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def events() -> list[tuple[str, dict[str, Any]]]:
    return []


@pytest.fixture(scope="module")
def double(request: pytest.FixtureRequest, events: list[Any]) -> Iterator[str | None]:
    """The endpoint of the local cloud's S3; None if another endpoint is tested."""
    if request.config.getoption(ENDPOINT, default=None):
        yield None
        return
    deliver = lambda function, event: events.append((function, event))  # noqa: E731
    smallest = patch("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", DOUBLE_PART_BYTES)
    with (
        smallest,
        corrected(deliver=deliver),
        listening(0) as listener,
        serving(listener, ServicesOfMoto()),
    ):
        yield f"http://{HOST}:{listener.getsockname()[1]}"


@pytest.fixture(scope="module")
def s3(request: pytest.FixtureRequest, double: str | None) -> Any:
    config = Config(
        retries={"total_max_attempts": 1},
        max_pool_connections=WRITERS,
        s3={"addressing_style": "path"},
    )
    is_real = double is None
    return boto3.client(
        "s3",
        endpoint_url=request.config.getoption(ENDPOINT) if is_real else double,
        aws_access_key_id=os.environ["CONFORMANCE_ACCESS_KEY_ID"] if is_real else "test",
        aws_secret_access_key=os.environ["CONFORMANCE_SECRET_ACCESS_KEY"] if is_real else "test",
        config=config,
    )


@pytest.fixture
def store(s3: Any, double: str | None) -> Iterator[Store]:
    store = Store(
        s3,
        f"conformance-{uuid.uuid4()}",
        part_bytes=REAL_PART_BYTES if double is None else DOUBLE_PART_BYTES,
    )
    region = s3.meta.region_name
    location = {} if region == "us-east-1" else {"LocationConstraint": region}
    store.create_bucket(**({"CreateBucketConfiguration": location} if location else {}))
    yield store
    for upload in store.list_multipart_uploads().get("Uploads", []):
        store.abort_multipart_upload(Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=store.bucket):
        for version in page.get("Versions", []) + page.get("DeleteMarkers", []):
            store.delete_object(Key=version["Key"], VersionId=version["VersionId"])
    store.delete_bucket()


@pytest.fixture
def versioned(store: Store) -> Store:
    store.put_bucket_versioning(VersioningConfiguration={"Status": "Enabled"})
    return store


@pytest.fixture
def double_only(double: str | None) -> None:
    if double is None:
        pytest.skip("looks inside the local cloud, or changes its limits")
