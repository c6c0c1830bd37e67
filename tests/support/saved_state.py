"""The state of a local cloud's account, saved once and then restored without requests."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from moto.backends import get_backend
from moto.s3.models import s3_backends

SERVICES = ("cloudwatch", "events", "iam", "lambda", "logs", "s3", "sns", "sts")


class SavedState:
    """What some requests make of an empty account, which holds no objects yet."""

    def __init__(self) -> None:
        self._saved: dict[tuple[str, str, str], Any] = {}
        self._owners: dict[str, Any] = {}

    def reach(self, make: Callable[[], Any]) -> None:
        """Call `make` the first time; afterwards restore the state that it left."""
        if not self._saved:
            make()
            self._saved = deepcopy(
                {
                    (service, account, region): backend
                    for service in SERVICES
                    for account, regions in get_backend(service).items()
                    for region, backend in regions.items()
                }
            )
            self._owners = dict(s3_backends.bucket_accounts)
            return
        for (service, account, region), backend in deepcopy(self._saved).items():
            get_backend(service)[account][region] = backend
        s3_backends.bucket_accounts.clear()
        s3_backends.bucket_accounts.update(self._owners)
