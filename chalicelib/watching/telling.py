"""Notifies the owner of what an audit found: by mail, heartbeat, log and metrics."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from chalicelib import record
from chalicelib.policy.policy import Policy
from chalicelib.settings import SettingsError
from chalicelib.watching.audit import Audited
from chalicelib.watching.findings import Kind, Phase
from chalicelib.watching.heartbeat import send_heartbeat
from chalicelib.watching.mails import Mail, mail_of, trouble_of


@dataclass(kw_only=True)
class Teller:
    """Notifies the owner of a stage.

    `connect` returns an SNS client, and `alert_topic` is the ARN of the topic for mails. Without a
    `heartbeat_url`, there is no heartbeat.
    """

    connect: Callable[[], Any]
    policy: Policy
    stage: str
    alert_topic: str | None
    heartbeat_url: str | None
    # Lambda retries a run that raised an error, usually in the same process.
    published: Mail | None = None

    def tell(self, audited: Audited, *, now: datetime, seconds: float) -> None:
        """Notify the owner of what the audit at `now` found; it took `seconds`.

        Raises an ExceptionGroup at the end if something could not be checked or mailed. If S3 could
        not be read completely, no zeros are written, because there could be more to report.
        """
        for what, failure in audited.failures.items():
            record.write_failure(f"could not check {what}", failure)
        mail = mail_of(audited, policy=self.policy, stage=self.stage, now=now)
        undelivered = self._publish(mail)
        trouble = trouble_of(audited, policy=self.policy, stage=self.stage, now=now)
        heartbeat = self._beat(
            [*((trouble.subject, trouble.body) if trouble else ()), *map(str, undelivered)]
        )
        errors = [*audited.failures.values(), *undelivered]
        found = Counter(each.kind for each in audited.findings if each.phase is not Phase.OVER)
        counts = {f"{kind.capitalize()}Findings": found[kind] for kind in Kind}
        expected = {key for key, (rule, _) in self.policy.server_keys.items() if rule.expect}
        counts["KeysWithoutBackup"] = len(audited.empty & expected)
        if audited.failures:
            counts = {name: count for name, count in counts.items() if count}
        record.write_audit(
            counts | heartbeat,
            seconds=None if errors else seconds,
            mail=mail.subject if mail else None,
        )
        if errors:
            raise ExceptionGroup("the audit could not check or mail everything", errors)

    def _publish(self, mail: Mail | None) -> list[Exception]:
        """Send the mail; return why that failed."""
        if self.alert_topic is None:
            message = (
                "ALERT_TOPIC_ARN is not set, so nobody would be told of a missing backup; run "
            )
            return [SettingsError(f"{message}make deploy STAGE={self.stage}")]
        if mail is None or mail == self.published:
            return []
        try:
            self.connect().publish(
                TopicArn=self.alert_topic, Subject=mail.subject, Message=mail.body
            )
        except (ClientError, BotoCoreError) as error:
            record.write_failure("could not mail", error, subject=mail.subject)
            return [error]
        self.published = mail
        return []

    def _beat(self, troubles: list[str]) -> dict[str, int]:
        """Send the heartbeat; return its metric. A failure is only counted, and raises nothing."""
        if self.heartbeat_url is None:
            return {}
        failure = send_heartbeat(self.heartbeat_url, trouble="\n\n".join(troubles))
        if failure:
            record.logger.warning("the heartbeat failed: %s", failure)
        return {"FailedHeartbeats": int(failure is not None)}
