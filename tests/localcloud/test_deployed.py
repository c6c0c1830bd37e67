"""The app in the local cloud, deployed by the real `chalice deploy`, and its permissions."""

import io
import json
import zipfile
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError
from moto.awslambda.models import lambda_backends

from admin.config.reading import SCHEDULES
from tests.support.project import POLICY

UPLOAD = "backup.tar.gz.gpg"


def test_the_deployed_app_promotes_a_servers_upload(deployed):
    server = deployed.session(deployed.server_credentials).client("s3")
    server.put_object(Bucket="backups1", Key=UPLOAD, Body=b"a night's work")
    deployed.functions.wait_until_quiet(timeout=120)

    administrator = deployed.session(deployed.administrator).client("s3")
    slot = POLICY.slot_of(UPLOAD, datetime.now(UTC)).name
    stored = administrator.get_object(Bucket="backups2", Key=slot)
    assert stored["Body"].read() == b"a night's work"
    assert stored["Metadata"]["source-key"] == UPLOAD
    assert "Contents" not in administrator.list_objects_v2(Bucket="backups1")

    # On the hour, the audit runs too.
    [result] = [each for each in deployed.functions.results if each.function.endswith("-promote")]
    assert result.error is None
    [outcome] = result.payload["outcomes"]
    assert (outcome["outcome"], outcome["upload"], outcome["slot"]) == ("promoted", UPLOAD, slot)
    records = [json.loads(line) for line in deployed.functions.logs]
    [record] = [record for record in records if record.get("outcome")]
    assert (record["outcome"], record["slot"]) == ("promoted", slot)


def test_under_the_deployed_policies_server_and_function_cannot_harm_stored_backups(deployed):
    promoter = deployed.session(deployed.role_credentials("promote")).client("s3")
    promoter.put_object(Bucket="backups2", Key="stored", Body=b"precious", IfNoneMatch="*")
    stored = {"Bucket": "backups2", "Key": "stored"}

    server = deployed.session(deployed.server_credentials).client("s3")
    assert refused(server.get_object, **stored) == "AccessDenied"
    assert refused(server.put_object, **stored) == "AccessDenied"
    assert refused(server.delete_object, **stored) == "AccessDenied"
    assert refused(server.list_objects_v2, Bucket="backups2") == "AccessDenied"

    assert promoter.get_object(**stored)["Body"].read() == b"precious"
    assert refused(promoter.put_object, **stored) == "AccessDenied"
    assert refused(promoter.put_object, **stored, IfNoneMatch="*") == "PreconditionFailed"
    assert refused(promoter.delete_object, **stored) == "AccessDenied"

    administrator = deployed.session(deployed.administrator).client("s3")
    assert refused(administrator.put_object, **stored) == "AccessDenied"
    assert refused(administrator.put_object, **stored, IfNoneMatch="*") == "AccessDenied"
    assert refused(administrator.delete_object, **stored) == "AccessDenied"
    [version] = administrator.list_object_versions(Bucket="backups2", Prefix="stored")["Versions"]
    pinned = stored | {"VersionId": version["VersionId"], "BypassGovernanceRetention": True}
    assert refused(administrator.delete_object, **pinned) == "AccessDenied"


def test_chalice_makes_three_functions_and_no_rest_api(deployed):
    administrator = deployed.session(deployed.administrator)
    functions = administrator.client("lambda").list_functions()["Functions"]
    assert sorted(function["FunctionName"] for function in functions) == [
        "immutable-backups-dev-audit",
        "immutable-backups-dev-promote",
        "immutable-backups-dev-sweep",
    ]
    for function in functions:
        assert function["Environment"]["Variables"]["AWS_ENDPOINT_URL"] == deployed.endpoint
    assert administrator.client("apigateway").get_rest_apis()["items"] == []


@pytest.mark.parametrize(("function", "schedule"), SCHEDULES.items())
def test_chalice_makes_a_schedule_for_each_function_that_has_one(deployed, function, schedule):
    events = deployed.session(deployed.administrator).client("events")
    name = f"immutable-backups-dev-{function}"
    rule = events.describe_rule(Name=f"{name}-event")
    assert (rule["ScheduleExpression"], rule["State"]) == (schedule, "ENABLED")
    [target] = events.list_targets_by_rule(Rule=rule["Name"])["Targets"]
    assert target["Arn"].endswith(f":function:{name}")
    scheduled = [rule for rule in events.list_rules()["Rules"] if "ScheduleExpression" in rule]
    assert len(scheduled) == len(SCHEDULES)


def test_the_bundle_contains_only_the_app_and_its_requirements(deployed):
    functions = lambda_backends["123456789012"]["us-east-1"]
    code = functions.get_function("immutable-backups-dev-promote").code_bytes
    names = zipfile.ZipFile(io.BytesIO(code)).namelist()
    assert {"app.py", "chalicelib/policy.toml"} <= set(names)
    rooms = {name.partition("/")[0] for name in names}
    assert {room for room in rooms if not room.endswith((".dist-info", ".data"))} == {
        "app.py",
        "chalice",
        "chalicelib",
        "aws_lambda_powertools",
        "botocore",
        "tzdata",
        # botocore and Powertools import these.
        "dateutil",
        "jmespath",
        "six.py",
        "typing_extensions.py",
        "urllib3",
    }


def refused(call, **arguments):
    """The code of S3's error."""
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]
