"""What config.json says of a stage: to Chalice, and of the lock that was chosen."""

import json
from pathlib import Path
from typing import Any

import pytest

from admin.setting import Lock
from admin.stage import CONFIG, StageError, read_stage
from admin.stage_files import stage_files
from tests.project import POLICY

BUCKETS = {"INCOMING_BUCKET": "in1", "VAULT_BUCKET": "va1"}


def write(project: Path, stage: dict[str, Any], **everywhere: Any) -> Path:
    (project / CONFIG).parent.mkdir(exist_ok=True)
    (project / CONFIG).write_text(json.dumps({**everywhere, "stages": {"prod": stage}}))
    return project


@pytest.mark.parametrize(
    ("everywhere", "stage", "function"),
    [
        pytest.param({}, BUCKETS, {}, id="of the stage"),
        pytest.param(BUCKETS, {}, {}, id="of all stages"),
        pytest.param({}, {}, BUCKETS, id="of the function"),
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
            "lambda_functions": {"promote": {"environment_variables": function}},
        },
        environment_variables=everywhere,
    )
    read = read_stage("prod", project=project)
    assert read.environment == BUCKETS
    assert (read.settings.incoming_bucket, read.settings.vault_bucket) == ("in1", "va1")


def test_a_topic_that_chalice_reads_elsewhere_is_not_written_again(tmp_path: Path) -> None:
    project = write(tmp_path, {}, environment_variables={**BUCKETS, "ALERT_TOPIC_ARN": "arn:x"})
    stage = read_stage("prod", project=project)
    assert project / CONFIG not in stage_files(POLICY, stage, topic="arn:x")
    text = stage_files(POLICY, stage, topic="arn:y")[project / CONFIG]
    assert json.loads(text)["stages"]["prod"] == {
        "environment_variables": {"ALERT_TOPIC_ARN": "arn:y"}
    }


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
def test_a_lock_that_cannot_be_meant_is_refused_in_one_sentence(tmp_path: Path, lock: Any) -> None:
    project = write(tmp_path, {"environment_variables": BUCKETS, "vault_lock": lock})
    with pytest.raises(StageError, match=r'^stage prod: vault_lock is .*; write .*"none"$'):
        read_stage("prod", project=project)
