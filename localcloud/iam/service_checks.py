"""A permission that a request to a service other than S3 needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class ServiceCheck:
    """One action on one resource; the resource is `*` if it is unknown or there is none."""

    action: str
    resource: str = "*"
    context: Mapping[str, str] = field(default_factory=dict)
