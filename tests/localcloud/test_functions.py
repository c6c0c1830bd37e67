"""Functions run as in Lambda: with only their bundle, under their role and within their timeout."""

import json
import os
import sys
import sysconfig
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.clock import clock
from localcloud.cloud import running
from localcloud.functions.runner import FunctionError
from tests.localcloud.small_functions import PID, bundle, create, zipped


def has_ended(pid):
    """Whether the process ends within five seconds: the system needs a moment after the kill."""
    status = Path(f"/proc/{pid}/status")
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if status.exists() and "State:\tZ" in status.read_text():
            return True
        time.sleep(0.01)
    return False


def test_only_the_bundle_is_on_the_path(cloud):
    create(
        cloud,
        """
import importlib.util, os, sys
def handler(event, context):
    return {
        "path": sys.path,
        "bundle": os.environ["LAMBDA_TASK_ROOT"],
        "importable": [name for name in event if importlib.util.find_spec(name)],
    }
""",
    )
    report = cloud.functions.invoke("function", ["moto", "boto3", "localcloud", "pip", "json"])
    assert report["importable"] == ["json"]
    assert report["path"][0] == report["bundle"]
    library = Path(sysconfig.get_path("stdlib"))
    assert all(
        library.parent in Path(entry).parents and "site-packages" not in entry
        for entry in report["path"][1:]
    )


def test_the_environment_has_nothing_from_this_shell(cloud, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THIS_SHELL", "x")
    create(
        cloud,
        "import os\ndef handler(event, context): return dict(os.environ)",
        environment={"COLOUR": "blue", "AWS_REGION": "mars"},
    )
    environment = cloud.functions.invoke("function", {})
    root = Path(environment.pop("LAMBDA_TASK_ROOT"))
    assert (root / "app.py").exists()
    keys = {name: environment.pop(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SESSION_TOKEN")}
    assert keys["ACCESS_KEY_ID"].startswith("ASIA"), "the role's, not a user's"
    assert keys["SESSION_TOKEN"]
    assert environment.pop("AWS_SECRET_ACCESS_KEY")
    # macOS adds a variable to every process.
    environment.pop("__CF_USER_TEXT_ENCODING", None)
    assert environment == {
        "COLOUR": "blue",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "function",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }


def test_the_context_is_lambdas(cloud):
    arn = create(
        cloud,
        """
def handler(event, context):
    return [
        context.function_name, context.invoked_function_arn, context.memory_limit_in_mb,
        context.get_remaining_time_in_millis(), context.aws_request_id,
    ]
""",
        timeout=60,
    )
    name, invoked, memory, left, first_id = cloud.functions.invoke("function", {})
    assert (name, invoked, memory) == ("function", arn, "256")
    assert 0 < left <= 60_000
    assert cloud.functions.invoke("function", {})[-1] != first_id


def test_printed_output_is_logged_and_never_part_of_the_response(cloud):
    create(
        cloud,
        """
import os, sys
def handler(event, context):
    print('{"result": "forged"}')
    print("to stderr", file=sys.stderr)
    os.write(1, b"from below\\n")
    return "answer"
""",
    )
    assert cloud.functions.invoke("function", {}) == "answer"
    assert cloud.functions.logs == ['{"result": "forged"}', "to stderr", "from below"]


def test_the_whole_log_is_there_when_the_response_is(cloud):
    create(cloud, "def handler(event, context): print('x\\n' * event, end='')")
    cloud.functions.invoke("function", 100_000)
    assert len(cloud.functions.logs) == 100_000


def test_a_container_is_reused_while_it_is_warm(cloud):
    create(cloud, PID)
    first = cloud.functions.invoke("function", {})
    clock.advance(timedelta(hours=11))
    assert cloud.functions.invoke("function", {}) == first


def test_a_container_is_not_reused_when_its_credentials_could_expire(cloud):
    create(cloud, PID)
    old = cloud.functions.invoke("function", {})
    clock.advance(timedelta(hours=11, minutes=46))
    assert cloud.functions.invoke("function", {}) != old
    assert has_ended(old)


@pytest.mark.parametrize("change", ["code", "environment"])
def test_new_code_or_configuration_replaces_the_containers(cloud, change):
    create(cloud, PID)
    old = cloud.functions.invoke("function", {})
    client = cloud.session(cloud.administrator).client("lambda")
    if change == "code":
        client.update_function_code(FunctionName="function", ZipFile=bundle(PID + "# new"))
    else:
        client.update_function_configuration(
            FunctionName="function", Environment={"Variables": {"NEW": "1"}}
        )
    assert cloud.functions.invoke("function", {}) != old
    assert has_ended(old)


def test_a_function_sees_the_time_of_the_clouds_clock(patient):
    create(
        patient,
        """
import time
from datetime import UTC, datetime
def handler(event, context):
    return {
        "now": datetime.now(UTC).isoformat(),
        "naive": datetime.now().isoformat(),
        "seconds": time.time(),
        "left": context.get_remaining_time_in_millis(),
        "a datetime": isinstance(datetime.min, datetime),
    }
""",
    )
    clock.stand_at(datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC))
    report = patient.functions.invoke("function", {})
    assert 0 < report.pop("left") <= 60_000
    assert report == {
        "now": "2031-02-03T04:05:06+00:00",
        "naive": "2031-02-03T04:05:06",
        "seconds": datetime(2031, 2, 3, 4, 5, 6, tzinfo=UTC).timestamp(),
        "a datetime": True,
    }
    clock.advance(timedelta(minutes=1))
    assert patient.functions.invoke("function", {})["now"] == "2031-02-03T04:06:06+00:00"

    clock.reset()
    clock.advance(timedelta(days=1000))
    before = clock.now()
    now = datetime.fromisoformat(patient.functions.invoke("function", {})["now"])
    assert before < now < clock.now()


def test_a_timeout_kills_the_function_and_its_child_processes(cloud, tmp_path):
    create(
        cloud,
        """
import subprocess, time
def handler(event, context):
    child = subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print(child.pid)
    time.sleep(60)
""",
        timeout=1,
    )
    with pytest.raises(FunctionError) as failure:
        cloud.functions.invoke("function", {})
    assert failure.value.args[0]["errorType"] == "Sandbox.Timedout"
    assert failure.value.args[0]["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert has_ended(int(cloud.functions.logs[0]))


@pytest.mark.parametrize(
    ("source", "status"),
    [
        pytest.param("import os\ndef handler(event, context): os._exit(3)", "3", id="exits"),
        pytest.param("import nowhere", "1", id="cannot be imported"),
        pytest.param("handle = None", "1", id="has no such handler"),
    ],
)
def test_a_function_that_exits_its_process_has_failed(cloud, source, status):
    create(cloud, source)
    for _ in range(2):
        with pytest.raises(FunctionError, match=f"Runtime exited with status {status}"):
            cloud.functions.invoke("function", {})


def test_an_import_error_of_the_bundle_is_logged(cloud):
    create(cloud, "import nowhere")
    with pytest.raises(FunctionError):
        cloud.functions.invoke("function", {})
    assert "ModuleNotFoundError: No module named 'nowhere'" in cloud.functions.logs


def test_functions_are_killed_when_the_cloud_ends(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with running() as cloud:
        create(cloud, PID, name="warm")
        warm = cloud.functions.invoke("warm", {})
        busy = create(
            cloud,
            """
import os, time
def handler(event, context):
    with open(event, "w") as fifo:
        fifo.write(f"{os.getpid()} {os.getcwd()}")
    time.sleep(60)
""",
        )
        cloud.functions.deliver(busy, str(tmp_path / "fifo"))
        pid, bundle_dir = (tmp_path / "fifo").read_text().split()
    assert has_ended(warm)
    assert has_ended(int(pid))
    assert not Path(bundle_dir).exists()


def test_the_lambda_api_invokes(cloud):
    create(cloud, "def handler(event, context): return {'got': event['n'] + 1}")
    client = cloud.session(cloud.administrator).client("lambda")
    answer = client.invoke(FunctionName="function", Payload=b'{"n": 1}')
    assert (answer["StatusCode"], json.load(answer["Payload"])) == (200, {"got": 2})
    assert "FunctionError" not in answer

    failed = client.invoke(FunctionName="function", Payload=b"{}")
    assert failed["FunctionError"] == "Unhandled"
    assert json.load(failed["Payload"])["errorType"] == "KeyError"


def test_the_lambda_api_supports_a_dry_run(cloud):
    create(cloud, "def handler(event, context): return event")
    client = cloud.session(cloud.administrator).client("lambda")
    answer = client.invoke(FunctionName="function", InvocationType="DryRun", Payload=b"{}")
    assert answer["StatusCode"] == 204
    assert cloud.functions.results == []


def test_observers_get_every_log_line_and_attempt():
    lines, results = [], []
    with running(retry_delays=(0,), on_log=lines.append, on_result=results.append) as cloud:
        arn = create(cloud, "def handler(event, context): print(event); raise ValueError")
        cloud.functions.deliver(arn, "hello")
        cloud.functions.wait_until_quiet(timeout=60)
    assert lines.count("hello") == 2
    assert [result.attempt for result in results] == [1, 2]


def test_the_recursion_setting_of_a_function_can_be_changed(cloud):
    create(cloud, PID)
    client = cloud.session(cloud.administrator).client("lambda")
    named = {"FunctionName": "function"}
    assert client.get_function_recursion_config(**named)["RecursiveLoop"] == "Terminate"
    for setting in ("Allow", "Terminate"):
        client.put_function_recursion_config(**named, RecursiveLoop=setting)
        assert client.get_function_recursion_config(**named)["RecursiveLoop"] == setting
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function_recursion_config(FunctionName="nowhere")


def test_the_account_settings_show_the_concurrency():
    with running(concurrency=1000) as cloud:
        create(cloud, PID)
        client = cloud.session(cloud.administrator).client("lambda")
        client.put_function_concurrency(FunctionName="function", ReservedConcurrentExecutions=10)
        assert client.get_account_settings()["AccountLimit"] == {
            "ConcurrentExecutions": 1000,
            "UnreservedConcurrentExecutions": 990,
        }


def test_a_function_imports_modules_from_its_layers(cloud):
    """The bundle comes first; a later layer overwrites an earlier one."""
    client = cloud.session(cloud.administrator).client("lambda")
    source = """
import app, first, second, shared
def handler(event, context):
    return [first.NAME, second.NAME, shared.NAME]
"""
    create(cloud, source)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [
        {"python/first.py": "NAME = 1", "python/shared.py": "NAME = 1", "python/app.py": "1 / 0"},
        {f"python/lib/{version}/site-packages/second.py": "NAME = 2", "python/shared.py": "NAME=2"},
    ]
    arns = [
        client.publish_layer_version(LayerName=f"layer{n}", Content={"ZipFile": zipped(files)})
        for n, files in enumerate(layers)
    ]
    with pytest.raises(FunctionError, match="Runtime exited"):
        cloud.functions.invoke("function", {})
    client.update_function_configuration(
        FunctionName="function", Layers=[layer["LayerVersionArn"] for layer in arns]
    )
    assert cloud.functions.invoke("function", {}) == [1, 2, 2]
    client.update_function_configuration(FunctionName="function", Layers=[])
    with pytest.raises(FunctionError, match="Runtime exited"):
        cloud.functions.invoke("function", {})
