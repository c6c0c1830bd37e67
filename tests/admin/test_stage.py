"""What is read from a stage in config.json."""

import json
from pathlib import Path
from typing import Any

import pytest

from admin.config.reading import APP_NAME, CONFIG, FUNCTIONS
from admin.setup.files import changes, stage_files
from admin.stage import StageError, read_stage
from chalicelib.lock import Lock
from tests.support.project import POLICY

# The relevant part of what the shipped file says for all stages.
EVERYWHERE = {
    "app_name": APP_NAME,
    "autogen_policy": False,
    "lambda_timeout": 900,
    "lambda_memory_size": 1024,
}
BUCKETS = {"INCOMING_BUCKET": "in1", "VAULT_BUCKET": "va1"}
POLICIES = {function: {"iam_policy_file": f"policy-prod-{function}.json"} for function in FUNCTIONS}


def write(project: Path, stage: dict[str, Any], **everywhere: Any) -> Path:
    """A config.json with the stage prod, whose functions name their IAM policy files."""
    stage = {"lambda_functions": POLICIES, **stage}
    (project / CONFIG).parent.mkdir(exist_ok=True)
    (project / CONFIG).write_text(
        json.dumps({**EVERYWHERE, **everywhere, "stages": {"prod": stage}})
    )
    return project


@pytest.mark.parametrize(
    ("everywhere", "stage", "function"),
    [
        pytest.param({}, BUCKETS, {}, id="of the stage"),
        pytest.param(BUCKETS, {}, {}, id="of all stages"),
        pytest.param({}, {}, BUCKETS, id="of each function"),
        pytest.param({**BUCKETS, "VAULT_BUCKET": "no"}, {"VAULT_BUCKET": "va1"}, {}, id="nearer"),
        pytest.param(
            {}, {**BUCKETS, "INCOMING_BUCKET": "no"}, {"INCOMING_BUCKET": "in1"}, id="nearest"
        ),
    ],
)
def test_a_variable_counts_wherever_chalice_reads_it(
    tmp_path: Path, everywhere: dict[str, str], stage: dict[str, str], function: dict[str, str]
) -> None:
    project = write(
        tmp_path,
        {
            "environment_variables": stage,
            "lambda_functions": {
                name: {**policy, "environment_variables": function}
                for name, policy in POLICIES.items()
            },
        },
        environment_variables=everywhere,
    )
    read = read_stage("prod", project=project)
    assert read.environment == BUCKETS
    assert (read.settings.incoming_bucket, read.settings.vault_bucket) == ("in1", "va1")


TOPIC = "arn:aws:sns:us-east-1:123456789012:"


def test_a_topic_that_chalice_reads_elsewhere_is_not_written_again(tmp_path: Path) -> None:
    project = write(tmp_path, {}, environment_variables={**BUCKETS, "ALERT_TOPIC_ARN": TOPIC + "x"})
    stage = read_stage("prod", project=project)
    same, other = {"ALERT_TOPIC_ARN": TOPIC + "x"}, {"ALERT_TOPIC_ARN": TOPIC + "y"}
    assert project / CONFIG not in stage_files(POLICY, stage, variables=same)
    text = stage_files(POLICY, stage, variables=other)[project / CONFIG]
    assert json.loads(text)["stages"]["prod"] == {
        "lambda_functions": POLICIES,
        "environment_variables": {"ALERT_TOPIC_ARN": TOPIC + "y"},
    }


def test_the_url_of_the_heartbeat_is_not_shown_with_what_changes(tmp_path: Path) -> None:
    variables = {**BUCKETS, "HEARTBEAT_URL": "https://hc-ping.com/secret"}
    project = write(tmp_path, {"environment_variables": variables})
    files = stage_files(
        POLICY, read_stage("prod", project=project), variables={"ALERT_TOPIC_ARN": TOPIC + "y"}
    )
    diff = changes(files)[project / CONFIG]
    assert "+" in diff
    assert '"HEARTBEAT_URL": "..."' in diff
    assert "secret" not in diff
    assert "secret" in files[project / CONFIG]


def test_variables_of_a_single_function_are_one_sentence(tmp_path: Path) -> None:
    """Both functions need these variables; a variable of only one is missing in the other."""
    functions = {
        **POLICIES,
        "sweep": {**POLICIES["sweep"], "environment_variables": {"LOG_LEVEL": "x"}},
    }
    project = write(tmp_path, {"environment_variables": BUCKETS, "lambda_functions": functions})
    with pytest.raises(StageError) as refused:
        read_stage("prod", project=project)
    assert str(refused.value) == (
        "stage prod: LOG_LEVEL would differ between promote and sweep; move it to "
        '"environment_variables" of the stage, not of a function'
    )


@pytest.mark.parametrize(
    ("functions", "everywhere", "has"),
    [
        pytest.param({"sweep": {}}, {}, "no IAM policy file", id="missing"),
        pytest.param({"sweep": {"lambda_timeout": 60}}, {}, "no IAM policy file", id="forgotten"),
        pytest.param(
            {"sweep": {"iam_policy_file": "policy-dev-sweep.json"}},
            {},
            "policy-dev-sweep.json",
            id="another stage's",
        ),
        pytest.param(
            {"sweep": POLICIES["promote"]}, {}, "policy-prod-promote.json", id="another function's"
        ),
        pytest.param(
            {"sweep": {}},
            {"iam_policy_file": "policy.json"},
            "policy.json",
            id="one file for all functions",
        ),
    ],
)
def test_a_function_without_its_own_iam_policy_is_refused_with_the_line_to_add(
    tmp_path: Path, functions: dict[str, Any], everywhere: dict[str, str], has: str
) -> None:
    stage = {"environment_variables": BUCKETS, "lambda_functions": {**POLICIES, **functions}}
    with pytest.raises(StageError) as refused:
        read_stage("prod", project=write(tmp_path, stage, **everywhere))
    assert str(refused.value) == (
        f"stage prod: sweep has {has} in .chalice/config.json; add "
        '"sweep": {"iam_policy_file": "policy-prod-sweep.json"} '
        'to "lambda_functions" of the stage'
    )


def test_a_configuration_without_an_audit_gets_the_line_to_add(
    tmp_path: Path,
) -> None:
    functions = {name: file for name, file in POLICIES.items() if name != "audit"}
    stage = {"environment_variables": BUCKETS, "lambda_functions": functions}
    line = '"audit": {"iam_policy_file": "policy-prod-audit.json"}'
    with pytest.raises(StageError, match=f'add {line} to "lambda_functions" of the stage'):
        read_stage("prod", project=write(tmp_path, stage))


@pytest.mark.parametrize(
    ("written", "lock"),
    [
        pytest.param({}, Lock(mode="GOVERNANCE", days=30), id="nothing"),
        pytest.param({"vault_lock": "none"}, None, id="none"),
        pytest.param(
            {"vault_lock": {"mode": "COMPLIANCE", "days": 7}},
            Lock(mode="COMPLIANCE", days=7),
            id="another one",
        ),
    ],
)
def test_the_lock_that_was_chosen_is_read(
    tmp_path: Path, written: dict[str, Any], lock: Lock | None
) -> None:
    project = write(tmp_path, {"environment_variables": BUCKETS, **written})
    assert read_stage("prod", project=project).lock == lock


@pytest.mark.parametrize(
    "lock",
    [
        "governance",
        {"mode": "governance", "days": 30},
        {"mode": "GOVERNANCE"},
        {"mode": "GOVERNANCE", "days": 0},
        {"mode": "GOVERNANCE", "days": 36501},
        {"mode": "GOVERNANCE", "days": "30"},
        {"mode": "GOVERNANCE", "days": 30, "years": 1},
        30,
        False,
    ],
    ids=json.dumps,
)
def test_an_invalid_lock_is_one_sentence(tmp_path: Path, lock: Any) -> None:
    project = write(tmp_path, {"environment_variables": BUCKETS, "vault_lock": lock})
    with pytest.raises(StageError, match=r'^stage prod: vault_lock is .*; write .*"none"$'):
        read_stage("prod", project=project)


@pytest.mark.parametrize(
    "alarm",
    [
        {"bytes": 1},
        {"bytes": 0, "versions": 1},
        {"bytes": 1, "versions": 0},
        {"bytes": 1, "versions": "2"},
        {"bytes": 1, "versions": 2, "days": 3},
        5,
    ],
    ids=json.dumps,
)
def test_an_invalid_alarm_is_one_sentence(tmp_path: Path, alarm: Any) -> None:
    project = write(tmp_path, {"environment_variables": BUCKETS, "incoming_alarm": alarm})
    with pytest.raises(StageError, match=r"^stage prod: incoming_alarm is .*; write .*10000}"):
        read_stage("prod", project=project)
