"""CloudWatch's metrics: those that functions print, and those that Lambda and SNS count."""

import json
import threading
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from localcloud.alarms import Metric
from localcloud.clock import clock

# No alarm of AWS evaluates more than a week. Ten values a minute are kept for that long.
MOST_VALUES = 100_000
Point = tuple[datetime, float]


class Metrics:
    """The latest values of each metric."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._points: dict[Metric, deque[Point]] = defaultdict(lambda: deque(maxlen=MOST_VALUES))

    def add(
        self, namespace: str, name: str, value: float, *, at: datetime | None = None, **names: str
    ) -> None:
        """Add a value at a time, by default the cloud's; `names` are the dimensions."""
        metric = Metric(namespace, name, tuple(sorted(names.items())))
        with self._lock:
            self._points[metric].append((at or clock.now(), value))

    def count(self, name: str, function: str, value: int, *, at: datetime | None = None) -> None:
        """Add a value of one of Lambda's metrics of a function."""
        self.add("AWS/Lambda", name, value, at=at, FunctionName=function)

    def read_line(self, line: str) -> None:
        """Add the metrics in a line of a function's log, if it has any.

        CloudWatch user guide, "Specification: Embedded metric format".
        """
        if '"_aws"' not in line:
            return
        try:
            document = json.loads(line)
        except json.JSONDecodeError:
            return
        match document:
            case {"_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": list(directives)}}:
                at = datetime.fromtimestamp(milliseconds / 1000, UTC)
                for directive in directives:
                    self._add_embedded(document, directive, at)

    def snapshot(self) -> Mapping[Metric, Sequence[Point]]:
        """All values, as they are now."""
        with self._lock:
            return {metric: tuple(points) for metric, points in self._points.items()}

    def _add_embedded(
        self, document: Mapping[str, Any], directive: Mapping[str, Any], at: datetime
    ) -> None:
        for names in directive["Dimensions"]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                value = document[metric["Name"]]
                for one in value if isinstance(value, list) else [value]:
                    self.add(directive["Namespace"], metric["Name"], one, at=at, **dimensions)
