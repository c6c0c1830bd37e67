"""The routes of `chalice local`, which run the app's functions by hand. Never used in Lambda.

curl -d @notification.json -H 'Content-Type: application/json' http://127.0.0.1:8000/events
curl -X POST http://127.0.0.1:8000/sweep
curl -X POST http://127.0.0.1:8000/audit
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalice.app import BadRequestError, Blueprint, IAMAuthorizer

from chalicelib.watching.sweep import Sweeper

# A function of the app, which takes an event and Lambda's context.
Function = Callable[[Any, Any], dict[str, Any]]
# EventBridge's event of a schedule, as far as Chalice reads it, but without its time.
SCHEDULED = {
    "version": "0",
    "id": "",
    "account": "",
    "region": "",
    "source": "aws.events",
    "detail-type": "Scheduled Event",
    "detail": {},
    "resources": [],
}


def routes(
    *,
    promote: Function,
    sweeper: Sweeper,
    audit: Function,
    seconds_left: Callable[[Any], Callable[[], float]],
) -> Blueprint:
    """The routes to the app's functions."""
    blueprint = Blueprint(__name__)

    @blueprint.route("/events", methods=["POST"], authorizer=IAMAuthorizer())
    def events() -> Any:
        """Run `promote` on the posted notification, like Lambda, and return its result."""
        notification = blueprint.current_request.json_body
        if not isinstance(notification, dict) or not isinstance(notification.get("Records"), list):
            raise BadRequestError('Post an S3 notification: {"Records": [{"s3": ...}]}')
        return promote(notification, blueprint.lambda_context)

    @blueprint.route("/sweep", methods=["POST"], authorizer=IAMAuthorizer())
    def sweep() -> Any:
        """Run the sweep now; return its result and the outcomes of `promote`.

        Without Lambda, the sweep calls `promote` directly, in this process.
        """
        outcomes: list[dict[str, Any]] = []

        def invoke(event: dict[str, Any]) -> None:
            outcomes.extend(promote(event, blueprint.lambda_context)["outcomes"])

        now = datetime.now(UTC)
        swept = replace(sweeper, invoke=invoke).sweep(
            now=now, scheduled=now, seconds_left=seconds_left(blueprint.lambda_context)
        )
        return {"sweep": vars(swept), "outcomes": outcomes}

    @blueprint.route("/audit", methods=["POST"], authorizer=IAMAuthorizer())
    def audit_this_hour() -> Any:
        """Run `audit` now, as if its schedule had, and return its result."""
        event = {**SCHEDULED, "time": datetime.now(UTC).isoformat()}
        return audit(event, blueprint.lambda_context)

    return blueprint
