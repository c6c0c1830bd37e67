"""The tests pass with your own policy and stages, without any edit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from admin.setup.files import stage_files, write_files
from admin.stage import CONFIG, PROJECT, read_stage
from chalicelib.policy.file import POLICY_FILE, read_policy

POLICY = """
timezone = "Europe/London"
servers = ["files", "mail"]
keep_days = 400
archive = { after_days = 30, to = "DEEP_ARCHIVE" }

[[rule]]
upload = "everything.tar.zst.age"
store_as = "%G-W%V.tar.zst.age"
min_bytes = 1000
"""
# These tests read the policy or the stages of the project that they are in.
READERS = [
    "tests/policy/test_file.py",
    "tests/admin/test_permissions.py",
    "tests/admin/test_stage.py",
    "tests/test_app.py",
    "tests/test_docs.py",
    "tests/test_project.py",
]
# Two slow tests that need neither the policy nor the stages.
NEITHER = "not 100_mib and not waits_without_an_end"


@pytest.fixture
def fork(tmp_path: Path) -> Path:
    """A copy of this project whose owner has edited both files, and run `make policies`."""
    fork = tmp_path / "fork"
    fork.mkdir()
    for path in PROJECT.iterdir():
        if path.is_file():
            shutil.copy(path, fork)
        elif not path.name.startswith(".") or path.name == ".chalice":
            # Compiled modules stay valid, and compiling them again would take longest.
            ignored = shutil.ignore_patterns("deployed", "deployments")
            shutil.copytree(path, fork / path.name, ignore=ignored)
    policy_file = fork / "chalicelib" / POLICY_FILE.name
    policy_file.write_text(POLICY)
    config = json.loads((PROJECT / CONFIG).read_text())
    config |= {"lambda_memory_size": 2048, "reserved_concurrency": 5}
    for name, stage in config["stages"].items():
        edit(name, stage)
    (fork / CONFIG).write_text(json.dumps(config, indent=2))
    for name in config["stages"]:
        write_files(stage_files(read_policy(policy_file), read_stage(name, project=fork)))
    return fork


def edit(name: str, stage: dict[str, Any]) -> None:
    stage["administrators"] = ["arn:aws:iam::123456789012:user/me"]
    stage["vault_lock"] = {"mode": "COMPLIANCE", "days": 90}
    stage["incoming_alarm"] = {"bytes": 10**12, "versions": 5000}
    stage["environment_variables"] |= {
        "INCOMING_BUCKET": f"mine-{name}-incoming",
        "VAULT_BUCKET": f"mine-{name}-vault",
        "INCOMING_OWNER": "123456789012",
    }


def run_in(fork: Path, *tests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests],
        cwd=fork,
        capture_output=True,
        text=True,
        check=False,
    )


def test_tests_that_read_the_policy_and_the_stages_pass_with_yours(fork: Path) -> None:
    done = run_in(fork, *READERS, "-k", NEITHER)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_stale_policy_file_of_yours_is_found(fork: Path) -> None:
    (fork / ".chalice" / "policy-prod-sweep.json").write_text("{}")
    # It needs no fixture, and importing those takes longest.
    done = run_in(fork, "--noconftest", "tests/admin/test_permissions.py", "-k", "up_to_date")
    assert "policy-prod-sweep.json is stale: make policies STAGE=prod" in done.stdout
    assert done.returncode == 1
