"""The code of a function, compared file by file with what this clone would deploy."""

import base64
import csv
import gzip
import hashlib
import io
import json
import re
import zipfile
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.request import urlopen

from admin.account import AccountError

# What CopyObject has to know: an older boto3 refuses the call, in the function, every time.
NEEDED = ("IfNoneMatch", "AnnotationDirective", "CopySourceIfMatch")
S3_MODEL = "botocore/data/s3/2006-03-01/service-2.json.gz"
# Of itself Chalice ships no more than this.
OF_CHALICE = ("chalice/__init__.py", "chalice/app.py")

_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
# Written by who unpacks a wheel, here or for the bundle, and read by nothing that runs.
_OF_INSTALLERS = re.compile(
    r"[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)"
    r"|[^/]+\.data/scripts/[^/]+"
    r"|\.\./.*"
    r"|.*\.pyc"
)


def fetch_bundle(location: str) -> zipfile.ZipFile:
    """The zip at the address that GetFunction names. Raises AccountError."""
    try:
        with urlopen(location, timeout=60) as answer:  # noqa: S310 - the address is AWS's answer
            return zipfile.ZipFile(io.BytesIO(answer.read()))
    except (OSError, zipfile.BadZipFile) as error:
        raise AccountError(f"it cannot be fetched: {error}") from None


def differences(bundle: zipfile.ZipFile, project: Path) -> list[str]:
    """The files that the bundle has and the clone in `project` would not ship like that, or lacks.

    The clone's own files are compared as they are, those of packages with the hashes of what is
    installed here: `make` has checked those against requirements.txt, which the bundle cannot. All
    packages are pure Python; one with compiled code would be another one here than in Lambda.
    Raises AccountError if what is installed here is not what requirements.txt pins.
    """
    expected = dict(_own_files(project)) | dict(_files_of_packages(project))
    members = Counter(one for one in bundle.namelist() if not one.endswith("/"))
    differing = {
        member
        for member, times in members.items()
        # Which one of two is unpacked, is not ours to guess.
        if times > 1 or not _is_expected(bundle, member, expected)
    }
    return sorted(differing | (expected.keys() - members.keys()))


def unknown_to_boto3(bundle: zipfile.ZipFile) -> list[str]:
    """What the bundle's own boto3 cannot say of a CopyObject, of what it must."""
    if S3_MODEL not in bundle.namelist():
        return list(NEEDED)
    model = json.loads(gzip.decompress(bundle.read(S3_MODEL)))
    return [one for one in NEEDED if one not in model["shapes"]["CopyObjectRequest"]["members"]]


def _is_expected(bundle: zipfile.ZipFile, member: str, expected: dict[str, str]) -> bool:
    if member in expected:
        return _sha256(bundle.read(member)) == expected[member]
    # Compiled code may run instead of its source, and cannot be compared with it.
    if member.endswith(".pyc") or not _OF_INSTALLERS.fullmatch(member):
        return False
    package = member.partition("/")[0].rpartition(".")[0]
    return f"{package}.dist-info/METADATA" in expected


def _own_files(project: Path) -> Iterator[tuple[str, str]]:
    for path in (project / "app.py", *(project / "chalicelib").rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path.relative_to(project).as_posix(), _sha256(path.read_bytes())


def _files_of_packages(project: Path) -> Iterator[tuple[str, str]]:
    for pin in _PIN.finditer((project / "requirements.txt").read_text(encoding="utf-8")):
        yield from _installed(pin["name"], pin["version"])
    of_chalice = dict(_installed("chalice"))
    yield from ((member, of_chalice[member]) for member in OF_CHALICE)


def _installed(name: str, version: str | None = None) -> Iterator[tuple[str, str]]:
    """The files of a package and their hashes, as its own list says: what pip unpacked."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        package = None
    # Not `files`, which looks at each of them: what is missing here would be missing there unseen.
    listed = package.read_text("RECORD") if package else None
    if package is None or not listed or version not in (None, package.version):
        raise AccountError(
            f"{name} {version or ''} of requirements.txt is not what is installed here; "
            "`make setup` installs it"
        )
    for file, digest, _ in csv.reader(listed.splitlines()):
        if digest and not _OF_INSTALLERS.fullmatch(file):
            yield file, digest.removeprefix("sha256=")


def _sha256(content: bytes) -> str:
    """As a wheel's RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
