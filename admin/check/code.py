"""Compares a function's code, file by file, with what this clone would deploy."""

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
from urllib.request import ProxyHandler, build_opener

from admin.account import Account, AccountError

# Arguments of CopyObject that the function needs, and that an older botocore rejects.
NEEDED_ARGUMENTS = ("IfNoneMatch", "AnnotationDirective", "CopySourceIfMatch")
S3_MODEL = "botocore/data/s3/2006-03-01/service-2.json.gz"
# The only files of Chalice in the bundle.
CHALICE_FILES = ("chalice/__init__.py", "chalice/app.py")

_PIN = re.compile(r"^(?P<name>[\w.-]+)==(?P<version>[^\s;\\]+)", re.MULTILINE)
# Written when a wheel is unpacked, here or for the bundle; no running code reads them.
_INSTALLER_FILES = re.compile(
    r"[^/]+\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)"
    r"|[^/]+\.data/scripts/[^/]+"
    r"|\.\./.*"
    r"|.*\.pyc"
)


def fetch_bundle(account: Account, location: str) -> zipfile.ZipFile:
    """Download the zip file at the address that GetFunction returns. Raises AccountError."""
    # Local clouds are reached without a proxy.
    opener = build_opener(ProxyHandler({} if account.endpoint else None))
    try:
        with opener.open(location, timeout=60) as answer:
            return zipfile.ZipFile(io.BytesIO(answer.read()))
    except (OSError, zipfile.BadZipFile) as error:
        raise AccountError(f"download failed ({error})") from None


def differences(bundle: zipfile.ZipFile, project: Path) -> list[str]:
    """The files that differ between the bundle and the clone in `project`, or that only one has.

    The clone's own files are compared directly, and packages' files by the hashes of the packages
    installed here, which `make` has checked against requirements.txt. All packages are pure Python;
    compiled code would differ between this machine and Lambda. Raises AccountError if the installed
    packages are not those that requirements.txt pins.
    """
    expected = dict(_own_files(project)) | dict(_files_of_packages(project))
    members = Counter(name for name in bundle.namelist() if not name.endswith("/"))
    differing = {
        member
        for member, times in members.items()
        # If two members have the same name, it is undefined which one is unpacked.
        if times > 1 or not _is_expected(bundle, member, expected)
    }
    return sorted(differing | (expected.keys() - members.keys()))


def unsupported_arguments(bundle: zipfile.ZipFile) -> list[str]:
    """The required arguments of CopyObject that the bundle's botocore does not support."""
    if S3_MODEL not in bundle.namelist():
        return list(NEEDED_ARGUMENTS)
    model = json.loads(gzip.decompress(bundle.read(S3_MODEL)))
    return [
        name
        for name in NEEDED_ARGUMENTS
        if name not in model["shapes"]["CopyObjectRequest"]["members"]
    ]


def _is_expected(bundle: zipfile.ZipFile, member: str, expected: dict[str, str]) -> bool:
    if member in expected:
        return _sha256(bundle.read(member)) == expected[member]
    # Python could run compiled code instead of its source, and the two cannot be compared.
    if member.endswith(".pyc") or not _INSTALLER_FILES.fullmatch(member):
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
    chalice_files = dict(_installed("chalice"))
    yield from ((member, chalice_files[member]) for member in CHALICE_FILES)


def _installed(name: str, version: str | None = None) -> Iterator[tuple[str, str]]:
    """The files of an installed package with their hashes, from its RECORD."""
    try:
        package = distribution(name)
    except PackageNotFoundError:
        package = None
    # `files` is not used, because it skips missing files, which would go unnoticed.
    listed = package.read_text("RECORD") if package else None
    if package is None or not listed or version not in (None, package.version):
        raise AccountError(
            f"{name} {version or ''} of requirements.txt is not installed here; run `make setup`"
        )
    for file, digest, _ in csv.reader(listed.splitlines()):
        if digest and not _INSTALLER_FILES.fullmatch(file):
            yield file, digest.removeprefix("sha256=")


def _sha256(content: bytes) -> str:
    """The hash, as a wheel's RECORD writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
