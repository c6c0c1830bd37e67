"""The routes of `chalice local`: run the app's functions by hand. Never in Lambda.

curl -d @notification.json -H 'Content-Type: application/json' http://127.0.0.1:8000/events
curl -X POST http://127.0.0.1:8000/sweep
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalice.app import BadRequestError, Blueprint, IAMAuthorizer

routes = Blueprint(__name__)


@routes.route("/events", methods=["POST"], authorizer=IAMAuthorizer())
def events() -> Any:
    """Run `promote` on the posted notification, as Lambda would, and answer what it returns."""
    from app import promote  # the app registers this blueprint, so it can only be had later

    notification = routes.current_request.json_body
    if not isinstance(notification, dict) or not isinstance(notification.get("Records"), list):
        raise BadRequestError('Post an S3 notification: {"Records": [{"s3": ...}]}')
    return promote(notification, routes.lambda_context)


@routes.route("/sweep", methods=["POST"], authorizer=IAMAuthorizer())
def sweep() -> Any:
    """Run the sweep now; answer what it saw, and what `promote` made of what it handed over.

    There is no Lambda that it could invoke `promote` through: it runs in this process, at once.
    """
    from app import promote, seconds_left, sweeper

    outcomes: list[dict[str, Any]] = []

    def invoke(event: dict[str, Any]) -> None:
        outcomes.extend(promote(event, routes.lambda_context)["outcomes"])

    now = datetime.now(UTC)
    swept = replace(sweeper, invoke=invoke).sweep(
        now=now, scheduled=now, seconds_left=seconds_left(routes.lambda_context)
    )
    return {"sweep": swept.as_dict(), "outcomes": outcomes}
