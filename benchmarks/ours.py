"""The door of the app, driven as Lambda would: promotes the uploads named on the command line."""

import sys
from datetime import UTC, datetime

import app


def main() -> None:
    for key in sys.argv[1:]:
        event = {"Records": [{"s3": {"bucket": {"name": "backups1"}, "object": {"key": key}}}]}
        [record] = app.promoter.promote_all(event, now=datetime.now(UTC))
        if record.outcome != "promoted":
            sys.exit(f"{record.outcome}: {record.reason}")


if __name__ == "__main__":
    main()
