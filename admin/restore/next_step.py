"""The command that unpacks a restored backup, derived from the extensions of its name."""

import shlex
from dataclasses import dataclass

_DECRYPTED = (".gpg", ".pgp", ".asc")
_READERS = {".gz": "gunzip", ".xz": "unxz", ".bz2": "bunzip2", ".zst": "unzstd"}
# The compressions that tar detects itself, both GNU's and that of macOS.
_LETTERS = {".gz": "z", ".xz": "J", ".bz2": "j"}
_SHORT = {".tgz": ".tar.gz", ".txz": ".tar.xz", ".tbz2": ".tar.bz2"}


@dataclass(frozen=True, kw_only=True)
class Endings:
    """What a file's extensions mean: `plain` is its name without encryption and compression.

    `compression` is an extension, such as .gz.
    """

    plain: str
    is_encrypted: bool
    compression: str = ""

    @property
    def reader(self) -> str:
        """The program that decompresses it; "" if it is not compressed."""
        return _READERS.get(self.compression, "")

    @property
    def is_archive(self) -> bool:
        """Whether tar created it."""
        return self.plain.endswith(".tar")


def endings_of(file: str) -> Endings:
    """Parse the extensions of a name, such as .tar.gz.gpg."""
    rest, encrypted = _without(file, _DECRYPTED)
    plain, short = _without(rest, _SHORT)
    plain, compressed = _without(plain + _SHORT.get(short, ""), _READERS)
    return Endings(plain=plain, is_encrypted=bool(encrypted), compression=compressed)


def next_step(file: str) -> str:
    """A shell command that decrypts and unpacks `file`; "" if its name does not show how.

    a.tar.gz.gpg  ->  mkdir restored && gpg --decrypt a.tar.gz.gpg | tar -xzf - -C restored
    a.sql.gz.gpg  ->  gpg --decrypt a.sql.gz.gpg | gunzip >a.sql
    """
    endings = endings_of(file)
    steps = ["gpg --decrypt"] if endings.is_encrypted else []
    into, made = f" >{shlex.quote(endings.plain)}", ""
    if endings.is_archive:
        letter = _LETTERS.get(endings.compression, "")
        if endings.reader and not letter:
            steps.append(endings.reader)
        steps.append(f"tar -x{letter}f - -C restored")
        into, made = "", "mkdir restored && "
    elif endings.reader:
        steps.append(endings.reader)
    if not steps:
        return ""
    first, *others = steps
    opened = f"{first} " if endings.is_encrypted else f"{first} <"
    return made + " | ".join([opened + shlex.quote(file), *others]) + into


def _without(name: str, endings: dict[str, str] | tuple[str, ...]) -> tuple[str, str]:
    """The name without one of the extensions, and that extension."""
    ending = next((ending for ending in endings if name.endswith(ending)), "")
    return name.removesuffix(ending), ending
