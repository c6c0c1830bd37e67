"""Floods of uploads, of which only the first is sent as a request."""

from datetime import datetime
from typing import Any

from localcloud.s3 import versions
from localcloud.s3.events import next_moment
from tests.support.world import DAILY, World, bucket


def flood(
    world: World, body: bytes, *, at: datetime, times: int, key: str = DAILY, **more: Any
) -> None:
    """Upload once, then put copies of that version directly into the store."""
    world.upload(body, key=key, at=at, **more)
    incoming = bucket("backups1")
    [*earlier, first] = incoming.keys.getlist(key)
    others = []
    for number in range(1, times):
        version = object.__new__(type(first))
        vars(version).update(vars(first), _version_id=f"flood-{number}", place=next_moment())
        versions._places[incoming.name, key, version.version_id] = version.place
        others.append(version)
    dict.__setitem__(incoming.keys, key, [*earlier, first, *others])
