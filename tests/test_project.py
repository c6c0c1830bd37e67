import re
from pathlib import Path

YOURS = re.compile(
    r"\bread_policy\(\)|\bread_stage\((?![^)]*project=)|\bcloud\.(prepare|deploy)\(\)"
)


def test_only_two_tests_read_your_own_policy_and_stages() -> None:
    """Other tests would fail after you edit them; use those of tests/support/project.py there."""
    readers = {
        path.name
        for path in Path(__file__).parent.rglob("*.py")
        if YOURS.search(path.read_text()) and path != Path(__file__)
    }
    assert readers == {"test_permissions.py", "test_file.py"}
