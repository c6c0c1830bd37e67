"""Times as AWS writes them, parsed without guessing their format."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any


def known_time(value: Any) -> datetime | None:
    """Parse a time from S3's lists or headers; None for other formats."""
    return _known_time(value) if isinstance(value, str) else None


@lru_cache(maxsize=4096)
def _known_time(value: str) -> datetime | None:
    if value.endswith("Z"):
        return datetime.fromisoformat(value)
    if value.endswith(" GMT"):
        return parsedate_to_datetime(value)
    return None
