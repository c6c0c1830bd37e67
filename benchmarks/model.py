"""A model of S3 that moves no bytes: objects have a size, and every request takes its time.

    CopyObject of 5 GiB  ->  LATENCY + 5 GiB / BANDWIDTH = 94.2 s

Only time and requests are modelled. The numbers are indicative: S3 promises none of them.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from html import unescape
from itertools import islice
from typing import Any, NoReturn
from xml.sax.saxutils import escape

# Seconds until S3 answers a request that moves nothing, from within the region. Less than the
# "roughly 100-200 milliseconds" of the S3 user guide ("Best practices design patterns"): a larger
# one would favour whoever makes fewer requests one after the other, which is ours.
LATENCY = 0.030
# Bytes per second of one copy, by CopyObject or UploadPartCopy. Reported: 4 GB in 72 s, 56 MB/s
# (github.com/s3fs-fuse/s3fs-fuse/pull/940); 250 MB in about 3 s, 83 MB/s
# (github.com/aws/aws-sdk-js-v3/issues/2917).
BANDWIDTH = 57_000_000
# What S3 allows (S3 user guide, "Amazon S3 multipart upload limits").
LARGEST_COPY = 5 * 1024**3
SMALLEST_PART = 5 * 1024**2
MOST_PARTS = 10_000
PAGE = 1000

# Any value: no client can compute one without bytes. That it is passed on is what is checked.
CHECKSUM = "AAAAAAAAAAA="
CHECKSUM_HEADER = "x-amz-checksum-crc64nvme"
CHECKSUM_ELEMENTS = (
    f"<ChecksumCRC64NVME>{CHECKSUM}</ChecksumCRC64NVME><ChecksumType>FULL_OBJECT</ChecksumType>"
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request by path style; names of headers in lower case."""

    method: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the client gets, after `copied` bytes have been copied (None: this was no copy)."""

    operation: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    copied: int | None = None

    @property
    def seconds(self) -> float:
        """How long S3 takes for it."""
        return LATENCY + (self.copied or 0) / BANDWIDTH


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A version of an object; of its bytes nothing but how many they are."""

    size: int
    etag: str
    version: str = "null"
    metadata: Mapping[str, str] = field(default_factory=dict)
    modified: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


@dataclass(frozen=True, kw_only=True)
class Series:
    """So many versions of one key, evenly apart until `newest`; none of them takes memory."""

    number: int
    apart: timedelta
    newest: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    def __getitem__(self, index: int) -> Thing:
        """As S3 lists them: 0 is the newest."""
        return Thing(
            size=1_000_000,
            etag=f"{index:032x}",
            version=str(index),
            modified=self.newest - index * self.apart,
        )


@dataclass(kw_only=True)
class Unfinished:
    """A multipart upload: of each part its (first byte, last byte) in the source."""

    bucket: str
    key: str
    metadata: Mapping[str, str]
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    parts: dict[int, tuple[int, int]] = field(default_factory=dict)


class Refused(Exception):
    """S3's own code of an error."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


class Model:
    """The objects and unfinished uploads of one account; `answer` is all that happens to them.

    Its buckets keep versions, as ours do, but nothing is uploaded over anything: each key has one
    at most, or a series. Whoever deletes without naming a version removes it too, as from a bucket
    without them.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Thing] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self.unfinished: dict[str, Unfinished] = {}
        self.ranges_copied: Counter[tuple[int, int]] = Counter()
        """How often each range of bytes was copied as a part."""
        self._begun = 0

    def add(self, bucket: str, key: str, size: int) -> None:
        """Put an object there."""
        self.objects[bucket, key] = Thing(
            size=size, etag=_etag(f"{bucket}/{key}/{size}"), version=_version(bucket, key)
        )

    def answer(self, request: Request) -> Answer:
        """S3's answer; errors are answers too."""
        operation = _operation(request)
        try:
            answer = getattr(self, f"_{operation}")(request)
        except Refused as refused:
            return Answer(
                operation=operation,
                status=refused.status,
                body=f"<Error><Code>{refused.code}</Code><Message>refused</Message></Error>",
            )
        return Answer(operation=operation, **answer)

    def _head_object(self, request: Request) -> dict[str, Any]:
        thing = self._thing(request)
        headers = {
            "Content-Length": str(thing.size),
            "Content-Type": "binary/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": f'"{thing.etag}"',
            "x-amz-version-id": thing.version,
            "Last-Modified": format_datetime(thing.modified, usegmt=True),
            **{f"x-amz-meta-{name}": value for name, value in thing.metadata.items()},
        }
        if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED":
            headers |= {CHECKSUM_HEADER: CHECKSUM, "x-amz-checksum-type": "FULL_OBJECT"}
        return {"headers": headers}

    def _copy_object(self, request: Request) -> dict[str, Any]:
        source = self._source(request)
        if source.size > LARGEST_COPY:
            raise Refused(400, "InvalidRequest")
        self._only_if_free(request)
        thing = Thing(
            size=source.size,
            etag=source.etag,
            version=_version(request.bucket, request.key),
            metadata=_metadata(request),
        )
        self.objects[request.bucket, request.key] = thing
        return {"body": _copied("CopyObjectResult", thing), "copied": source.size}

    def _create_multipart_upload(self, request: Request) -> dict[str, Any]:
        self._begun += 1
        upload_id = f"upload-{self._begun}"
        self.unfinished[upload_id] = Unfinished(
            bucket=request.bucket, key=request.key, metadata=_metadata(request)
        )
        return {
            "body": f"<InitiateMultipartUploadResult><Bucket>{request.bucket}</Bucket>"
            f"<Key>{escape(request.key)}</Key><UploadId>{upload_id}</UploadId>"
            "</InitiateMultipartUploadResult>"
        }

    def _upload_part_copy(self, request: Request) -> dict[str, Any]:
        upload, source = self._upload(request), self._source(request)
        number = int(request.query["partNumber"])
        wanted = request.headers.get("x-amz-copy-source-range", f"bytes=0-{source.size - 1}")
        first, last = map(int, wanted.removeprefix("bytes=").split("-"))
        length = last + 1 - first
        if not (1 <= number <= MOST_PARTS and last < source.size and length <= LARGEST_COPY):
            raise Refused(400, "InvalidArgument")
        self.ranges_copied[first, last] += 1
        upload.parts[number] = (first, last)
        thing = Thing(size=length, etag=_part_etag(first, last))
        return {"body": _copied("CopyPartResult", thing), "copied": length}

    def _complete_multipart_upload(self, request: Request) -> dict[str, Any]:
        upload, body = self._upload(request), unescape(request.body.decode())
        numbers = [int(number) for number in re.findall("<PartNumber>([0-9]+)</PartNumber>", body)]
        etags = re.findall('<ETag>"?([0-9a-f]+)"?</ETag>', body)
        if numbers != sorted(set(numbers)):
            raise Refused(400, "InvalidPartOrder")
        if etags != [_part_etag(*upload.parts[n]) for n in numbers if n in upload.parts]:
            raise Refused(400, "InvalidPart")
        ranges = [upload.parts[number] for number in numbers]
        if any(last + 1 - first < SMALLEST_PART for first, last in ranges[:-1]):
            raise Refused(400, "EntityTooSmall")
        # A client that copies other than the whole source, in order, is wrong: S3 cannot know that.
        ends = [-1, *(last for _, last in ranges)]
        if [first for first, _ in ranges] != [end + 1 for end in ends[:-1]]:
            raise Refused(400, "InvalidPart")
        size = ends[-1] + 1
        if int(request.headers.get("x-amz-mp-object-size", size)) != size:
            raise Refused(400, "InvalidRequest")
        if request.headers.get(CHECKSUM_HEADER, CHECKSUM) != CHECKSUM:
            raise Refused(400, "BadDigest")
        self._only_if_free(request)
        thing = Thing(
            size=size,
            etag=f"{_etag(str(ranges))}-{len(ranges)}",
            version=_version(request.bucket, request.key),
            metadata=upload.metadata,
        )
        self.objects[request.bucket, request.key] = thing
        del self.unfinished[request.query["uploadId"]]
        return {
            "body": f"<CompleteMultipartUploadResult><Bucket>{request.bucket}</Bucket>"
            f"<Key>{escape(request.key)}</Key><ETag>&quot;{thing.etag}&quot;</ETag>"
            f"{CHECKSUM_ELEMENTS}</CompleteMultipartUploadResult>"
        }

    def _abort_multipart_upload(self, request: Request) -> dict[str, Any]:
        self._upload(request)
        del self.unfinished[request.query["uploadId"]]
        return {"status": 204}

    def _list_multipart_uploads(self, request: Request) -> dict[str, Any]:
        prefix = request.query.get("prefix", "")
        uploads = "".join(
            f"<Upload><Key>{escape(upload.key)}</Key><UploadId>{upload_id}</UploadId>"
            f"<Initiated>{_iso(upload.begun)}</Initiated></Upload>"
            for upload_id, upload in self.unfinished.items()
            if upload.bucket == request.bucket and upload.key.startswith(prefix)
        )
        return {
            "body": "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>"
            f"{uploads}</ListMultipartUploadsResult>"
        }

    def _delete_object(self, request: Request) -> dict[str, Any]:
        thing = self.objects.get((request.bucket, request.key))
        expected = request.headers.get("if-match", "*").strip('"')
        if thing and expected not in {"*", thing.etag}:
            raise Refused(412, "PreconditionFailed")
        if thing and request.query.get("versionId", thing.version) == thing.version:
            del self.objects[request.bucket, request.key]
        return {"status": 204}

    def _list_objects(self, request: Request) -> dict[str, Any]:
        found = [
            f"<Contents>{self._listed(key, thing)}</Contents>"
            for key, thing in self._in_bucket(request)
        ]
        return {
            "body": f"<ListBucketResult><Name>{request.bucket}</Name><KeyCount>{len(found)}"
            "</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>"
            f"{''.join(found)}</ListBucketResult>"
        }

    def _list_object_versions(self, request: Request) -> dict[str, Any]:
        page = list(islice(self._versions(request), PAGE + 1))
        listed = "".join(
            f"<Version>{self._listed(key, thing)}<VersionId>{thing.version}</VersionId>"
            "<IsLatest>false</IsLatest></Version>"
            for key, thing in page[:PAGE]
        )
        more = ""
        if len(page) > PAGE:
            key, last = page[PAGE - 1]
            more = (
                f"<NextKeyMarker>{escape(key)}</NextKeyMarker>"
                f"<NextVersionIdMarker>{last.version}</NextVersionIdMarker>"
            )
        return {
            "body": f"<ListVersionsResult><Name>{request.bucket}</Name><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{more}{listed}"
            "</ListVersionsResult>"
        }

    def _versions(self, request: Request) -> Iterator[tuple[str, Thing]]:
        """What S3 lists behind the markers."""
        marker = request.query.get("key-marker", "")
        behind = request.query.get("version-id-marker")
        prefix = request.query.get("prefix", "")
        keys = {key for bucket, key in (*self.objects, *self.series) if bucket == request.bucket}
        for key in sorted(key for key in keys if key.startswith(prefix) and key >= marker):
            first = 0
            if key == marker:
                if behind is None or (request.bucket, key) not in self.series:
                    continue
                first = int(behind) + 1
            if series := self.series.get((request.bucket, key)):
                yield from ((key, series[index]) for index in range(first, series.number))
            else:
                yield key, self.objects[request.bucket, key]

    def _in_bucket(self, request: Request) -> list[tuple[str, Thing]]:
        prefix = request.query.get("prefix", "")
        return sorted(
            (
                (key, thing)
                for (bucket, key), thing in self.objects.items()
                if bucket == request.bucket and key.startswith(prefix)
            ),
            key=lambda found: found[0],
        )

    def _listed(self, key: str, thing: Thing) -> str:
        return (
            f"<Key>{escape(key)}</Key><LastModified>{_iso(thing.modified)}</LastModified>"
            f"<ETag>&quot;{thing.etag}&quot;</ETag><Size>{thing.size}</Size>"
            "<StorageClass>STANDARD</StorageClass>"
        )

    def _head_bucket(self, _request: Request) -> dict[str, Any]:
        return {}

    def _create_bucket(self, _request: Request) -> dict[str, Any]:
        raise Refused(409, "BucketAlreadyOwnedByYou")

    def _get_bucket_location(self, _request: Request) -> dict[str, Any]:
        return {"body": "<LocationConstraint></LocationConstraint>"}

    def _get_object_tagging(self, request: Request) -> dict[str, Any]:
        self._thing(request)
        return {"body": "<Tagging><TagSet></TagSet></Tagging>"}

    def _get_object_acl(self, request: Request) -> dict[str, Any]:
        self._thing(request)
        return {
            "body": "<AccessControlPolicy><Owner><ID>1</ID></Owner><AccessControlList>"
            "</AccessControlList></AccessControlPolicy>"
        }

    def _put_object_acl(self, request: Request) -> dict[str, Any]:
        self._thing(request)
        return {}

    def _unknown(self, _request: Request) -> NoReturn:
        raise Refused(501, "NotImplemented")

    def _thing(self, request: Request) -> Thing:
        if series := self.series.get((request.bucket, request.key)):
            return series[int(request.query.get("versionId", 0))]
        try:
            return self.objects[request.bucket, request.key]
        except KeyError:
            raise Refused(404, "NoSuchKey") from None

    def _upload(self, request: Request) -> Unfinished:
        try:
            return self.unfinished[request.query["uploadId"]]
        except KeyError:
            raise Refused(404, "NoSuchUpload") from None

    def _source(self, request: Request) -> Thing:
        path, _, query = request.headers["x-amz-copy-source"].lstrip("/").partition("?")
        bucket, _, key = path.partition("/")
        thing = self._thing(Request(method="", bucket=bucket, key=key, query={}, headers={}))
        version = query.removeprefix("versionId=") or thing.version
        if version != thing.version:
            raise Refused(404, "NoSuchVersion")
        expected = request.headers.get("x-amz-copy-source-if-match", thing.etag).strip('"')
        if expected != thing.etag:
            raise Refused(412, "PreconditionFailed")
        return thing

    def _only_if_free(self, request: Request) -> None:
        if "if-none-match" in request.headers and (request.bucket, request.key) in self.objects:
            raise Refused(412, "PreconditionFailed")


def _operation(request: Request) -> str:
    """What boto3 calls this request."""
    query = request.query.keys()
    copies = "x-amz-copy-source" in request.headers
    match request.method:
        case "HEAD":
            return "head_object" if request.key else "head_bucket"
        case "GET" if request.key:
            by_query = {
                "tagging": "get_object_tagging",
                "acl": "get_object_acl",
            }
        case "GET":
            by_query = {
                "uploads": "list_multipart_uploads",
                "versions": "list_object_versions",
                "location": "get_bucket_location",
            }
            if not query & by_query.keys():
                return "list_objects"
        case "PUT" if not request.key:
            return "create_bucket"
        case "PUT":
            by_query = {"acl": "put_object_acl"} | (
                {"uploadId": "upload_part_copy"} if copies else {}
            )
            if copies and not query & by_query.keys():
                return "copy_object"
        case "POST":
            by_query = {
                "uploads": "create_multipart_upload",
                "uploadId": "complete_multipart_upload",
            }
        case "DELETE" if request.key:
            return "abort_multipart_upload" if "uploadId" in query else "delete_object"
        case _:
            by_query = {}
    return next((name for given, name in by_query.items() if given in query), "unknown")


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-amz-meta-"
    return {
        name.removeprefix(prefix): value
        for name, value in request.headers.items()
        if name.startswith(prefix)
    }


def _copied(element: str, thing: Thing) -> str:
    return (
        f"<{element}><LastModified>{_iso(thing.modified)}</LastModified>"
        f"<ETag>&quot;{thing.etag}&quot;</ETag>{CHECKSUM_ELEMENTS}</{element}>"
    )


def _etag(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _part_etag(first: int, last: int) -> str:
    return _etag(f"{first}-{last}")


def _version(bucket: str, key: str) -> str:
    return _etag(f"version of {bucket}/{key}")


def _iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.000Z}"
