"""The routes of `chalice local`, which run the app's functions by hand. Never used in Lambda.

curl -d @notification.json -H 'Content-Type: application/json' http://127.0.0.1:8000/events
curl -X POST http://127.0.0.1:8000/sweep
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from chalice.app import BadRequestError, Blueprint, IAMAuthorizer

from chalicelib.watching.sweep import Sweeper

Promote = Callable[[Any, Any], dict[str, Any]]


def routes(
    promote: Promote, sweeper: Sweeper, *, seconds_left: Callable[[Any], Callable[[], float]]
) -> Blueprint:
    """The routes to the app's functions; `promote` takes an event and Lambda's context."""
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

    return blueprint
