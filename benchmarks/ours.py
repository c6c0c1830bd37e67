"""The door of the app, driven as Lambda would drive it: promotes the uploads it is told."""

import argparse
import dataclasses
import sys
from datetime import UTC, datetime

import app


def main() -> None:
    """Promote one upload after the other, each by an event of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=0, help="of a policy with server0 and so on")
    parser.add_argument("keys", nargs="*")
    arguments = parser.parse_args()
    promoter, keys = app.promoter, arguments.keys
    if arguments.servers:
        servers = tuple(f"server{number}" for number in range(arguments.servers))
        policy = dataclasses.replace(promoter.policy, servers=servers)
        promoter = dataclasses.replace(promoter, policy=policy)
        keys = [f"{server}/sql.gz.gpg" for server in servers]
    for key in keys:
        event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}}]}
        [record] = promoter.promote_all(event, now=datetime.now(UTC))
        if record.outcome != "promoted":
            sys.exit(f"{record.outcome}: {record.reason}")


if __name__ == "__main__":
    main()
