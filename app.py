"""What AWS invokes: `promote` for each S3 event, `sweep` every 15 minutes, `audit` every hour."""

import functools
import json
import os
import ssl
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from botocore import httpsession
from botocore.config import Config
from botocore.session import get_session
from chalice.app import Chalice, CloudWatchEvent, Cron, Rate, S3Event

from chalicelib.policy.file import read_policy
from chalicelib.promotion.buckets import open_buckets
from chalicelib.promotion.copy_plan import Tuning
from chalicelib.promotion.promotion import Promoter
from chalicelib.record import SERVICE
from chalicelib.settings import Settings
from chalicelib.watching.audit import Auditor
from chalicelib.watching.protection import Protection
from chalicelib.watching.sweep import Sweeper
from chalicelib.watching.telling import Teller


class TlsContext(ssl.SSLContext):
    """Reads the certificate authorities once for all connections, each of which is verified.

    urllib3 reads them for every connection, which takes 15 ms of CPU: more than the rest of a
    request (github.com/urllib3/urllib3/issues/3623). If botocore stops using this name, connections
    only get slower.
    """

    load_verify_locations: Any = functools.cache(ssl.SSLContext.load_verify_locations)


httpsession.SSLContext = TlsContext  # type: ignore[attr-defined]

tuning = Tuning()
settings = Settings.from_environment(os.environ)
policy = read_policy()
# boto3's clients are botocore's; boto3 adds managed transfers, which overwrite, and does not ship.
session: Any = get_session()
s3 = session.create_client(
    "s3",
    config=Config(
        # Five attempts and the 15 seconds of waiting between them must fit into one run.
        read_timeout=tuning.read_timeout,
        connect_timeout=10,
        max_pool_connections=tuning.streams,
        retries={"mode": "standard", "total_max_attempts": 5},
    ),
)
incoming, vault = open_buckets(s3, settings)
promoter = Promoter(incoming=incoming, vault=vault, policy=policy, tuning=tuning)

app = Chalice(app_name="immutable-backups")


@app.on_s3_event(bucket=settings.incoming_bucket, events=["s3:ObjectCreated:*"])
def promote(event: S3Event) -> dict[str, Any]:
    """Promote every upload that the event names."""
    records = promoter.promote_all(
        event.to_dict(), now=datetime.now(UTC), seconds_left=seconds_left(event.context)
    )
    return {"outcomes": [vars(record) for record in records]}


def invoke_promote(event: dict[str, Any]) -> None:
    """Start another run of `promote` with this event, and do not wait for it."""
    lambda_client().invoke(
        FunctionName=f"{SERVICE}-promote",
        InvocationType="Event",
        Payload=json.dumps(event).encode(),
    )


@functools.cache
def lambda_client() -> Any:
    """Create the client on first use: creating it at import would slow down every cold start."""
    return session.create_client("lambda")


sweeper = Sweeper(incoming=incoming, vault=vault, policy=policy, invoke=invoke_promote)


@app.schedule(Rate(15, unit=Rate.MINUTES))
def sweep(event: CloudWatchEvent) -> dict[str, Any]:
    """Hand over the uploads that are waiting in incoming to `promote`."""
    swept = sweeper.sweep(
        now=datetime.now(UTC),
        scheduled=datetime.fromisoformat(event.time),
        seconds_left=seconds_left(event.context),
    )
    return vars(swept)


def connect_to_sns() -> Any:
    """Create a client only when needed, for at most one mail an hour."""
    config = Config(
        connect_timeout=5,
        read_timeout=10,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    return session.create_client("sns", config=config)


auditor = Auditor(
    incoming=incoming,
    vault=vault,
    policy=policy,
    protection=Protection.for_functions(settings),
)
teller = Teller(
    connect=connect_to_sns,
    policy=policy,
    stage=SERVICE.removeprefix("immutable-backups-"),
    alert_topic=settings.alert_topic,
    heartbeat_url=settings.heartbeat_url,
)


@app.schedule(Cron(0, "*", "*", "*", "?", "*"))
def audit(event: CloudWatchEvent) -> dict[str, Any]:
    """Look for what is missing or wrong at the full hour, and notify the owner.

    A retry looks at the same hour.
    """
    hour = datetime.fromisoformat(event.time).replace(minute=0, second=0, microsecond=0)
    begin = time.monotonic()
    audited = auditor.audit(hour, seconds_left=seconds_left(event.context))
    teller.tell(audited, now=hour, seconds=time.monotonic() - begin)
    return {
        "findings": Counter(finding.kind for finding in audited.findings),
        "not_checked": [*audited.failures],
    }


def seconds_left(context: Any) -> Callable[[], float]:
    """Return a function that returns how many seconds this run has left, according to Lambda."""
    return lambda: context.get_remaining_time_in_millis() / 1000


if os.environ.get("BACKUPS_DEV_ROUTES") == "1":
    from demo.routes import routes

    app.register_blueprint(
        routes(promote=promote, sweeper=sweeper, audit=audit, seconds_left=seconds_left)
    )
