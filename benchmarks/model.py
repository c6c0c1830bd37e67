"""A model of S3: an object has only a size, its bytes are zeros, and every request takes time.

    CopyObject of 5 GiB  ->  LATENCY + 5 GiB / BANDWIDTH = 94.2 s
    GetObject of 8 MiB   ->  LATENCY + 8 MiB / READ_BANDWIDTH = 0.13 s

Only time and requests are modelled. The numbers are approximate: S3 guarantees none of them.
"""

import hashlib
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from heapq import merge
from html import unescape
from itertools import islice, takewhile
from operator import itemgetter
from typing import Any, NoReturn
from xml.sax.saxutils import escape

# Seconds of a request that moves nothing, sent from within the region. This is less than the
# "roughly 100-200 milliseconds" of the S3 user guide ("Best practices design patterns"): a higher
# latency would favour programs with fewer sequential requests, such as ours.
LATENCY = 0.030
# Bytes per second of one copy, by CopyObject or UploadPartCopy. Reported: 4 GB in 72 s, 56 MB/s
# (github.com/s3fs-fuse/s3fs-fuse/pull/940); 250 MB in about 3 s, 83 MB/s
# (github.com/aws/aws-sdk-js-v3/issues/2917).
BANDWIDTH = 57_000_000
# Bytes per second of one GetObject: "each concurrent request" brings "85-90 MB/s" (S3 user guide,
# "Performance guidelines for Amazon S3").
READ_BANDWIDTH = 85_000_000
# S3's limits (S3 user guide, "Amazon S3 multipart upload limits").
LARGEST_COPY = 5 * 1024**3
SMALLEST_PART = 5 * 1024**2
MAX_PARTS = 10_000
PAGE = 1000

# Any value will do for a client that only passes the checksum on, and reads no bytes.
CHECKSUM = "AAAAAAAAAAA="
CHECKSUM_HEADER = "x-amz-checksum-crc64nvme"
CHECKSUM_ELEMENTS = (
    f"<ChecksumCRC64NVME>{CHECKSUM}</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"
)

LOCK_MODE, LOCK_DAYS = "GOVERNANCE", 30
# The bucket's settings, by their names in the query, with the error for a bucket that has none
# (empty: it has one).
ABSENT = {
    "policy": "NoSuchBucketPolicy",
    "versioning": "",
    "object-lock": "",
    "lifecycle": "NoSuchLifecycleConfiguration",
    "encryption": "ServerSideEncryptionConfigurationNotFoundError",
    "publicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "ownershipControls": "OwnershipControlsNotFoundError",
    "notification": "",
    "replication": "ReplicationConfigurationNotFoundError",
}
SETTINGS = {
    "versioning": "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
    "object-lock": "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"
    f"<DefaultRetention><Mode>{LOCK_MODE}</Mode><Days>{LOCK_DAYS}</Days></DefaultRetention></Rule>"
    "</ObjectLockConfiguration>",
    "notification": "<NotificationConfiguration></NotificationConfiguration>",
}


@dataclass(frozen=True, kw_only=True)
class Request:
    """A path-style request; the names of its headers are lowercase."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Response:
    """S3's response, after `copied` bytes have been copied (None: the request is not a copy).

    `zeros` is how many bytes of an object follow the headers instead of a `body`.
    """

    operation: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    copied: int | None = None
    zeros: int = 0

    @property
    def seconds(self) -> float:
        """The time that S3 takes until it sends the headers."""
        return LATENCY + (self.copied or 0) / BANDWIDTH


@dataclass(frozen=True, kw_only=True)
class ObjectVersion:
    """A version of an object, with its size instead of its bytes."""

    size: int
    etag: str
    version_id: str = "null"
    checksum: str = CHECKSUM
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass(frozen=True, kw_only=True)
class Series:
    """`number` versions of one key, evenly spaced up to `newest`. These versions take no memory."""

    number: int
    apart: timedelta
    newest: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __getitem__(self, index: int) -> ObjectVersion:
        """Return a version by its position in S3's order: 0 is the newest."""
        return ObjectVersion(
            size=1_000_000,
            etag=f"{index:032x}",
            version_id=str(index),
            modified=self.newest - index * self.apart,
        )


@dataclass(frozen=True, kw_only=True)
class Dated:
    """`number` objects whose names are dates, as `promote` stores them. They take no memory.

    `pattern` is a strftime pattern in UTC; each object was stored a minute after its slot began.
    The newest belongs to the slot that ended last.
    """

    bucket: str
    pattern: str
    number: int
    apart: timedelta
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> str:
        """Return the name at this position in S3's order, which is from oldest to newest."""
        return self._start(index).strftime(self.pattern)

    def version(self, index: int) -> ObjectVersion:
        """Return the object with this name."""
        return ObjectVersion(
            size=1_000_000,
            etag=_etag(self[index]),
            version_id=str(index),
            modified=self._start(index) + timedelta(minutes=1),
        )

    def _start(self, index: int) -> datetime:
        this_slot = self.now - (self.now - datetime.min.replace(tzinfo=UTC)) % self.apart
        return this_slot - (self.number - index) * self.apart


@dataclass(kw_only=True)
class Multipart:
    """An unfinished multipart upload; `parts` are (first byte, last byte) in the source."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)


class S3Error(Exception):
    """A request that fails, with S3's status and code."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Model:
    """The objects and multipart uploads of one account. Only `respond` changes them.

    Its buckets keep versions, as ours do, but no upload overwrites another: each key has at most
    one version, or a series. A delete without a version id removes the version, as in a bucket
    that keeps none.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], ObjectVersion] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self.dated: list[Dated] = []
        self.multiparts: dict[str, Multipart] = {}
        self.ranges_copied: Counter[tuple[int, int]] = Counter()
        """How often each range of bytes was copied as a part."""
        self._multiparts_created = 0

    def add(self, bucket: str, key: str, size: int, *, checksum: str = CHECKSUM) -> None:
        """Store an object of this size, and with this checksum."""
        self.objects[bucket, key] = ObjectVersion(
            size=size,
            etag=_etag(f"{bucket}/{key}/{size}"),
            version_id=_version_id(bucket, key),
            checksum=checksum,
        )

    def respond(self, request: Request) -> Response:
        """Return S3's response, which can be an error."""
        operation = _operation(request)
        try:
            response = getattr(self, f"_{operation}")(request)
        except S3Error as error:
            return Response(
                operation=operation,
                status=error.status,
                body=f"<Error><Code>{error.code}</Code><Message>denied</Message></Error>",
            )
        return Response(operation=operation, **response)

    def _head_object(self, request: Request) -> dict[str, Any]:
        version = self._version(request)
        headers = {
            "Content-Length": str(version.size),
            "Content-Type": "binary/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{version.etag}"',
            "x-amz-version-id": version.version_id,
            "Last-Modified": format_datetime(version.modified, usegmt=True),
            **{f"x-amz-meta-{name}": value for name, value in version.metadata.items()},
        }
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= {CHECKSUM_HEADER: version.checksum, "x-amz-checksum-type": "FULL_OBJECT"}
        return {"headers": headers}

    def _get_object(self, request: Request) -> dict[str, Any]:
        headers, size = self._head_object(request)["headers"], self._version(request).size
        expected = request.headers.get("if-match", headers["ETag"])
        if expected.strip('"') != headers["ETag"].strip('"'):
            raise S3Error(412, "PreconditionFailed")
        byte_range = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", ""))
        if not byte_range:
            return {"headers": headers, "zeros": size}
        first, last = int(byte_range[1]), min(int(byte_range[2] or size), size - 1)
        if first > last:
            raise S3Error(416, "InvalidRange")
        # S3 has no checksum of a range.
        headers = {name: headers[name] for name in headers if "checksum" not in name}
        headers["Content-Length"] = str(last + 1 - first)
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return {"status": 206, "headers": headers, "zeros": last + 1 - first}

    def _copy_object(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        if source.size > LARGEST_COPY:
            raise S3Error(400, "InvalidRequest")
        self._require_free_key(request)
        version = ObjectVersion(
            size=source.size,
            etag=source.etag,
            version_id=_version_id(request.bucket, request.key),
            metadata=_metadata(request),
        )
        self.objects[request.bucket, request.key] = version
        return {"body": _copied("CopyObjectResult", version), "copied": source.size}

    def _create_multipart_upload(self, request: Request) -> dict[str, Any]:
        self._multiparts_created += 1
        upload_id = f"upload-{self._multiparts_created}"
        self.multiparts[upload_id] = Multipart(
            bucket=request.bucket, key=request.key, metadata=_metadata(request)
        )
        return {
            "body": f"<InitiateMultipartUploadResult><Bucket>{request.bucket}</Bucket>"
            f"<Key>{escape(request.key)}</Key><UploadId>{upload_id}</UploadId>"
            "</InitiateMultipartUploadResult>"
        }

    def _upload_part_copy(self, request: Request) -> dict[str, Any]:
        multipart, source = self._multipart(request), self._source(request)
        number = int(request.query["partNumber"])
        byte_range = request.headers.get("x-amz-copy-source-range", f"bytes=0-{source.size - 1}")
        first, last = map(int, byte_range.removeprefix("bytes=").split("-"))
        length = last + 1 - first
        if not (1 <= number <= MAX_PARTS and last < source.size and length <= LARGEST_COPY):
            raise S3Error(400, "InvalidArgument")
        self.ranges_copied[first, last] += 1
        multipart.parts[number] = (first, last)
        version = ObjectVersion(size=length, etag=_part_etag(first, last))
        return {"body": _copied("CopyPartResult", version), "copied": length}

    def _complete_multipart_upload(self, request: Request) -> dict[str, Any]:
        multipart, body = self._multipart(request), unescape(request.body.decode())
        numbers = [int(number) for number in re.findall("<PartNumber>([0-9]+)</PartNumber>", body)]
        etags = re.findall('<ETag>"?([0-9a-f]+)"?</ETag>', body)
        if numbers != sorted(set(numbers)):
            raise S3Error(400, "InvalidPartOrder")
        if etags != [_part_etag(*multipart.parts[n]) for n in numbers if n in multipart.parts]:
            raise S3Error(400, "InvalidPart")
        ranges = [multipart.parts[number] for number in numbers]
        if any(last + 1 - first < SMALLEST_PART for first, last in ranges[:-1]):
            raise S3Error(400, "EntityTooSmall")
        # A client must copy the whole source, in order. S3 itself cannot check this.
        ends = [-1, *(last for _, last in ranges)]
        if [first for first, _ in ranges] != [end + 1 for end in ends[:-1]]:
            raise S3Error(400, "InvalidPart")
        size = ends[-1] + 1
        if int(request.headers.get("x-amz-mp-object-size", size)) != size:
            raise S3Error(400, "InvalidRequest")
        if request.headers.get(CHECKSUM_HEADER, CHECKSUM) != CHECKSUM:
            raise S3Error(400, "BadDigest")
        self._require_free_key(request)
        version = ObjectVersion(
            size=size,
            etag=f"{_etag(str(ranges))}-{len(ranges)}",
            version_id=_version_id(request.bucket, request.key),
            metadata=multipart.metadata,
        )
        self.objects[request.bucket, request.key] = version
        del self.multiparts[request.query["uploadId"]]
        return {
            "body": f"<CompleteMultipartUploadResult><Bucket>{request.bucket}</Bucket>"
            f"<Key>{escape(request.key)}</Key><ETag>&quot;{version.etag}&quot;</ETag>"
            f"{CHECKSUM_ELEMENTS}</CompleteMultipartUploadResult>"
        }

    def _abort_multipart_upload(self, request: Request) -> dict[str, Any]:
        self._multipart(request)
        del self.multiparts[request.query["uploadId"]]
        return {"status": 204}

    def _list_multipart_uploads(self, request: Request) -> dict[str, Any]:
        prefix = request.query.get("prefix", "")
        uploads = "".join(
            f"<Upload><Key>{escape(multipart.key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{_iso(multipart.created)}</Initiated></Upload>"
            for upload_id, multipart in self.multiparts.items()
            if multipart.bucket == request.bucket and multipart.key.startswith(prefix)
        )
        return {
            "body": "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
            f"{uploads}</ListMultipartUploadsResult>"
        }

    def _delete_object(self, request: Request) -> dict[str, Any]:
        version = self.objects.get((request.bucket, request.key))
        expected = request.headers.get("if-match", "*").strip('"')
        if version and expected not in {"*", version.etag}:
            raise S3Error(412, "PreconditionFailed")
        if version and request.query.get("versionId", version.version_id) == version.version_id:
            del self.objects[request.bucket, request.key]
        return {"status": 204}

    def _list_objects(self, request: Request) -> dict[str, Any]:
        contents = [
            f"<Contents>{self._entry(key, version)}</Contents>"
            for key, version in self._in_bucket(request)
        ]
        return {
            "body": f"<ListBucketResult><Name>{request.bucket}</Name><KeyCount>{len(contents)}"
            "</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
            f"{''.join(contents)}</ListBucketResult>"
        }

    def _list_object_versions(self, request: Request) -> dict[str, Any]:
        page = list(islice(self._versions(request), PAGE + 1))
        entries = "".join(
            f"<Version>{self._entry(key, version)}<VersionId>{version.version_id}</VersionId>"
            "<IsLatest>false</IsLatest></Version>"
            for key, version in page[:PAGE]
        )
        markers = ""
        if len(page) > PAGE:
            key, last = page[PAGE - 1]
            markers = (
                f"<NextKeyMarker>{escape(key)}</NextKeyMarker>"
                f"<NextVersionIdMarker>{last.version_id}</NextVersionIdMarker>"
            )
        return {
            "body": f"<ListVersionsResult><Name>{request.bucket}</Name><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{'true' if markers else 'false'}</IsTruncated>{markers}{entries}"
            "</ListVersionsResult>"
        }

    def _versions(self, request: Request) -> Iterator[tuple[str, ObjectVersion]]:
        """Return the versions that S3 lists after the markers."""
        dated = (_after(one, request) for one in self.dated if one.bucket == request.bucket)
        return merge(self._undated_versions(request), *dated, key=itemgetter(0))

    def _undated_versions(self, request: Request) -> Iterator[tuple[str, ObjectVersion]]:
        marker = request.query.get("key-marker", "")
        version_marker = request.query.get("version-id-marker")
        prefix = request.query.get("prefix", "")
        keys = {key for bucket, key in (*self.objects, *self.series) if bucket == request.bucket}
        for key in sorted(key for key in keys if key.startswith(prefix) and key >= marker):
            first = 0
            if key == marker:
                if version_marker is None or (request.bucket, key) not in self.series:
                    continue
                first = int(version_marker) + 1
            if series := self.series.get((request.bucket, key)):
                yield from ((key, series[index]) for index in range(first, series.number))
            else:
                yield key, self.objects[request.bucket, key]

    def _in_bucket(self, request: Request) -> list[tuple[str, ObjectVersion]]:
        prefix = request.query.get("prefix", "")
        return sorted(
            (
                (key, version)
                for (bucket, key), version in self.objects.items()
                if bucket == request.bucket and key.startswith(prefix)
            ),
            key=lambda item: item[0],
        )

    def _entry(self, key: str, version: ObjectVersion) -> str:
        return (
            f"<Key>{escape(key)}</Key><LastModified>{_iso(version.modified)}</LastModified>"
            f"<ETag>&quot;{version.etag}&quot;</ETag><Size>{version.size}</Size>"
            "<StorageClass>STANDARD</StorageClass>"
        )

    def _head_bucket(self, _request: Request) -> dict[str, Any]:
        return {}

    def _create_bucket(self, _request: Request) -> dict[str, Any]:
        raise S3Error(409, "BucketAlreadyOwnedByYou")

    def _get_bucket_location(self, _request: Request) -> dict[str, Any]:
        return {"body": "<LocationConstraint></LocationConstraint>"}

    def _get_object_tagging(self, request: Request) -> dict[str, Any]:
        self._version(request)
        return {"body": "<Tagging><TagSet></TagSet></Tagging>"}

    def _get_object_acl(self, request: Request) -> dict[str, Any]:
        self._version(request)
        return {
            "body": "<AccessControlPolicy><Owner><ID>1</ID></Owner><AccessControlList>"
            "</AccessControlList></AccessControlPolicy>"
        }

    def _put_object_acl(self, request: Request) -> dict[str, Any]:
        self._version(request)
        return {}

    def _get_object_retention(self, request: Request) -> dict[str, Any]:
        version = self._version(request)
        until = version.modified + timedelta(days=LOCK_DAYS)
        return {
            "body": f"<Retention><Mode>{LOCK_MODE}</Mode><RetainUntilDate>{_iso(until)}"
            "</RetainUntilDate></Retention>"
        }

    def _get_bucket_setting(self, request: Request) -> dict[str, Any]:
        """Return a bucket's setting: it only has versions and a default lock."""
        setting = next(iter(request.query.keys() & ABSENT.keys()))
        if code := ABSENT[setting]:
            raise S3Error(404, code)
        return {"body": SETTINGS.get(setting, "")}

    def _unknown(self, _request: Request) -> NoReturn:
        raise S3Error(501, "NotImplemented")

    def _version(self, request: Request) -> ObjectVersion:
        if series := self.series.get((request.bucket, request.key)):
            return series[int(request.query.get("versionId", 0))]
        if version := self.objects.get((request.bucket, request.key)):
            return version
        for dated in self.dated:
            index = bisect_left(dated, request.key)
            is_there = index < len(dated) and dated[index] == request.key
            if dated.bucket == request.bucket and is_there:
                return dated.version(index)
        raise S3Error(404, "NoSuchKey")

    def _multipart(self, request: Request) -> Multipart:
        try:
            return self.multiparts[request.query["uploadId"]]
        except KeyError:
            raise S3Error(404, "NoSuchUpload") from None

    def _source(self, request: Request) -> ObjectVersion:
        path, _, query = request.headers["x-amz-copy-source"].lstrip("/").partition("?")
        bucket, _, key = path.partition("/")
        version = self._version(Request(method="", bucket=bucket, key=key, query={}, headers={}))
        version_id = query.removeprefix("versionId=") or version.version_id
        if version_id != version.version_id:
            raise S3Error(404, "NoSuchVersion")
        expected = request.headers.get("x-amz-copy-source-if-match", version.etag).strip('"')
        if expected != version.etag:
            raise S3Error(412, "PreconditionFailed")
        return version

    def _require_free_key(self, request: Request) -> None:
        if "if-none-match" in request.headers and (request.bucket, request.key) in self.objects:
            raise S3Error(412, "PreconditionFailed")


def _operation(request: Request) -> str:
    """Return boto3's name of the request."""
    query = request.query.keys()
    is_copy = "x-amz-copy-source" in request.headers
    by_query: dict[str, str] = {}
    otherwise = "unknown"
    match request.method:
        case "HEAD":
            return "head_object" if request.key else "head_bucket"
        case "GET" if request.key:
            otherwise = "get_object"
            by_query = {
                "retention": "get_object_retention",
                "tagging": "get_object_tagging",
                "acl": "get_object_acl",
            }
        case "GET":
            otherwise = "list_objects"
            by_query = dict.fromkeys(ABSENT, "get_bucket_setting") | {
                "uploads": "list_multipart_uploads",
                "versions": "list_object_versions",
                "location": "get_bucket_location",
            }
        case "PUT" if not request.key:
            return "create_bucket"
        case "PUT" if is_copy:
            otherwise = "copy_object"
            by_query = {"uploadId": "upload_part_copy"}
        case "PUT":
            by_query = {"acl": "put_object_acl"}
        case "POST":
            by_query = {
                "uploads": "create_multipart_upload",
                "uploadId": "complete_multipart_upload",
            }
        case "DELETE" if request.key:
            return "abort_multipart_upload" if "uploadId" in query else "delete_object"
    return next((name for parameter, name in by_query.items() if parameter in query), otherwise)


def _after(dated: Dated, request: Request) -> Iterator[tuple[str, ObjectVersion]]:
    """Return the dated objects that S3 lists after the marker."""
    prefix = request.query.get("prefix", "")
    marker = request.query.get("key-marker", "")
    first = max(bisect_right(dated, marker), bisect_left(dated, prefix))
    names = ((dated[index], dated.version(index)) for index in range(first, len(dated)))
    return takewhile(lambda named: named[0].startswith(prefix), names)


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-amz-meta-"
    return {
        name.removeprefix(prefix): value
        for name, value in request.headers.items()
        if name.startswith(prefix)
    }


def _copied(element: str, version: ObjectVersion) -> str:
    return (
        f"<{element}><LastModified>{_iso(version.modified)}</LastModified>"
        f"<ETag>&quot;{version.etag}&quot;</ETag>{CHECKSUM_ELEMENTS}</{element}>"
    )


def _etag(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _part_etag(first: int, last: int) -> str:
    return _etag(f"{first}-{last}")


def _version_id(bucket: str, key: str) -> str:
    return _etag(f"version of {bucket}/{key}")


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"
