"""The functions' environment: both buckets, their accounts, and what the audit needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class SettingsError(ValueError):
    """An environment variable that is missing or invalid; the message names it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The two buckets, and the 12-digit IDs of the accounts that own them (None: not checked).

    Alerts go to the topic with the ARN `alert_topic`. The heartbeat's URL is a secret: anyone who
    knows it can report that all is well. `vault_settings` has the digest of each setting that
    `backups setup` left (None: not recorded).
    """

    incoming_bucket: str
    vault_bucket: str
    incoming_owner: str | None = None
    vault_owner: str | None = None
    alert_topic: str | None = None
    heartbeat_url: str | None = field(default=None, repr=False)
    vault_settings: Mapping[str, str] | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the variables that have the names of these settings, in capitals.

        The topic's variable is ALERT_TOPIC_ARN. Raises SettingsError.
        """
        settings = cls(
            incoming_bucket=_bucket(environment, "INCOMING_BUCKET"),
            vault_bucket=_bucket(environment, "VAULT_BUCKET"),
            incoming_owner=_account(environment, "INCOMING_OWNER"),
            vault_owner=_account(environment, "VAULT_OWNER"),
            alert_topic=_topic(environment, "ALERT_TOPIC_ARN"),
            heartbeat_url=_heartbeat(environment, "HEARTBEAT_URL"),
            vault_settings=_digests(environment, "VAULT_SETTINGS"),
        )
        if settings.incoming_bucket == settings.vault_bucket:
            raise SettingsError(
                f"INCOMING_BUCKET and VAULT_BUCKET are both {settings.vault_bucket}: servers would "
                "write into the vault; use two buckets"
            )
        return settings


def _bucket(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise SettingsError(
            f"{name} is not set; it belongs in the environment_variables of this stage in "
            ".chalice/config.json"
        )
    # IAM policies contain the bucket names: a wildcard must not get into them.
    if not re.fullmatch("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise SettingsError(
            f"{name} is {value!r}; bucket names have 3 to 63 lowercase letters, digits, dots "
            "and hyphens"
        )
    return value


def _account(environment: Mapping[str, Any], name: str) -> str | None:
    value = environment.get(name)
    if value and not (isinstance(value, str) and re.fullmatch("[0-9]{12}", value)):
        raise SettingsError(f"{name} is {value!r}; an account id has 12 digits, in quotes")
    return str(value) if value else None


def _topic(environment: Mapping[str, Any], name: str) -> str | None:
    value = environment.get(name)
    if value and not re.fullmatch("arn:aws:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]+", str(value)):
        raise SettingsError(
            f"{name} is {value!r}; write the ARN of an SNS topic, such as "
            "arn:aws:sns:eu-central-1:123456789012:alerts"
        )
    return str(value) if value else None


def _heartbeat(environment: Mapping[str, Any], name: str) -> str | None:
    value = environment.get(name)
    # Without TLS, anyone on the network path can respond, and learn the URL.
    url = r"(https://[A-Za-z0-9.-]+|http://127\.0\.0\.1)(:[0-9]+)?([/?][!-~]*)?"
    if value and not re.fullmatch(url, str(value)):
        raise SettingsError(f"{name} must start with https:// and a host, and have no spaces")
    return str(value) if value else None


def _digests(environment: Mapping[str, Any], name: str) -> Mapping[str, str] | None:
    value = environment.get(name)
    if not value:
        return None
    digests = dict(re.findall("([a-z-]+)=([0-9a-f]{24})(?=,|$)", str(value)))
    if ",".join(map("=".join, digests.items())) != value:
        raise SettingsError(
            f"{name} is {value!r}; let `backups setup --apply` write it, as digests such as "
            "versioning=d0fef200712103bcb227d9ad"
        )
    return digests
