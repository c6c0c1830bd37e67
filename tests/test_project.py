import re
from pathlib import Path

YOURS = re.compile(
    r"\bread_policy\(\)|\bread_stage\((?![^)]*project=)|\bcloud\.(prepare|deploy)\(\)"
)


def test_only_two_tests_read_the_policy_and_the_stages_that_are_yours() -> None:
    """The others would fail as soon as you edit them: take those of tests/support/project.py."""
    readers = {
        path.name
        for path in Path(__file__).parent.rglob("*.py")
        if YOURS.search(path.read_text()) and path != Path(__file__)
    }
    assert readers == {"test_permissions.py", "test_file.py"}
