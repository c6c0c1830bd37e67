"""Rules for every test."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from admin.stage import PROJECT

YOURS = re.compile(
    r"\bread_policy\(\)|\bread_stage\((?![^)]*project=)|\bcloud\.(prepare|deploy)\(\)"
)


def test_only_two_files_read_your_own_policy_and_stages() -> None:
    """Any other test would fail after you edit them; use those of tests/support/project.py."""
    readers = {
        path.name
        for path in Path(__file__).parent.rglob("*.py")
        if YOURS.search(path.read_text()) and path != Path(__file__)
    }
    assert readers == {"test_permissions.py", "test_file.py"}


def test_a_test_that_waits_without_an_end_is_ended_and_named(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    assert float(pytestconfig.getini("faulthandler_timeout")) > 0
    (tmp_path / "test_waiting.py").write_text(
        "import threading\n\ndef test_that_waits():\n    threading.Event().wait()\n"
    )
    options = ["-c", PROJECT / "pyproject.toml", "-o", "faulthandler_timeout=0.5"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert 'test_waiting.py", line 4 in test_that_waits' in done.stderr
