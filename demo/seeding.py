"""Stores three months of backups in the local cloud, for `make local ARGS=--seeded`."""

import bz2
import gzip
import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath
from random import Random
from uuid import UUID

from chalicelib.policy.decision import Upload
from chalicelib.policy.policy import Policy
from chalicelib.promotion.copying import carried
from demo.history import MINUTE, Planned, plan
from demo.keyring import Keyring
from localcloud.s3.earlier import put_earlier

_ENCRYPTED = (".gpg", ".pgp", ".asc")
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".tgz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}


def seed(policy: Policy, keyring: Keyring, *, incoming: str, vault: str, now: datetime) -> int:
    """Store the planned backups, and a contested upload in incoming. Returns their number."""
    backups = plan(policy, now)
    for planned, body in zip(backups, _bodies(backups, keyring), strict=True):
        _store(policy, planned, body, vault=vault, now=now)
    second = (each for each in backups if each.stored + 30 * MINUTE < min(now, each.slot.end))
    if filled := next(second, None):
        put_earlier(
            incoming,
            filled.key,
            Random(filled.key).randbytes(filled.size // 2),
            at=filled.stored + 30 * MINUTE,
        )
    return len(backups)


def _store(policy: Policy, planned: Planned, body: bytes, *, vault: str, now: datetime) -> None:
    """Store one backup as promote would have, in the storage class that it has by now."""
    upload = Upload(
        key=planned.key,
        etag=hashlib.md5(body, usedforsecurity=False).hexdigest(),
        size=len(body),
        last_modified=planned.uploaded,
        version_id=str(UUID(int=Random(planned.slot.name).getrandbits(128))),
    )
    copied = carried(upload, planned.slot)
    if policy.archive and now - planned.stored > timedelta(days=policy.archive.after_days):
        copied["StorageClass"] = policy.archive.to
    put_earlier(
        vault,
        planned.slot.name,
        body,
        at=planned.stored,
        metadata=copied["Metadata"],
        storage_class=copied["StorageClass"],
    )


def _bodies(backups: Sequence[Planned], keyring: Keyring) -> list[bytes]:
    """The bytes of each backup, encrypted if its name says so."""
    bodies = [_data(planned) for planned in backups]
    numbers = [number for number, planned in enumerate(backups) if planned.key.endswith(_ENCRYPTED)]
    encrypted = keyring.encrypt([bodies[number] for number in numbers])
    for number, body in zip(numbers, encrypted, strict=True):
        bodies[number] = body
    return bodies


def _data(planned: Planned) -> bytes:
    """What the server packs up, compressed as the name says."""
    random = Random(planned.slot.name)
    moment = f"{planned.uploaded:%Y-%m-%d %H:%M} UTC"
    name = planned.key
    for ending in _ENCRYPTED:
        name = name.removesuffix(ending)
    if ".tar" in name or name.endswith(".tgz"):
        files = {
            "site/index.html": f"<h1>Our village, {moment}</h1>\n".encode(),
            "site/photos/Frühling.jpg": random.randbytes(planned.size),
        }
        data = _archive(files, planned.uploaded)
    else:
        rows = [random.randbytes(40).hex() for _ in range(planned.size // 40)]
        lines = [f"insert into photos values ('{row}');" for row in rows]
        data = "\n".join([f"-- The database, {moment}", *lines, ""]).encode()
    return _COMPRESS.get(PurePath(name).suffix, bytes)(data)


def _archive(files: dict[str, bytes], moment: datetime) -> bytes:
    """A tar archive of these files."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), int(moment.timestamp())
            tar.addfile(member, io.BytesIO(data))
    return packed.getvalue()
