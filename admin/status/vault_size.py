"""How much the vault holds, as S3 counts it once a day for CloudWatch."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from admin.target import Target

# The dimension StorageType, by storage class (S3 user guide, "Metrics and dimensions").
STORAGE_TYPES = {
    "STANDARD": "StandardStorage",
    "STANDARD_IA": "StandardIAStorage",
    "GLACIER_IR": "GlacierInstantRetrievalStorage",
    "GLACIER": "GlacierStorage",
    "DEEP_ARCHIVE": "DeepArchiveStorage",
}
OBJECTS = "objects"
A_DAY = 86_400  # seconds
# S3 counts once a day, and CloudWatch can show it a day later.
LOOKBACK = timedelta(days=4)


@dataclass(frozen=True, kw_only=True)
class VaultSize:
    """Bytes by storage class, and the number of objects, on a day in UTC.

    All versions count, and the parts of unfinished copies.
    """

    day: date
    stored: Mapping[str, int]
    objects: int | None


def vault_size(target: Target, *, now: datetime) -> VaultSize | None:
    """The last count of the vault; None if CloudWatch has none yet."""
    queries = [
        _query(storage_class.lower(), "BucketSizeBytes", target.vault, storage_type)
        for storage_class, storage_type in STORAGE_TYPES.items()
    ]
    queries.append(_query(OBJECTS, "NumberOfObjects", target.vault, "AllStorageTypes"))
    # The days that CloudWatch returns begin at the start's time of day.
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    answer = target.vault_account.client("cloudwatch").get_metric_data(
        MetricDataQueries=queries, StartTime=today - LOOKBACK, EndTime=now
    )
    points = {
        result["Id"]: dict(zip(result["Timestamps"], result["Values"], strict=True))
        for result in answer["MetricDataResults"]
    }
    days = [moment for values in points.values() for moment in values]
    if not days:
        return None
    last = max(days)
    counted = {name: round(values[last]) for name, values in points.items() if last in values}
    objects = counted.pop(OBJECTS, None)
    stored = {name.upper(): size for name, size in counted.items()}
    return VaultSize(day=last.date(), stored=stored, objects=objects)


def _query(name: str, metric: str, bucket: str, storage_type: str) -> dict[str, Any]:
    dimensions = {"StorageType": storage_type, "BucketName": bucket}
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/S3",
                "MetricName": metric,
                "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
            },
            "Period": A_DAY,
            "Stat": "Average",
        },
    }
