from typing import Any

import pytest

from chalicelib.settings import Settings, SettingsError

DIGEST = "0123456789abcdef01234567"
BUCKETS = {"INCOMING_BUCKET": "incoming", "VAULT_BUCKET": "vault"}


def test_owners_are_optional() -> None:
    assert Settings.from_environment(BUCKETS) == Settings(
        incoming_bucket="incoming", vault_bucket="vault", incoming_owner=None, vault_owner=None
    )
    settings = Settings.from_environment(
        {**BUCKETS, "INCOMING_OWNER": "123456789012", "VAULT_OWNER": "210987654321"}
    )
    assert (settings.incoming_owner, settings.vault_owner) == ("123456789012", "210987654321")


@pytest.mark.parametrize(
    ("value", "digests"),
    [
        pytest.param(None, None, id="unset"),
        pytest.param("", None, id="empty"),
        pytest.param(f"lock={DIGEST}", {"lock": DIGEST}, id="one"),
        pytest.param(
            f"public-access={DIGEST},lock={DIGEST[::-1]}",
            {"public-access": DIGEST, "lock": DIGEST[::-1]},
            id="several",
        ),
    ],
)
def test_the_vault_s_settings_are_digests_by_name(value: Any, digests: Any) -> None:
    environment = BUCKETS | ({} if value is None else {"VAULT_SETTINGS": value})
    assert Settings.from_environment(environment).vault_settings == digests


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        pytest.param({}, r"INCOMING_BUCKET is not set; .*\.chalice/config\.json", id="no variable"),
        pytest.param({"INCOMING_BUCKET": "incoming"}, "VAULT_BUCKET is not set", id="one bucket"),
        pytest.param(BUCKETS | {"VAULT_BUCKET": ""}, "VAULT_BUCKET is not set", id="an empty name"),
        pytest.param(
            BUCKETS | {"VAULT_BUCKET": "incoming"}, "use two buckets", id="one bucket for both"
        ),
        pytest.param(BUCKETS | {"VAULT_BUCKET": "*"}, "3 to 63 lowercase letters", id="a wildcard"),
        pytest.param(BUCKETS | {"VAULT_BUCKET": "va${x}"}, "3 to 63 lowercase", id="a variable"),
        pytest.param(
            BUCKETS | {"VAULT_BUCKET": "Vault"}, "3 to 63 lowercase", id="a capital letter"
        ),
        pytest.param(BUCKETS | {"VAULT_OWNER": 123456789012}, "in quotes", id="a number"),
        pytest.param(BUCKETS | {"VAULT_OWNER": "me"}, "has 12 digits", id="not an account ID"),
        pytest.param(BUCKETS | {"INCOMING_OWNER": "1" * 13}, "has 12 digits", id="13 digits"),
        *(
            pytest.param(
                BUCKETS | {"VAULT_SETTINGS": value}, "let `backups setup --apply`", id=str(value)
            )
            for value in (
                "lock",
                "lock=",
                f"lock={DIGEST[1:]}",
                f"lock={DIGEST}0",
                f"lock={DIGEST.upper()}",
                f"lock={DIGEST},",
                f"lock={DIGEST};policy={DIGEST}",
                f"lock={DIGEST}, policy={DIGEST}",
                f"={DIGEST}",
                f"lock={DIGEST},lock={DIGEST}",
                "{}",
                {"lock": DIGEST},
            )
        ),
    ],
)
def test_an_error_names_the_missing_or_invalid_variable(
    environment: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(SettingsError, match=sentence):
        Settings.from_environment(environment)
