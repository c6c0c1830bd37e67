"""The door for events: what AWS invokes. The work is in `chalicelib`."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from botocore.config import Config
from botocore.session import get_session
from chalice.app import Chalice, S3Event

from chalicelib.handover import Run
from chalicelib.part_plan import Limits
from chalicelib.policy_file import read_policy
from chalicelib.promotion import Promoter
from chalicelib.settings import Settings

limits = Limits()
settings = Settings.from_environment(os.environ)
# boto3's clients are botocore's. boto3 itself would first import its managed transfers, a twelfth
# of a cold start: nothing here may use them.
session: Any = get_session()
promoter = Promoter(
    s3=session.create_client(
        "s3",
        config=Config(
            # Five attempts must fit into a run, and wait for some 15 seconds between them.
            read_timeout=limits.patience,
            connect_timeout=10,
            max_pool_connections=limits.streams,
            retries={"mode": "standard", "total_max_attempts": 5},
        ),
    ),
    settings=settings,
    policy=read_policy(),
    limits=limits,
)

app = Chalice(app_name="immutable-backups")


@app.on_s3_event(bucket=settings.incoming_bucket, events=["s3:ObjectCreated:*"])
def promote(event: S3Event) -> dict[str, Any]:
    """Promote every upload that the event names, or go on where a run handed over."""
    run = this_run(event.context)
    records = promoter.promote_all(event.to_dict(), now=datetime.now(UTC), run=run)
    return {"outcomes": [record.as_dict() for record in records]}


def this_run(context: Any) -> Run:
    """What Lambda says of this invocation, and how it invokes the next one of this function."""

    def invoke_next(event: Mapping[str, Any]) -> None:
        # Made only here: next to no run needs it, and each start would have to wait for it.
        session.create_client("lambda").invoke(
            FunctionName=context.function_name,
            InvocationType="Event",
            Payload=json.dumps(event).encode(),
        )

    return Run(
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
        invoke_next=invoke_next,
    )


if os.environ.get("BACKUPS_DEV_ROUTES") == "1":
    from localcloud.routes import routes

    app.register_blueprint(routes)
