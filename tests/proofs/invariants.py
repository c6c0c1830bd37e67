"""The promises, as checks of what S3 holds before and after a step."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from moto.s3.models import (
    FakeBucket,
    FakeDeleteMarker,
    FakeKey,
    FakeMultipart,
    S3Backend,
    s3_backends,
)

from chalicelib.policy.policy import Policy
from localcloud.s3.versions import md5
from tests.support.world import bucket

INCOMING, VAULT = "backups1", "backups2"


@dataclass(frozen=True)
class Held:
    """One version of an object: its bytes, and everything that S3 stores about it."""

    name: str
    version_id: str
    body: bytes | None
    facts: tuple[Any, ...] = ()
    metadata: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tags: tuple[tuple[str, str], ...] = ()

    def says(self, name: str) -> str | None:
        """The value of its user metadata with this name."""
        return dict(self.metadata).get(f"x-amz-meta-{name}")


@dataclass(frozen=True)
class Holdings:
    """All that S3 holds at one moment. Multipart uploads are (key, ids, parts), oldest first.

    The IDs are the upload's own and the one that its version will have.
    """

    incoming: tuple[Held, ...]
    vault: dict[str, tuple[Held, ...]]
    unfinished: tuple[tuple[str, tuple[str, str], tuple[tuple[int, str], ...]], ...]


@dataclass(frozen=True)
class Uploaded:
    """One upload that a server made; `etag` is None if it was uploaded at once."""

    key: str
    body: bytes
    at: datetime
    version_id: str | None = None
    etag: str | None = None


def look() -> Holdings:
    """Read what S3 holds from moto's store: requests would take as long as a promotion."""
    vault = bucket(VAULT)
    return Holdings(
        incoming=tuple(
            version for versions in _versions(bucket(INCOMING)).values() for version in versions
        ),
        vault=_versions(vault),
        unfinished=tuple(
            (upload.key_name, (id_, upload.version_id), _parts(upload))
            for id_, upload in sorted(vault.multiparts.items())
        ),
    )


def check(
    before: Holdings, after: Holdings, *, uploads: Iterable[Uploaded], policy: Policy
) -> None:
    """Check that the vault keeps its versions, and that every new version is a copy of an upload.

    Uploads that are gone from incoming must be in the vault. (A server overwrites its own uploads
    only in steps of its own, which are not checked here.)
    """
    for name, held in before.vault.items():
        assert after.vault.get(name) == held, f"{name} was {held}, is {after.vault.get(name)}"
    for name in after.vault.keys() - before.vault.keys():
        [stored] = after.vault[name]
        assert any(_is_copy(stored, upload, policy) for upload in uploads), stored
    stored_bodies = {
        (version.says("source-key"), version.body)
        for versions in after.vault.values()
        for version in versions
    }
    # A version that appears twice, or reappears, would be a change too.
    for lost in Counter(before.incoming) - Counter(after.incoming):
        assert (lost.name, lost.body) in stored_bodies, f"lost: {lost}"
    assert not Counter(after.incoming) - Counter(before.incoming)


def _is_copy(stored: Held, upload: Uploaded, policy: Policy) -> bool:
    """Whether a slot holds exactly this upload: the same bytes, from the same source."""
    expected = {
        "source-key": upload.key,
        "source-etag": upload.etag or md5(upload.body),
        "source-last-modified": upload.at.astimezone(UTC).replace(microsecond=0).isoformat(),
    }
    if upload.version_id not in {None, "null"}:
        expected["source-version-id"] = upload.version_id
    return (
        stored.name == policy.slot_of(upload.key, upload.at).name
        and stored.body == upload.body
        and not stored.tags
        and {name: text for name, text in stored.metadata if name.startswith("x-amz-meta-")}
        == {f"x-amz-meta-{name}": text for name, text in expected.items()}
    )


def backend() -> S3Backend:
    return s3_backends["123456789012"]["aws"]


def keep(name: str) -> Any:
    """Everything in a bucket, for `put_back`."""
    of = bucket(name)
    versions = {key: list(held) for key, held in dict.items(of.keys)}
    return versions, {id_: (upload, dict(upload.parts)) for id_, upload in of.multiparts.items()}


def put_back(name: str, kept: Any) -> None:
    """Restore a bucket's earlier versions, which moto never changes in place."""
    versions, uploads = kept
    of = bucket(name)
    dict.clear(of.keys)
    for key, held in versions.items():
        dict.__setitem__(of.keys, key, list(held))
    of.multiparts.clear()
    for id_, (upload, parts) in uploads.items():
        upload.parts = dict(parts)
        of.multiparts[id_] = upload


def _versions(of: FakeBucket) -> dict[str, tuple[Held, ...]]:
    return {name: tuple(map(_held, versions)) for name, versions in dict.items(of.keys)}


def _parts(upload: FakeMultipart) -> tuple[tuple[int, str], ...]:
    return tuple((number, part.etag) for number, part in sorted(upload.parts.items()))


def _held(version: FakeKey | FakeDeleteMarker) -> Held:
    if isinstance(version, FakeDeleteMarker):
        return Held(name=version.name, version_id=version.version_id, body=None)
    return Held(
        name=version.name,
        version_id=version.version_id,
        body=version.value,
        facts=(
            version.etag,
            version.last_modified,
            version.storage_class,
            version.checksum_algorithm,
            version.checksum_value,
            version.lock_mode,
            version.lock_until,
            version.encryption,
        ),
        metadata=tuple(sorted(version.metadata.items())),
        tags=tuple(sorted(backend().tagger.get_tag_dict_for_resource(version.arn).items())),
    )
