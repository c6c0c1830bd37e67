"""The door of the app, driven as Lambda would drive it."""

import argparse
import dataclasses
import json
import sys
from datetime import UTC, datetime
from typing import Any

import app

# Seconds that Lambda gives a run (`lambda_timeout` in .chalice/config.json), in the model's time.
TIMEOUT = 900.0
# What EventBridge says besides the time; nobody asks for it.
EVENT = ("version", "account", "region", "detail", "detail-type", "source", "id", "resources")


class Context:
    """What Lambda tells of a run; the time is the model's, which each of its answers says."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ends = TIMEOUT
        app.promoter.vault.s3.meta.events.register("after-call.s3", self._look_at_the_clock)

    def begin_run(self) -> None:
        """From here on there is a whole run's time."""
        self.ends = self.now + TIMEOUT

    def get_remaining_time_in_millis(self) -> float:
        """Under the name that Lambda gave it."""
        return 1000 * (self.ends - self.now)

    def _look_at_the_clock(self, parsed: dict[str, Any], **_: object) -> None:
        headers = parsed["ResponseMetadata"]["HTTPHeaders"]
        self.now = max(self.now, float(headers["x-model-now"]))


def main() -> None:
    """Promote one upload after the other, each by an event of its own, or sweep once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=0, help="of a policy with server0 and so on")
    parser.add_argument("--sweep", action="store_true", help="make one pass, and print what it saw")
    parser.add_argument("keys", nargs="*")
    arguments = parser.parse_args()
    keys = arguments.keys
    context = Context()
    if arguments.servers:
        servers = tuple(f"server{number}" for number in range(arguments.servers))
        policy = dataclasses.replace(app.promoter.policy, servers=servers)
        app.promoter = dataclasses.replace(app.promoter, policy=policy)
        app.sweeper = dataclasses.replace(app.sweeper, policy=policy)
        keys = [f"{server}/sql.gz.gpg" for server in servers]
    if arguments.sweep:
        scheduled = dict.fromkeys(EVENT, "") | {"time": datetime.now(UTC).isoformat()}
        print(json.dumps(app.sweep(scheduled, context)))
        return
    for key in keys:
        event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}}]}
        context.begin_run()
        [outcome] = app.promote(event, context)["outcomes"]
        if outcome["outcome"] != "promoted":
            sys.exit(f"{outcome['outcome']}: {outcome['reason']}")


if __name__ == "__main__":
    main()
