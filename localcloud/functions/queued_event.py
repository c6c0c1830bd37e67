"""An asynchronous event for a function."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from moto.awslambda.exceptions import UnknownFunctionException

from localcloud.functions.lambda_functions import find_function

LONGEST_AGE = 6 * 3600
"""Seconds that an event can wait, unless its function has a MaximumEventAgeInSeconds."""


@dataclass(frozen=True, kw_only=True)
class QueuedEvent:
    """An event for a function, waiting for its next attempt."""

    function_arn: str
    payload: Any
    accepted: datetime
    due: datetime
    """The earliest time of this attempt."""
    attempt: int = 1

    @property
    def function_name(self) -> str:
        return self.function_arn.rpartition(":")[2]

    @property
    def configuration(self) -> dict[str, Any]:
        """The function's configuration for asynchronous events; empty if there is no function.

        Running the event will report that.
        """
        try:
            configs = find_function(self.function_arn).event_invoke_config
        except UnknownFunctionException:
            return {}
        return dict(configs[0].config) if configs else {}

    @property
    def expires(self) -> datetime:
        """When the event is dropped."""
        age = self.configuration.get("MaximumEventAgeInSeconds", LONGEST_AGE)
        return self.accepted + timedelta(seconds=age)
