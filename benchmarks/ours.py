"""Invokes the app as Lambda does, for uploads, for the sweep or for the audit."""

import argparse
import dataclasses
import json
import sys
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import app
from chalicelib.watching.protection import Protection
from chalicelib.watching.vault_settings import SETTINGS, digest, read_setting

# Seconds of a run in Lambda (`lambda_timeout` in .chalice/config.json), by the model's clock.
TIMEOUT = 900.0
# The other fields of an event from EventBridge, which nothing reads.
EVENT_FIELDS = (
    "version",
    "account",
    "region",
    "detail",
    "detail-type",
    "source",
    "id",
    "resources",
)


class Context:
    """Lambda's context of a run. Its clock is the model's, which every response reports."""

    def __init__(self) -> None:
        self.now = 0.0
        self.end = TIMEOUT
        app.promoter.vault.s3.meta.events.register("after-call.s3", self._read_clock)

    def begin_run(self) -> None:
        """Start a new run, with all of its time left."""
        self.end = self.now + TIMEOUT

    def get_remaining_time_in_millis(self) -> float:
        """Return the run's remaining time; the name is Lambda's."""
        return 1000 * (self.end - self.now)

    def _read_clock(self, parsed: dict[str, Any], **_: object) -> None:
        headers = parsed["ResponseMetadata"]["HTTPHeaders"]
        self.now = max(self.now, float(headers["x-model-now"]))


def record_settings() -> None:
    """Do what `backups setup` does, so that the audit finds the vault as setup leaves it."""
    digests = {name: digest(read_setting(app.vault, name)) for name in SETTINGS}
    app.auditor = dataclasses.replace(app.auditor, protection=Protection(recorded=digests))
    topic = SimpleNamespace(publish=lambda **_: None)
    app.teller = dataclasses.replace(
        app.teller, connect=lambda: topic, policy=app.auditor.policy, alert_topic="the topic"
    )


def main() -> None:
    """Promote one upload at a time, each with its own event, or sweep once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--servers",
        type=int,
        default=0,
        help="promote for this many servers (server0, server1, ...)",
    )
    parser.add_argument("--sweep", action="store_true", help="make one pass, and print its result")
    parser.add_argument("--audit", action="store_true", help="audit once, and print the result")
    parser.add_argument("keys", nargs="*")
    arguments = parser.parse_args()
    keys = arguments.keys
    context = Context()
    if arguments.servers:
        servers = tuple(f"server{number}" for number in range(arguments.servers))
        policy = dataclasses.replace(app.promoter.policy, servers=servers)
        app.promoter = dataclasses.replace(app.promoter, policy=policy)
        app.sweeper = dataclasses.replace(app.sweeper, policy=policy)
        app.auditor = dataclasses.replace(app.auditor, policy=policy)
        keys = [f"{server}/sql.gz.gpg" for server in servers]
    if arguments.audit:
        record_settings()
    if arguments.sweep or arguments.audit:
        scheduled = dict.fromkeys(EVENT_FIELDS, "") | {"time": datetime.now(UTC).isoformat()}
        function = app.sweep if arguments.sweep else app.audit
        print(json.dumps(function(scheduled, context)))
        return
    for key in keys:
        event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}}]}
        context.begin_run()
        [outcome] = app.promote(event, context)["outcomes"]
        if outcome["outcome"] != "promoted":
            sys.exit(f"{outcome['outcome']}: {outcome['reason']}")


if __name__ == "__main__":
    main()
