"""The owner of a deployed stage, whose mails and heartbeats arrive on this machine."""

import json
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from admin.account import local_account
from admin.config.editing import with_value
from admin.config.reading import CONFIG
from admin.stage import read_stage
from admin.target import Target
from demo.stage import StageCloud, running
from localcloud.alarms import Metric
from localcloud.clock import clock
from tests.support.heartbeat_service import Service
from tests.support.heartbeat_service import serving as serving_heartbeats
from tests.support.project import POLICY, copy_project, write_variables
from tests.support.subscriber import Subscriber, subscriber

BEGIN = datetime(2026, 11, 25, 10, 19, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
UPLOAD, AUDIT = "sql.gz.gpg", "immutable-backups-dev-audit"


class Mail(NamedTuple):
    """A mail; an alarm's has a short subject, such as `ALARM waiting`."""

    subject: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A stage whose owner has subscribed to its topic, and has a heartbeat service.

    The clock stands still until it is moved.
    """

    cloud: StageCloud
    project: Path
    subscribed: Subscriber
    heartbeats: Service

    @property
    def target(self) -> Target:
        """The stage as an administrator sees it."""
        stage = read_stage("dev", project=self.project)
        environment = {**stage.environment, "AWS_ENDPOINT_URL": self.cloud.endpoint}
        return Target(
            account=local_account(self.cloud.endpoint),
            stage=replace(stage, environment=environment),
            policy=POLICY,
        )

    def client(self, service: str) -> Any:
        """An administrator's client."""
        return self.cloud.session(self.cloud.administrator).client(service)

    def upload(self, body: bytes = b"tables") -> None:
        """Upload the hourly backup as the server, and wait until it is stored."""
        server = self.cloud.session(self.cloud.server_credentials).client("s3")
        server.put_object(Bucket="backups1", Key=UPLOAD, Body=body)
        self.cloud.functions.wait_until_quiet(timeout=60)

    def slot(self) -> str:
        """The name of the hourly backup of this hour."""
        return POLICY.slot_of(UPLOAD, clock.now()).name

    def pass_quarters(self, number: int) -> None:
        """Move the clock by quarters of an hour, each with its runs and then their alarms."""
        for _ in range(number):
            clock.advance(14 * MINUTE)
            self.cloud.run_schedules()
            self.cloud.functions.wait_until_quiet(timeout=120)
            self.pass_minute()

    def pass_minute(self) -> None:
        """Move the clock by the minute after which alarms see what has happened."""
        clock.advance(MINUTE)
        self.cloud.evaluate_alarms()

    def audit_again(self) -> None:
        """Repeat the audit of this hour."""
        *_, latest = (one for one in self.cloud.functions.results if one.function == AUDIT)
        answer = self.client("lambda").invoke(FunctionName=AUDIT, Payload=json.dumps(latest.event))
        assert "FunctionError" not in answer, answer["Payload"].read()

    def mails(self) -> list[Mail]:
        """The mails that have arrived since the last call, in their order."""
        # The audits arrive one after another, so this one is the last.
        end = str(uuid.uuid4())
        self.client("sns").publish(TopicArn=self.target.topic_arn, Message=end)
        mails = []
        while (document := self.subscribed.next())["Message"] != end:
            mails.append(_mail(document))
        return mails

    def last(self, metric: str) -> float:
        """The last value of a metric that the functions write."""
        name = Metric("ImmutableBackups", metric, (("service", "immutable-backups-dev"),))
        _, value = self.cloud.metrics.snapshot()[name][-1]
        return value

    def set_heartbeat_url(self, url: str) -> None:
        """Set the heartbeat's URL in the environment of the deployed function."""
        functions = self.client("lambda")
        deployed = functions.get_function_configuration(FunctionName=AUDIT)
        variables = {**deployed["Environment"]["Variables"], "HEARTBEAT_URL": url}
        functions.update_function_configuration(
            FunctionName=AUDIT, Environment={"Variables": variables}
        )


def _mail(document: dict[str, Any]) -> Mail:
    subject, text = document["Subject"], document["Message"]
    if alarm := re.fullmatch(r'(OK|ALARM): "immutable-backups-dev-alerts-(\S+)" in .*', subject):
        return Mail(" ".join(alarm.groups()), json.loads(text)["AlarmDescription"])
    return Mail(subject, text)


@contextmanager
def watched_stage(project: Path, packages: Path) -> Iterator[Owner]:
    """Set up and deploy the tests' stage into an empty account, from a copy in `project`.

    The owner has confirmed the subscription before anything happens.
    """
    copy_project(project)
    with (
        subscriber() as subscribed,
        serving_heartbeats() as heartbeats,
        running(retry_delays=(0, 0)) as cloud,
    ):
        text = (project / CONFIG).read_text()
        text = with_value(text, ("stages", "dev", "alert_subscribers"), [subscribed.url])
        (project / CONFIG).write_text(text)
        write_variables(project, {"HEARTBEAT_URL": f"{heartbeats.url}/token"})
        clock.stand_at(BEGIN)
        cloud.prepare(project_dir=project)
        owner = Owner(cloud=cloud, project=project, subscribed=subscribed, heartbeats=heartbeats)
        owner.client("sns").subscribe(
            TopicArn=owner.target.topic_arn, Protocol="http", Endpoint=subscribed.url
        )
        cloud.deploy(project_dir=project, packages=packages)
        owner.pass_minute()
        yield owner
