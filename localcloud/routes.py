"""The routes of `chalice local`: feed the app an S3 notification by hand. Never in Lambda.

curl -d @notification.json -H 'Content-Type: application/json' http://127.0.0.1:8000/events
"""

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
