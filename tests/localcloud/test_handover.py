"""A copy that takes longer than one run of the deployed app goes on in a next run of it."""

import json
from collections import Counter

import pytest

from chalicelib.part_plan import MIB
from localcloud.cloud import running

UPLOAD = "backup.tar.gz.gpg"
FUNCTION = "immutable-backups-dev-promote"
# What a run keeps for its end: a run that has no more has no time for a single part.
TOO_SHORT, LONG_ENOUGH = 60, 900


@pytest.fixture
def cloud(project, packages):
    """Runs come one after the other; the first is too short, and the next ones are not."""

    def set_timeout(seconds):
        functions = cloud.session(cloud.administrator).client("lambda")
        functions.update_function_configuration(FunctionName=FUNCTION, Timeout=seconds)

    with running(
        retry_delays=(0, 0), concurrency=1, on_result=lambda _: set_timeout(LONG_ENOUGH)
    ) as cloud:
        cloud.prepare(project_dir=project)
        cloud.deploy(project_dir=project, packages=packages)
        set_timeout(TOO_SHORT)
        yield cloud


def test_the_deployed_app_hands_a_copy_over_to_its_next_run(cloud):
    body = bytes(range(256)) * 4096 * 40  # 40 MiB: too much for a copy by one request
    assert len(body) == 40 * MIB
    server = cloud.session(cloud.server_credentials).client("s3")
    server.put_object(Bucket="backups1", Key=UPLOAD, Body=body)
    cloud.functions.wait_until_quiet(timeout=120)

    first, second = cloud.functions.results
    assert (first.error, second.error) == (None, None)
    [continued], [promoted] = first.payload["outcomes"], second.payload["outcomes"]
    assert (continued["outcome"], promoted["outcome"]) == ("continued", "promoted")
    assert second.event == first.event | {"handover": continued["handover"]}
    assert Counter(cloud.faults.sent) == {
        "HeadObject": 5,
        "CreateMultipartUpload": 1,
        "ListMultipartUploads": 2,
        "ListParts": 1,
        "UploadPartCopy": 2,
        "CompleteMultipartUpload": 1,
        "DeleteObject": 1,
    }

    administrator = cloud.session(cloud.administrator).client("s3")
    stored = administrator.get_object(Bucket="backups2", Key=promoted["slot"])
    assert stored["Body"].read() == body
    assert "Uploads" not in administrator.list_multipart_uploads(Bucket="backups2")
    assert "Contents" not in administrator.list_objects_v2(Bucket="backups1")
    told = [json.loads(line) for line in cloud.functions.logs]
    assert [line["outcome"] for line in told if "outcome" in line] == ["continued", "promoted"]
