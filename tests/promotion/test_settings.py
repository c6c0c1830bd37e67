from typing import Any

import pytest

from chalicelib.settings import Settings, SettingsError

DIGEST = "0123456789abcdef01234567"
BUCKETS = {"INCOMING_BUCKET": "incoming", "VAULT_BUCKET": "vault"}
TOPIC = "arn:aws:sns:eu-central-1:123456789012:alerts"


@pytest.mark.parametrize(
    "url",
    [
        "https://hc-ping.com/a",
        "https://status.example.org:8443?id=a@b",
        "http://127.0.0.1:3001/api/push/a?msg=OK",
    ],
)
def test_alerts_and_heartbeats_are_optional(url: str) -> None:
    settings = Settings.from_environment(BUCKETS)
    assert (settings.alert_topic, settings.heartbeat_url) == (None, None)
    settings = Settings.from_environment(BUCKETS | {"ALERT_TOPIC_ARN": TOPIC, "HEARTBEAT_URL": url})
    assert (settings.alert_topic, settings.heartbeat_url) == (TOPIC, url)


def test_the_url_of_the_heartbeat_is_in_no_message() -> None:
    url = "https://example.org/secret"
    assert "secret" not in repr(Settings.from_environment(BUCKETS | {"HEARTBEAT_URL": url}))
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(BUCKETS | {"HEARTBEAT_URL": f"{url} "})
    assert "secret" not in str(raised.value)


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
        pytest.param(
            BUCKETS | {"ALERT_TOPIC_ARN": "alerts"}, "the ARN of an SNS topic", id="a topic's name"
        ),
        pytest.param(
            BUCKETS | {"ALERT_TOPIC_ARN": f"{TOPIC}:subscription"},
            "the ARN of an",
            id="another ARN",
        ),
        *(
            pytest.param(BUCKETS | {"HEARTBEAT_URL": url}, "must start with https://", id=url)
            for url in (
                "http://example.org/a",
                "http://127.0.0.1.example.org/",
                "http://127.0.0.1@example.org/",
                "http://127.0.0.1:x@example.org/",
                "https://",
                "https://[example.org/a",
                "https://me:secret@example.org/a",
                "https://example.org/a b",
                "hc-ping.com/a",
            )
        ),
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
