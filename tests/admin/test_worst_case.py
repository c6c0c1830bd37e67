from dataclasses import replace

import pytest

from admin.setup.exposure import rule_of
from tests.support.project import POLICY

FLEET = replace(POLICY, servers=("web1", "db1"))


@pytest.mark.parametrize(
    ("name", "upload"),
    [
        pytest.param("2026-11-23.tar.gz.gpg", "backup.tar.gz.gpg", id="a day"),
        pytest.param("2026-11-23.14.sql.gz.gpg", "sql.gz.gpg", id="an hour"),
        pytest.param("2026-10-25.01b.sql.gz.gpg", "sql.gz.gpg", id="a second hour"),
        pytest.param("2026-10-25.01c.sql.gz.gpg", None, id="no third hour"),
        pytest.param("2026-11-23Xtar.gz.gpg", None, id="a dot is a dot"),
        pytest.param("2026-11-23.tar.gz.gpg.old", None, id="another ending"),
        pytest.param("drill/2026-11-23.14.05.rehearsal", None, id="the drill's own"),
    ],
)
def test_a_backup_s_name_identifies_its_rule(name: str, upload: str | None) -> None:
    rule = rule_of(POLICY, name)
    assert (rule.upload if rule else None) == upload
    assert rule_of(FLEET, f"db1/{name}") == rule
    assert rule_of(FLEET, name) is None
    assert rule_of(POLICY, f"db1/{name}") is None
